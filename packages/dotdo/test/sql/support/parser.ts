import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createSqlParser, type SqlParserGlue } from '../../../src/sql/parser.ts'

const wasm = join(dirname(createRequire(import.meta.url).resolve('@guanmingchiu/sqlparser-ts')), '../wasm')
const glue = (await import(join(wasm, 'sqlparser_rs_wasm.js'))) as SqlParserGlue & { initSync(options: { module: Uint8Array }): unknown }
glue.initSync({ module: readFileSync(join(wasm, 'sqlparser_rs_wasm_bg.wasm')) })

/** The parser as it is shipped, its WebAssembly read from the installed package. */
export const parser = createSqlParser(glue)
