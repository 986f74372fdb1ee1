#!/usr/bin/env bash
# DuckDB: one row appended to a table takes a whole block of memory for each of its columns once the table has been checkpointed, and 30 times less before.
# Seen with @duckdb/node-api 1.5.6-r.1 (DuckDB 1.5): 300 tables of three columns take 14 MB for their first row, 472 MB for their
# second after a CHECKPOINT, and nothing after the next CHECKPOINT. A smaller default_block_size makes it proportionally less.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @duckdb/node-api@1.5.6-r.1 >/dev/null
cat > run.mjs <<'JS'
import { DuckDBInstance, version } from "@duckdb/node-api"
const measure = async (blockSize) => {
  const instance = await DuckDBInstance.create(`d${blockSize}.duckdb`, { default_block_size: String(blockSize), memory_limit: "4GB" })
  const connection = await instance.connect()
  const memory = async () => {
    const result = await connection.runAndReadAll("SELECT sum(memory_usage_bytes)::DOUBLE FROM duckdb_memory() WHERE tag = 'IN_MEMORY_TABLE'")
    return Math.round(Number(result.getRows()[0][0]) / 1e6)
  }
  await connection.run("BEGIN")
  for (let n = 0; n < 300; n++) {
    await connection.run(`CREATE TABLE t${n} (a BIGINT, b INTEGER, c DOUBLE)`)
    await connection.run(`INSERT INTO t${n} VALUES (1, 1, 1)`)
  }
  await connection.run("COMMIT")
  const first = await memory()
  await connection.run("CHECKPOINT")
  await connection.run("BEGIN")
  for (let n = 0; n < 300; n++) await connection.run(`INSERT INTO t${n} VALUES (2, 2, 2)`)
  await connection.run("COMMIT")
  const second = await memory()
  await connection.run("CHECKPOINT")
  const after = await memory()
  console.log(`block size ${blockSize}: first row of 300 tables ${first} MB, second row after a checkpoint ${second} MB, after the next checkpoint ${after} MB`)
  return { first, second, after }
}
console.log("DuckDB", version())
const large = await measure(262144)
const small = await measure(16384)
const same = large.second > 20 * large.first && large.after < 5 && small.second < large.second / 10
console.log(same ? "as found" : "no longer as found")
process.exit(same ? 0 : 1)
JS
node run.mjs
