import { ConfigStore } from "../src/ConfigStore.ts"
import { conformance } from "./ConfigStore.conformance.ts"

conformance("memory", ConfigStore.layerMemory)
