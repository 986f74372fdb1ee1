import { conformance } from "./RequestStore.conformance.ts"
import { duckDB } from "./stores.ts"

conformance("DuckDB", duckDB(":memory:"))
