import { malformed } from './malformed.ts'
import { RecordBuffer, utf8Length } from './reader.ts'
import type { ReaderContext, RowReader } from './reader.ts'

const QUOTE = 34
const COMMA = 44
const OPEN_BRACKET = 91
const BACKSLASH = 92
const CLOSE_BRACKET = 93
const OPEN_BRACE = 123
const CLOSE_BRACE = 125

/**
 * Reads one JSON document (RFC 8259): the elements of a top-level array, of any length, are the rows; a top-level object is one row.
 *
 * It looks for the commas between top-level elements, which takes no more than counting brackets outside of strings, and gives all text
 * between two of them to `JSON.parse` as an array. Everything is therefore checked by `JSON.parse`; the scan alone accepts nothing.
 *
 * The most it holds is one element and one chunk; an object at the top is one element, and held whole.
 *
 * Owns: the bytes since the last comma and the state of the scan. Invariants:
 * 1. In `array`, the buffer begins right after the opening bracket or after a top-level comma.
 * 2. Bytes before `#scanned` are never scanned again.
 */
export class JsonReader implements RowReader {
  readonly #context: ReaderContext
  readonly #buffer: RecordBuffer
  /** `start`: nothing but white space so far; `end`: nothing but white space may follow. */
  #phase: 'start' | 'array' | 'object' | 'end' = 'start'
  #scanned = 0
  #depth = 0
  #inString = false
  #escaped = false
  /** Elements that were read so far. */
  #elements = 0

  constructor(context: ReaderContext) {
    this.#context = context
    this.#buffer = new RecordBuffer(context)
  }

