// The SQL parser's WebAssembly, for tests in Node, which reads and compiles it when the first query is asked.
import { readFileSync } from 'node:fs'

export const sqlParserModule = () =>
  new WebAssembly.Module(readFileSync(new URL('../dist/vendor/sqlparser/sqlparser_rs_wasm_bg.wasm', import.meta.url)))
