import { DotdoError } from '../base/errors.ts'
import { CsvReader } from './csv.ts'
import type { CsvOptions } from './csv.ts'
import { JsonReader } from './json.ts'
import { NdjsonReader } from './ndjson.ts'
import type { ReaderContext, RowReader } from './reader.ts'

/** What the rows of an object are written in. */
export type Format = 'json' | 'ndjson' | 'csv'

/** The formats that are read. */
export const FORMATS: readonly Format[] = ['json', 'ndjson', 'csv']

/** What is known of an object before its bytes: its key or path, and over HTTP the type that the server states. */
export interface FormatHints {
  /** The address as messages name it. */
  address: string
  /** The key, or the path of the URL: its extension counts. */
  path: string
  contentType?: string | undefined
}

/**
 * The format that the hints tell, or `undefined` where only the bytes can. The order: the caller's `format`, then the extension (`.gz` at
 * its end is taken off), then the content type.
 *
 * @throws `FORMAT_UNKNOWN` (terminal) for an extension of a format that is known and not read here, such as `.parquet`; `OPTION_INVALID`
 * for a `format` that does not exist.
 */
export function formatOf(hints: FormatHints, format?: Format): Format | undefined {
  if (format !== undefined) {
    if (FORMATS.includes(format)) return format
    throw new DotdoError('OPTION_INVALID', `{ format: ${JSON.stringify(format)} } does not exist: there are 'json', 'ndjson' and 'csv'.`, {
      data: { option: 'format', value: format },
    })
  }
  const name = hints.path.slice(hints.path.lastIndexOf('/') + 1).toLowerCase()
  const bare = name.endsWith('.gz') ? name.slice(0, -3) : name
  const extension = bare.includes('.') ? bare.slice(bare.lastIndexOf('.')) : ''
  if (foreignExtensions.includes(extension)) throw formatUnknown(hints.address, `it ends in '${extension}'`)
  return byExtension.get(extension) ?? byContentType.get(essenceOf(hints.contentType))
}

/** How many bytes {@link sniffFormat} wants to see, where the object has so many. */
export const SNIFF_BYTES = 4096

/**
 * Tells JSON and NDJSON by the first bytes: `[` begins a JSON array; `{` begins NDJSON when the first line is a document of its own (or is
 * longer than what is seen), else one JSON object over several lines. CSV has no mark and is never guessed.
 *
 * @throws `FORMAT_UNKNOWN` (terminal) with the first bytes.
 */
export function sniffFormat(hints: FormatHints, head: Uint8Array): Format {
  const text = new TextDecoder().decode(head).trimStart()
  if (text.startsWith('[')) return 'json'
  if (text.startsWith('{')) {
    const feed = text.indexOf('\n')
    return feed === -1 || isDocument(text.slice(0, feed)) ? 'ndjson' : 'json'
  }
  const seen = text === '' ? 'it is empty' : `it begins with ${JSON.stringify(text.slice(0, 20))}`
  throw formatUnknown(hints.address, `its extension and type do not tell, and ${seen}`)
}

/** The reader of a format, for one object: readers hold state and are not used twice. `csv` is looked at for CSV alone. */
export function createReader(format: Format, context: ReaderContext, csv: CsvOptions): RowReader {
  switch (format) {
    case 'json':
      return new JsonReader(context)
    case 'ndjson':
      return new NdjsonReader(context)
    case 'csv':
      return new CsvReader(context, csv)
  }
}

/** The content type that an answer states for a key, where its extension tells one. */
export function contentTypeOf(path: string): string {
  const name = path.toLowerCase()
  if (name.endsWith('.gz')) return 'application/gzip'
  const format = byExtension.get(name.slice(name.lastIndexOf('.')))
  return format === undefined ? 'application/octet-stream' : contentTypes[format]
}

const contentTypes: Record<Format, string> = {
  json: 'application/json',
  ndjson: 'application/x-ndjson',
  csv: 'text/csv',
}

const byExtension = new Map<string, Format>([
  ['.json', 'json'],
  ['.ndjson', 'ndjson'],
  ['.jsonl', 'ndjson'],
  ['.csv', 'csv'],
])

// What servers send; `text/plain` and `application/octet-stream` say nothing, so the first bytes decide.
const byContentType = new Map<string, Format>([
  ['application/json', 'json'],
  ['text/json', 'json'],
  ['application/x-ndjson', 'ndjson'],
  ['application/ndjson', 'ndjson'],
  ['application/jsonl', 'ndjson'],
  ['application/x-jsonlines', 'ndjson'],
  ['text/csv', 'csv'],
  ['application/csv', 'csv'],
])

// Said by name, so that nobody waits for the sniffer to call a table file strange text.
const foreignExtensions = ['.parquet', '.arrow', '.feather', '.avro', '.orc', '.zst', '.zip', '.bz2', '.xz', '.xlsx', '.tsv', '.xml']

/** `text/csv; charset=utf-8` without its parameters. */
function essenceOf(contentType: string | undefined): string {
  return (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

function isDocument(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch (cause) {
    if (cause instanceof SyntaxError) return false
    throw cause
  }
}

function formatUnknown(address: string, reason: string): DotdoError {
  const message = `Cannot tell how ${address} is written: ${reason}. Pass { format: 'json' | 'ndjson' | 'csv' }; gzip is found by itself.`
  return new DotdoError('FORMAT_UNKNOWN', message, { data: { source: address, formats: FORMATS } })
}