  push(chunk: Uint8Array): unknown[] {
    if (!this.#buffer.append(chunk)) return []
    if (this.#phase === 'start') this.#open()
    const rows: unknown[] = []
    if (this.#phase === 'array' || this.#phase === 'object') this.#scan(rows)
    if (this.#phase === 'end') this.#expectNothing()
    this.#buffer.checkLimit()
    return rows
  }

  end(): unknown[] {
    if (this.#phase === 'end') return []
    const { length, bytes } = this.#buffer
    if (this.#buffer.decode(0, length) === undefined) throw this.#buffer.notUtf8(0, length)
    // What is left may be cut inside a character; that is the cut and not a wrong byte, and both mean the same to the reader.
    const excerpt = new TextDecoder().decode(bytes.subarray(Math.max(0, length - 60)))
    const problem = this.#phase === 'start' ? 'there is no JSON document' : 'the JSON document ends in the middle: it was cut off'
    throw malformed(this.#context.address, { bytePosition: this.#buffer.offset + length }, problem, excerpt)
  }

  /** Finds how the document begins. */
  #open(): void {
    const bytes = this.#buffer.bytes
    const start = firstInk(bytes)
    if (start === bytes.length) return this.#buffer.consume(start)
    const first = bytes[start]
    if (first === OPEN_BRACKET) {
      this.#phase = 'array'
      this.#depth = 1
      this.#buffer.consume(start + 1)
    } else if (first === OPEN_BRACE) {
      this.#phase = 'object'
      this.#buffer.consume(start)
    } else {
      throw this.#fail(start, 'a JSON source is an array or an object, and this is neither', bytes.length)
    }
  }

  /** Advances over the bytes that are new and takes the elements that they complete. */
  #scan(rows: unknown[]): void {
    const bytes = this.#buffer.bytes
    const length = bytes.length
    const isArray = this.#phase === 'array'
    // Locals, because this loop runs once a byte: about 1 GB/s, against 0.2 of JSON.parse.
    let [depth, inString, escaped] = [this.#depth, this.#inString, this.#escaped]
    let comma = -1
    for (let index = this.#scanned; index < length; index++) {
      const byte = bytes[index]
      if (inString) {
        if (escaped) escaped = false
        else if (byte === BACKSLASH) escaped = true
        else if (byte === QUOTE) inString = false
      } else if (byte === QUOTE) inString = true
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++
      else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        if (--depth === 0) return this.#close(index, rows)
      } else if (byte === COMMA && depth === 1 && isArray) comma = index
    }
    this.#depth = depth
    this.#inString = inString
    this.#escaped = escaped
    this.#scanned = length
    if (comma === -1) return
    this.#take(0, comma, rows)
    this.#buffer.consume(comma + 1)
    this.#scanned -= comma + 1
  }

  /** The bracket at `index` ends the document. */
  #close(index: number, rows: unknown[]): void {
    const bytes = this.#buffer.bytes
    if (this.#phase === 'object') this.#take(0, index + 1, rows)
    else if (bytes[index] !== CLOSE_BRACKET) throw this.#fail(index, "this '}' closes the array that a '[' opened", index + 1)
    else if (this.#elements > 0 || firstInk(bytes.subarray(0, index)) < index) this.#take(0, index, rows)
    this.#buffer.consume(index + 1)
    this.#phase = 'end'
  }

  /** Parses the elements in bytes `from` to `to`: one or more, with commas between them. */
  #take(from: number, to: number, rows: unknown[]): void {
    const text = this.#buffer.decode(from, to)
    if (text === undefined) throw this.#buffer.notUtf8(from, to, { element: this.#elements + 1 })
    const values = parseElements(text)
    if (values === undefined) throw this.#badElement(text)
    // An element of a chunk can be a hundred thousand numbers: pushed one by one, because a call has a limit of arguments.
    for (const value of values) rows.push(value)
    this.#elements += values.length
  }

  /** After the end of the document only white space may follow. */
  #expectNothing(): void {
    const bytes = this.#buffer.bytes
    const start = firstInk(bytes)
    if (start === bytes.length) return this.#buffer.consume(start)
    throw this.#fail(
      start,
      "there is more after the end of the JSON document; if it holds one document a line, pass { format: 'ndjson' }",
      bytes.length,
    )
  }

  /** Which of the elements in `text` is not JSON. */
  #badElement(text: string): Error {
    let element = this.#elements + 1
    for (const [start, end] of topLevelElements(text)) {
      const part = text.slice(start, end)
      if (parseElements(part) === undefined) {
        const bytePosition = this.#buffer.offset + utf8Length(text.slice(0, start))
        const problem = part.trim() === '' ? 'an element is missing between two commas or brackets' : 'this element is not JSON'
        return malformed(this.#context.address, { bytePosition, element }, problem, part)
      }
      element++
    }
    return malformed(this.#context.address, { bytePosition: this.#buffer.offset, element: this.#elements + 1 }, 'this is not JSON', text)
  }

  /** The error at `index`, quoting what stands from there up to `to`. */
  #fail(index: number, problem: string, to: number): Error {
    const excerpt = new TextDecoder().decode(this.#buffer.bytes.subarray(index, Math.min(to, index + 120)))
    return malformed(this.#context.address, { bytePosition: this.#buffer.offset + index }, problem, excerpt)
  }
}

/** The values of a list of elements; `undefined` where one is not JSON or there is none. */
function parseElements(text: string): unknown[] | undefined {
  try {
    // No text can close this array and open another: that would be two documents, which JSON.parse refuses.
    const values: unknown[] = JSON.parse(`[${text}]`)
    return values.length === 0 ? undefined : values
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined
    throw cause
  }
}

/** The index of the first byte that is not white space, or the length. */
function firstInk(bytes: Uint8Array): number {
  let index = 0
  while (index < bytes.length && isSpace(bytes[index])) index++
  return index
}

function isSpace(byte: number | undefined): boolean {
  return byte === 32 || byte === 10 || byte === 13 || byte === 9
}

/** Where the elements of a list lie, by the same rule as the scan. Only for messages. */
function* topLevelElements(text: string): Generator<[number, number]> {
  let [start, depth, inString] = [0, 0, false]
  for (let index = 0; index < text.length; index++) {
    const char = text[index]
    if (inString && char === '\\') index++
    else if (char === '"') inString = !inString
    else if (inString) continue
    else if (char === '{' || char === '[') depth++
    else if (char === '}' || char === ']') depth--
    else if (char === ',' && depth === 0) {
      yield [start, index]
      start = index + 1
    }
  }
  yield [start, text.length]
}
