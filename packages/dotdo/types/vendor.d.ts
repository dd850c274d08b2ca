// The SQL parser's glue and its WebAssembly, which the build lays beside the compiled library.
declare module '*/sqlparser_rs_wasm.js' {
  export function initSync(options: { module: WebAssembly.Module }): unknown
  export function parse_sql(dialect: string, sql: string): unknown
}
declare module '*/sqlparser_rs_wasm_bg.wasm' {
  const module: WebAssembly.Module
  export default module
}
