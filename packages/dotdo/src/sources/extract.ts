import { DotdoError } from '../base/errors.ts'
import { resolveAddress } from './address.ts'
import { CHUNK_BYTES } from './body.ts'
import type { Body } from './body.ts'
import { cancellable } from './cancellable.ts'
import type { CsvOptions } from './csv.ts'
import { createReader, formatOf, SNIFF_BYTES, sniffFormat } from './format.ts'
import type { Format } from './format.ts'
import { readLimits } from './limits.ts'
import type { ExtractLimits } from './limits.ts'
import { openAll } from './objects.ts'
import type { SourcePorts } from './ports.ts'

/** How a source is read. Every part is optional. */
export interface ExtractOptions extends CsvOptions, Partial<ExtractLimits> {
  /** Instead of what extension, content type and first bytes tell. For all objects below a prefix. */
  format?: Format
  /** Whether a prefix with nothing below it gives no rows, instead of `SOURCE_NOT_FOUND`. Default `false`. */
  allowEmpty?: boolean
  /** Headers of the request, for `https:` and `http:` alone. */
  headers?: Readonly<Record<string, string>>
  /** Cancels the reading: what is pending rejects with the signal's reason. */
  signal?: AbortSignal
}

/**
 * A row as its reader knows it: whatever the source holds, as with `Response.json()`. Name your own: `extract<Flight>('flights')`. What the
 * source really holds is not checked against it. (The one `any` of the room: rows go into functions whose parameters the user has typed.)
 */
export type AnyRow = any

/** The function that a user knows as `extract`. See {@link Extraction}. */
export type Extract = <Row = AnyRow>(source: string, options?: ExtractOptions) => Extraction<Row>

/** Makes the `extract` of an object from what its platform can do. */
export function createExtract(ports: SourcePorts): Extract {
  return <Row = AnyRow>(source: string, options: ExtractOptions = {}) =>
    new Extraction<Row>((signal) => readBatches<Row>(source, options, ports, signal), options)
}

/**
 * Rows that are on their way: a lazy value. Nothing is opened until it is awaited or iterated.
 *
 * - `await extraction` gives all rows as one array, of at most `maxAwaitedBytes` of text. It reads once: awaiting again gives the same array, or
 *   the same error. To try again, call `extract` again.
 * - `for await (const batch of extraction)` gives arrays of rows in bounded memory (see {@link ExtractLimits}; besides the batch, one
 *   record and two chunks are held). Each iteration reads from the beginning. Leaving the loop cancels the transfer.
 * - `extraction.batches()` is the same iteration as a plain value that is no promise: what an `async` function, or a step, can return.
 *
 * @throws What addresses, formats, stores and readers throw: `SOURCE_UNKNOWN`, `SCHEME_UNKNOWN`, `BUCKET_UNKNOWN`, `ADDRESS_INVALID`,
 * `SOURCE_DECLARATION_INVALID`, `OPTION_INVALID`, `FORMAT_UNKNOWN`, `SOURCE_NOT_FOUND`, `SOURCE_FORBIDDEN`, `SOURCE_REFUSED`, `SOURCE_MALFORMED`,
 * `SOURCE_TOO_LARGE` (terminal), `SOURCE_UNAVAILABLE`, `SOURCE_CHANGED` (retryable). All come when the rows are asked for, none from `extract` itself.
 */
export class Extraction<Row> implements Promise<Row[]>, AsyncIterable<Row[]> {
  readonly [Symbol.toStringTag] = 'Extraction'
  readonly #open: (signal: AbortSignal) => AsyncGenerator<SizedBatch<Row>, void, undefined>
  readonly #options: ExtractOptions
  #all: Promise<Row[]> | undefined

  constructor(open: (signal: AbortSignal) => AsyncGenerator<SizedBatch<Row>, void, undefined>, options: ExtractOptions) {
    this.#open = open
    this.#options = options
  }

  /** The batches, for passing on: an async iterable that no `await` swallows. */
  batches(): AsyncIterable<Row[]> {
    return { [Symbol.asyncIterator]: () => this[Symbol.asyncIterator]() }
  }

