#!/usr/bin/env bash
# DuckDB: kahan_sum (fsum) of the same rows gives several results from run to run, as sum does; only an ordered sum is always the same.
# Seen with @duckdb/node-api 1.5.6-r.1 (DuckDB 1.5) on 2 threads: of 40 runs over a million rows sum had 7 results, fsum 4, the
# ordered sum 1. Each thread compensates its own rows, and which rows those are varies.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @duckdb/node-api@1.5.6-r.1 >/dev/null
cat > run.mjs <<'JS'
import { DuckDBInstance, version } from "@duckdb/node-api"
const instance = await DuckDBInstance.create(":memory:", { threads: "2" })
const connection = await instance.connect()
await connection.run("CREATE TABLE t AS SELECT r AS id, sin(r) * 1e6 AS v FROM range(1000000) t(r)")
const results = async (aggregate) => {
  const seen = new Set()
  for (let n = 0; n < 200; n++) seen.add((await connection.runAndReadAll(`SELECT ${aggregate} FROM t`)).getRows()[0][0])
  return seen.size
}
const [sum, kahan, ordered] = [await results("sum(v)"), await results("kahan_sum(v)"), await results("sum(v ORDER BY id)")]
console.log("DuckDB", version())
console.log(`results of 200 runs: sum ${sum}, kahan_sum ${kahan}, ordered sum ${ordered}`)
const same = sum > 1 && kahan > 1 && ordered === 1
console.log(same ? "as found" : "no longer as found")
process.exit(same ? 0 : 1)
JS
node run.mjs
