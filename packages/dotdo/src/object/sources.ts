/** `extract`, and the one global that is patched: `fetch` for the schemes `s3:` and `r2:`. */
import { redactText } from '../base/redact.ts'
import { platformFetch } from '#platform'
import { createExtract, type AnyRow, type ExtractOptions } from '../sources/extract.ts'
import type { Extraction } from '../sources/extraction.ts'
import { createSchemeFetch, isBucketAddress } from '../sources/fetch-scheme.ts'
import type { SourcePorts } from '../sources/ports.ts'
import { ambientProgress } from './ambient.ts'
import { appOptions } from './app.ts'
import { bucketBindings, bucketNamed } from './buckets.ts'
import { currentContext, noteIn } from './context.ts'
import { dryRunOf } from './dry-run.ts'
import { spendHere } from './metering.ts'
import { revealHeaders } from './secret-headers.ts'

/**
 * Rows of a source: `extract('s3://data-lake/events/')`, `extract('https://…')`, or a name that the app's `sources` declare. JSON, NDJSON and CSV,
 * with gzip; a trailing slash reads everything below.
 *
 * `await` gives all rows; `for await` gives batches in bounded memory; `.batches()` is what a durable step returns to store a stream. Inside a
 * step the progress (rows, bytes, address) is told by itself.
 *
 * @throws when the rows are asked for: `SOURCE_UNKNOWN`, `BUCKET_UNKNOWN`, `SOURCE_NOT_FOUND`, `SOURCE_MALFORMED`, `SOURCE_UNAVAILABLE` (retryable), …
 */
export function extract<Row = AnyRow>(source: string, options: ExtractOptions = {}): Extraction<Row> {
  noteRead(source)
  return createExtract({ ...sourcePorts(), onProgress: ambientProgress() })<Row>(source, options)
}

function sourcePorts(): SourcePorts {
  return {
    bucket: (name) => bucketNamed(name),
    bucketNames: () => Object.keys(bucketBindings()),
    sources: appOptions().sources ?? {},
    http: async (url, request) => {
      spendHere({ requests: 1 })
      return platformFetch(url, revealHeaders(url, request as RequestInit))
    },
    gunzip: (stream) =>
      (stream as globalThis.ReadableStream<Uint8Array>).pipeThrough(
        new DecompressionStream('gzip') as unknown as ReadableWritablePair<Uint8Array, Uint8Array>,
      ),
  }
}

/** Makes `fetch('s3://…')` work as it does for `https:`. Everything else goes to the platform's own `fetch` as it is; a run's lineage has where it went. */
export function patchFetch(): void {
  globalThis.fetch = (async (input: RequestInfo | URL, init?: RequestInit) => {
    const address = typeof input === 'string' ? input : input instanceof URL ? input.href : input.url
    const request = input instanceof Request ? input : undefined
    const method = init?.method ?? request?.method
    if (isRead(method)) noteRead(address)
    else {
      const [what, target, input] = [method!.toUpperCase(), placeOf(address), textOf(init?.body)]
      noteIn(currentContext(), { kind: 'http', target, what, input })
      const record = dryRunOf()
      record?.({ writer: 'fetch', target: `${what} ${target}`, rows: 1, sample: [input] })
      if (record) return new Response('{}', { status: 202, headers: { 'content-type': 'application/json', 'dotdo-dry-run': 'true' } })
    }
    if (!isBucketAddress(address)) {
      spendHere({ requests: 1 })
      return platformFetch(input, revealHeaders(input, init))
    }
    const signal = init?.signal ?? request?.signal
    const { status, headers, body } = await createSchemeFetch(sourcePorts())(address, {
      ...(method !== undefined && { method }),
      ...(signal && { signal }),
    })
    return new Response(body as BodyInit | null, { status, headers })
  }) as typeof fetch
}

const isRead = (method: string | undefined): boolean => method === undefined || /^(?:get|head|options)$/i.test(method)

function noteRead(address: string): void {
  noteIn(currentContext(), { kind: 'read', target: placeOf(address) })
}

/** An address without what may be secret in it: its user and its query. */
function placeOf(address: string): string {
  const place = String(address)
    .replace(/[?#].*$/s, '')
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1')
  return redactText(place)
}

/** A body to be looked at, where it is a text. */
function textOf(body: unknown): unknown {
  return typeof body === 'string' ? body : undefined
}