  [Symbol.asyncIterator](): AsyncIterator<Row[], void, undefined> {
    const open = this.#open
    return cancellable(async function* (signal) {
      for await (const batch of open(signal)) yield batch.rows
    }, this.#options.signal)
  }

  then<Result = Row[], Failure = never>(
    onRows?: ((rows: Row[]) => Result | PromiseLike<Result>) | null,
    onFailure?: ((failure: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<Result | Failure> {
    this.#all ??= this.#readAll()
    return this.#all.then(onRows, onFailure)
  }

  catch<Failure = never>(onFailure?: ((failure: unknown) => Failure | PromiseLike<Failure>) | null): Promise<Row[] | Failure> {
    return this.then(undefined, onFailure)
  }

  finally(onEnd?: (() => void) | null): Promise<Row[]> {
    return this.then().finally(onEnd)
  }

  async #readAll(): Promise<Row[]> {
    const { maxAwaitedBytes } = readLimits(this.#options)
    const rows: Row[] = []
    let sizeBytes = 0
    const iterator = cancellable(this.#open, this.#options.signal)
    for await (const batch of { [Symbol.asyncIterator]: () => iterator }) {
      sizeBytes += batch.sizeBytes
      if (sizeBytes > maxAwaitedBytes) throw awaitedTooLarge(batch.at, maxAwaitedBytes)
      for (const row of batch.rows) rows.push(row)
    }
    return rows
  }
}

/** A batch with the bytes of text that were read for it, and the object that the last of them came from. */
interface SizedBatch<Row> {
  rows: Row[]
  sizeBytes: number
  at: string
}

/** Reads all objects of a source as batches; a batch may span objects. Progress is told before each batch is given out. */
async function* readBatches<Row>(
  source: string,
  options: ExtractOptions,
  ports: SourcePorts,
  signal: AbortSignal,
): AsyncGenerator<SizedBatch<Row>, void, undefined> {
  const limits = readLimits(options)
  const address = resolveAddress(source, ports)
  const request = { allowEmpty: options.allowEmpty ?? false, headers: options.headers ?? {}, signal }
  let batch: SizedBatch<Row> = { rows: [], sizeBytes: 0, at: address.text }
  let rowCount = 0
  let closedBytes = 0
  let bytes = 0

  const give = (): SizedBatch<Row> => {
    const given = batch
    rowCount += given.rows.length
    ports.onProgress?.({ rows: rowCount, bytes, at: given.at })
    batch = { rows: [], sizeBytes: 0, at: given.at }
    return given
  }

  for await (const body of openAll(address, ports, request)) {
    batch.at = body.hints.address
    for await (const piece of readRows(body, options, limits, ports)) {
      bytes = closedBytes + body.bytesRead
      batch.sizeBytes += piece.sizeBytes
      for (const row of piece.rows) {
        // What a reader makes of its data is what the user calls a `Row`: narrowed here, once, and not checked.
        batch.rows.push(row as Row)
        if (batch.rows.length === limits.batchRows) yield give()
      }
      if (batch.sizeBytes >= limits.batchBytes && batch.rows.length > 0) yield give()
    }
    closedBytes += body.bytesRead
    bytes = closedBytes
  }
  if (batch.rows.length > 0) yield give()
}

/** The rows of one body, piece by piece. The body is read to its end or cancelled, whatever happens. */
async function* readRows(
  body: Body,
  options: ExtractOptions,
  limits: ExtractLimits,
  ports: SourcePorts,
): AsyncGenerator<{ rows: unknown[]; sizeBytes: number }, void, undefined> {
  try {
    const chunks = body.chunks(ports.gunzip)
    const known = formatOf(body.hints, options.format)
    const head = known === undefined ? await readHead(chunks) : new Uint8Array(0)
    const format = known ?? sniffFormat(body.hints, head)
    const reader = createReader(format, { address: body.hints.address, maxRecordBytes: limits.maxRecordBytes }, options)
    if (head.length > 0) yield { rows: reader.push(head), sizeBytes: head.length }
    for await (const chunk of chunks) yield { rows: reader.push(chunk), sizeBytes: chunk.length }
    yield { rows: reader.end(), sizeBytes: 0 }
  } finally {
    await body.close()
  }
}

/** The first bytes, at least {@link SNIFF_BYTES} where there are so many, and less than one chunk more. */
async function readHead(chunks: AsyncGenerator<Uint8Array, void, undefined>): Promise<Uint8Array> {
  const head = new Uint8Array(SNIFF_BYTES + CHUNK_BYTES)
  let length = 0
  while (length < SNIFF_BYTES) {
    const result = await chunks.next()
    if (result.done) break
    head.set(result.value, length)
    length += result.value.length
  }
  return head.subarray(0, length)
}

function awaitedTooLarge(at: string, limitBytes: number): DotdoError {
  const message = `${at}: more than ${limitBytes} bytes of rows would be held in memory. Iterate over extract(…).batches(), or raise { maxAwaitedBytes }.`
  return new DotdoError('SOURCE_TOO_LARGE', message, { data: { source: at, limit: 'maxAwaitedBytes', limitBytes } })
}
