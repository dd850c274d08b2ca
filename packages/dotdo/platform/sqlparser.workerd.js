// The SQL parser's WebAssembly, as Workers take it: a module that the upload has compiled.
import module from '../dist/vendor/sqlparser/sqlparser_rs_wasm_bg.wasm'

export const sqlParserModule = () => module
