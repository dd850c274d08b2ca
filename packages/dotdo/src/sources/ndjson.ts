import { malformed } from './malformed.ts'
import { RecordBuffer, utf8Length } from './reader.ts'
import type { ReaderContext, RowReader } from './reader.ts'

const LINE_FEED = 10

/**
 * Reads newline-delimited JSON (one document a line, as ndjson.org and jsonlines.org say): any JSON value is a row; blank lines are passed
 * over; the last line may lack its line feed; lines may end in CRLF.
 *
 * Owns: the bytes of the unfinished line, at most one line and one chunk. Invariant: the buffer begins at the start of a line.
 *
 * Each line is parsed on its own. Joining the lines of a chunk into one array is no faster (150 to 200 MB/s both ways) and is wrong: two
 * broken lines such as `{"a":1` and `"b":2}` join into a good row.
 */
export class NdjsonReader implements RowReader {
  readonly #context: ReaderContext
  readonly #buffer: RecordBuffer
  /** Lines that were consumed so far. */
  #lines = 0

  constructor(context: ReaderContext) {
    this.#context = context
    this.#buffer = new RecordBuffer(context)
  }

  push(chunk: Uint8Array): unknown[] {
    if (!this.#buffer.append(chunk)) return []
    // Only the new bytes are searched, so that a line over many chunks costs no more than its length.
    const feed = chunk.lastIndexOf(LINE_FEED)
    const end = feed === -1 ? 0 : this.#buffer.length - chunk.length + feed + 1
    // All complete lines are decoded at once: one call of the decoder for a chunk, not one for a line.
    const rows = this.#read(end)
    this.#buffer.consume(end)
    this.#buffer.checkLimit()
    return rows
  }

  end(): unknown[] {
    return this.#read(this.#buffer.length)
  }

  /** The rows of the first `length` bytes, which end with a line. */
  #read(length: number): unknown[] {
    if (length === 0) return []
    const text = this.#buffer.decode(0, length)
    if (text === undefined) throw this.#notUtf8(length)
    const rows: unknown[] = []
    for (let start = 0; start < text.length;) {
      const feed = text.indexOf('\n', start)
      const end = feed === -1 ? text.length : feed
      this.#lines++
      const line = text.slice(start, end)
      if (line !== '' && line !== '\r') this.#parse(line, rows, text, start)
      start = end + 1
    }
    return rows
  }

  /** Takes one line that is not empty. Lines of nothing but white space end up here too, because `JSON.parse` tells them for free. */
  #parse(line: string, rows: unknown[], text: string, start: number): void {
    try {
      rows.push(JSON.parse(line))
    } catch (cause) {
      if (line.trim() === '') return
      const position = { bytePosition: this.#buffer.offset + utf8Length(text.slice(0, start)), line: this.#lines }
      throw malformed(this.#context.address, position, 'this line is not one JSON document', line, cause)
    }
  }

  /** Which line is not UTF-8: looked for only now that one is known to be. */
  #notUtf8(length: number): Error {
    const bytes = this.#buffer.bytes
    for (let start = 0, line = this.#lines + 1; start < length; line++) {
      const feed = bytes.indexOf(LINE_FEED, start)
      const end = feed === -1 ? length : feed
      if (this.#buffer.decode(start, end) === undefined) return this.#buffer.notUtf8(start, end, { line })
      start = end + 1
    }
    return this.#buffer.notUtf8(0, length)
  }
}
