/**
 * Lays the SQL parser's WebAssembly beside the built library, as `dist/vendor/sqlparser/`, and beside the sources, where tests run them.
 *
 * The package exports only its entry, whose `init()` reads a file or a URL, which workerd has not. So its glue and its `.wasm` are shipped as files of
 * our own, and the Workers entry imports the `.wasm` as a module. The licence (Apache-2.0) goes with them.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const installed = join(dirname(createRequire(import.meta.url).resolve('@guanmingchiu/sqlparser-ts')), '..')
const folders = ['dist', 'src'].map((it) => join(root, 'packages/dotdo', it, 'vendor/sqlparser'))
// The tree that the reader narrows is of this version; another one has to be looked at first.
const expected = '0.62.0'

const { version } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as { version: string }
if (version !== expected)
  throw new Error(
    `@guanmingchiu/sqlparser-ts is ${version}; packages/dotdo/src/sql reads the tree of ${expected}. Pin ${expected}, or check read-expr.ts and read-select.ts and change this line.`,
  )

// The glue makes one instance and keeps it. A query that overflows the parser's stack breaks that one for good, so `initSync` may be called again.
const glue = readFileSync(join(installed, 'wasm', 'sqlparser_rs_wasm.js'), 'utf8')
const guard = 'function initSync(module) {\n    if (wasm !== undefined) return wasm;\n'
if (!glue.includes(guard))
  throw new Error('initSync of @guanmingchiu/sqlparser-ts is not as expected: look at its glue and change this script.')
for (const folder of folders) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'sqlparser_rs_wasm.js'), glue.replace(guard, 'function initSync(module) {\n'))
  for (const name of ['sqlparser_rs_wasm.d.ts', 'sqlparser_rs_wasm_bg.wasm', 'LICENSE'])
    copyFileSync(join(installed, 'wasm', name), join(folder, name))
}
