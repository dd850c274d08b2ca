/**
 * How much `dotdo/client` adds to a page: bundled and minified as vite bundles an app, gzipped, less what capnweb takes alone.
 *
 * The baseline is capnweb with the same three exports that the client uses: whoever speaks capnweb without dotdo ships that.
 */
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type Rolldown } from 'vite'
import type { BenchResult } from '../../../bench/run.ts'

/** 6 kB of 1,000 bytes. */
const mostBytes = 6000

/** Bytes of a bundle that exports this, minified and gzipped. */
async function bundledBytes(program: string): Promise<number> {
  const entry = 'virtual:entry'
  const output = await build({
    configFile: false,
    logLevel: 'silent',
    root: fileURLToPath(new URL('..', import.meta.url)),
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === entry ? fileURLToPath(new URL('entry.js', import.meta.url)) : null),
        load: (id) => (id.endsWith('/bench/entry.js') ? program : null),
      },
    ],
    build: { write: false, minify: true, target: 'es2024', rolldownOptions: { input: entry, preserveEntrySignatures: 'strict' } },
  })
  const chunks = ([output].flat() as Rolldown.RolldownOutput[]).flatMap((it) => it.output)
  const code = chunks.map((chunk) => ('code' in chunk ? chunk.code : '')).join('')
  return gzipSync(code, { level: 9 }).length
}

/** Yields one figure. */
export default async function* clientSize(): AsyncGenerator<BenchResult> {
  const client = await bundledBytes(`export * from ${JSON.stringify(fileURLToPath(new URL('../src/client.ts', import.meta.url)))}`)
  const capnweb = await bundledBytes(`export { RpcSession, RpcPromise, newHttpBatchRpcSession } from 'capnweb'`)
  const own = client - capnweb
  yield {
    name: 'dotdo/client in a bundle, gzipped, beyond capnweb',
    value: own,
    unit: 'bytes',
    baseline: 'capnweb alone',
    baselineValue: capnweb,
    ratio: own / capnweb,
    bar: `at most ${mostBytes} bytes`,
    ok: own <= mostBytes,
  }
}
