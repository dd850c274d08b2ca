/** The SQL parser's WebAssembly, compiled. */
export declare function sqlParserModule(): WebAssembly.Module
