import type { Secret } from '../base/secrets.ts'
import { resolveAddress } from './address.ts'
import { CHUNK_BYTES } from './body.ts'
import type { Body } from './body.ts'
import type { CsvOptions } from './csv.ts'
import { Extraction } from './extraction.ts'
import type { ExtractionOptions, SizedBatch } from './extraction.ts'
import { createReader, formatOf, SNIFF_BYTES, sniffFormat } from './format.ts'
import type { Format } from './format.ts'
import { readLimits } from './limits.ts'
import type { ExtractLimits } from './limits.ts'
import { openAll } from './objects.ts'
import type { SourcePorts } from './ports.ts'

/** How a source is read. Every part is optional. */
export interface ExtractOptions extends CsvOptions, ExtractionOptions {
  /** Instead of what extension, content type and first bytes tell. For all objects below a prefix. */
  format?: Format
  /** Whether a prefix with nothing below it gives no rows, instead of `SOURCE_NOT_FOUND`. Default `false`. */
  allowEmpty?: boolean
  /** Headers of the request, for `https:` and `http:` alone. */
  headers?: Readonly<Record<string, string | Secret>>
}

/**
 * A row as its reader knows it: whatever the source holds, so it is what `JSON.parse` gives and fits any parameter. Name your own:
 * `extract<Flight>('flights')`. What the source really holds is not checked against it.
 */
export type AnyRow = ReturnType<typeof JSON.parse>

/**
 * The function that a user knows as `extract`: names a source and gives the lazy value of its rows. It never throws itself.
 *
 * @example
 * const airports = await extract<Airport>('s3://data-lake/airports/airports.csv')
 * for await (const batch of extract<Flight>('s3://data-lake/flights/')) await load(batch)
 */
export type Extract = <Row = AnyRow>(source: string, options?: ExtractOptions) => Extraction<Row>

/** Makes the `extract` of an object from what its platform can do. */
export function createExtract(ports: SourcePorts): Extract {
  return <Row = AnyRow>(source: string, options: ExtractOptions = {}) =>
    new Extraction<Row>((signal) => readBatches<Row>(source, options, ports, signal), options)
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
  // Stored bytes are counted by the body that is open; those of the bodies before it are added to that.
  let rowCount = 0
  let closedBytes = 0
  let bytes = 0

  // Hands the batch out and begins the next one. Progress comes first: it tells what is read, whether or not the consumer goes on.
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
    const chunks = body.chunks((stream) => ports.gunzip(stream))
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
