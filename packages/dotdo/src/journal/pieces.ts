import { encodeValue } from '../base/codec.ts'
import { DotdoError } from '../base/errors.ts'
import type { Store } from '../base/ports.ts'
import type { Compression } from './ports.ts'
import type { SpillWriter } from './spill.ts'

/** The longest text of one stored chunk, in UTF-16 units: at most 1.5 MiB of UTF-8, under the platform's 2 MB a value. */
export const chunkChars = 512 * 1024

/** The longest text of a value that is kept in one piece: everything but arrays and streams. Characters. */
export const maxTextChars = 64 * 1024 * 1024

/** What a piece of an array aims at: memory is bounded by a few of these, not by the array. */
const pieceChars = chunkChars / 2

/** Chunk numbers have 20 bits: 512 GiB, more than an object holds. */
export const chunksPerValue = 2 ** 20

/**
 * The texts of an array in order: each is an `encodeValue` of some of its elements, about 256 Ki characters long. How many elements
 * make a piece is told by encoding a few of them, so elements may change in size along the way.
 *
 * Elements that are one shared object come back as one only within a piece. An array that contains itself is one piece.
 *
 * @throws `NOT_STORABLE`
 */
export function* encodePieces(array: readonly unknown[], what: string): Generator<string, void, undefined> {
  const measure = pieceMeter(array, what)
  for (let from = 0; from < array.length;) {
    const count = measure(from)
    // The whole array needs no copy, and is the common case of a small one.
    const piece = count === array.length ? array : array.slice(from, from + count)
    const text = encodeWhole(piece, what)
    if (text[0] === 'd' && piece !== array && reaches(piece, array)) {
      if (from > 0)
        throw new DotdoError(
          'NOT_STORABLE',
          `${what} cannot be stored: element ${from} or one after it contains the whole array again. Return plain data without cycles.`,
          { data: { what } },
        )
      yield encodeWhole(array, what)
      return
    }
    yield text
    from += count
  }
}

/**
 * Writes lines of text into chunks of one value: many to a chunk where they are small, over several where they are large.
 *
 * A chunk is text, or a blob of the same compressed: rows as JSON shrink to a tenth, and a disk that is waited for takes longer than zstd.
 */
export class ChunkWriter {
  readonly #store: Store
  readonly valueId: number
  readonly #compression: Compression | undefined
  /** Takes the chunks behind its first bytes, where there is a bucket. */
  readonly spill: SpillWriter | undefined
  #pending = ''
  #scratch: Uint8Array | undefined
  /** Chunks written so far. */
  chunks = 0
  /** Bytes of UTF-8 written so far, without the chunks' marks. */
  sizeBytes = 0
  /** Bytes that lie in rows, as they lie there; characters, where nothing is compressed. */
  rowBytes = 0

  constructor(store: Store, valueId: number, compression?: Compression, spill?: SpillWriter) {
    this.#store = store
    this.valueId = valueId
    this.#compression = compression
    this.spill = spill
  }

  /** Adds one line, which must hold no line break (encoded values never do). Full chunks are written at once. */
  add(line: string): void {
    if (this.#pending !== '' && this.#pending.length + 1 + line.length > chunkChars) this.flush()
    this.#pending = this.#pending === '' ? line : `${this.#pending}\n${line}`
    while (this.#pending.length > chunkChars) {
      const cut = cutAt(this.#pending, chunkChars)
      this.#write('+', this.#pending.slice(0, cut))
      this.#pending = this.#pending.slice(cut)
    }
  }

  /** Writes what is pending; the last call of a value. */
  flush(): void {
    if (this.#pending !== '') this.#write('=', this.#pending)
    this.#pending = ''
  }

  /** Whether the next chunk goes to the bucket. */
  get spills(): boolean {
    return this.spill !== undefined && this.sizeBytes >= this.spill.fromBytes
  }

  /** `+`: the last line goes on in the next chunk. `=`: it ends here. */
  #write(mark: '+' | '=', text: string): void {
    if (this.chunks === chunksPerValue) {
      throw new DotdoError(
        'RESULT_TOO_LARGE',
        `A stored value reached ${chunksPerValue} chunks of ${chunkChars} characters, the most that one value may have. Write it to R2 or to a table and return its name.`,
        {
          data: { chunks: chunksPerValue },
        },
      )
    }
    const marked = mark + text
    // One for all chunks of a value but a short last one.
    if (text.length > chunkChars / 4) this.#scratch ??= new Uint8Array((chunkChars + 1) * 3)
    const scratch = this.#scratch ?? new Uint8Array(marked.length * 3)
    const { written } = new TextEncoder().encodeInto(marked, scratch)
    const spill = this.spills ? this.spill : undefined
    this.sizeBytes += written - 1
    const chunk = this.#compression?.compress(scratch.subarray(0, written)) ?? marked
    if (spill) return spill.add(chunk)
    this.rowBytes += chunk.length
    this.#store.sql('INSERT INTO dotdo_values (id, text) VALUES (?, ?)', this.valueId * chunksPerValue + this.chunks++, chunk)
  }
}

/** A chunk with its mark, whichever form it is stored in. @throws `STATE_TOO_NEW` for a compressed one without the means to read it */
function readChunk(stored: string | Uint8Array, compression: Compression | undefined): string {
  if (typeof stored === 'string') return stored
  // The mark comes first, so a decoder takes no character of the text for a byte order mark.
  if (compression) return new TextDecoder().decode(compression.decompress(stored))
  throw new DotdoError(
    'STATE_TOO_NEW',
    'A stored value is compressed, and this runtime was given no compression. Open the state with the runtime that wrote it, or a later one.',
  )
}

/** The lines of a stored value in order, one chunk in memory at a time; gives what a last line has that goes on elsewhere. @throws `VALUE_LOST` when chunks are gone */
export function* readLines(store: Store, valueId: number, chunks: number, compression?: Compression): Generator<string, string, undefined> {
  let carried = ''
  for (let chunk = 0; chunk < chunks; chunk++) {
    const row = store.sql<{ text: string | Uint8Array }>('SELECT text FROM dotdo_values WHERE id = ?', valueId * chunksPerValue + chunk)[0]
    if (!row) {
      throw new DotdoError(
        'VALUE_LOST',
        `Chunk ${chunk} of ${chunks} of stored value ${valueId} is gone: its run was pruned. Read results before the retention ends, or keep runs longer.`,
        {
          data: { valueId, chunk, chunks },
        },
      )
    }
    const marked = readChunk(row.text, compression)
    carried += marked.slice(1)
    if (marked[0] === '+') continue
    yield* carried.split('\n')
    carried = ''
  }
  return carried
}

/** The lines of a value whose chunks go on in a bucket: one part in memory at a time. @throws as {@link readLines}; `STATE_TOO_NEW` */
export async function* readSpilled(
  rows: Generator<string, string, undefined>,
  parts: number,
  read: (part: number) => Promise<(string | Uint8Array)[]>,
  compression?: Compression,
): AsyncGenerator<string, void, undefined> {
  let carried = yield* rows
  for (let part = 0; part < parts; part++) {
    for (const chunk of await read(part)) {
      const marked = readChunk(chunk, compression)
      carried += marked.slice(1)
      if (marked[0] === '+') continue
      yield* carried.split('\n')
      carried = ''
    }
  }
}

/** Length of text in bytes of UTF-8, for texts of a few thousand characters: it encodes. Stored text has no lone surrogates, since the codec escapes them. */
export function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length
}

/** Where to cut text at or before `length` without halving a surrogate pair, which would not survive UTF-8. */
export function cutAt(text: string, length: number): number {
  const unit = text.charCodeAt(length - 1)
  return length < text.length && unit >= 0xd800 && unit <= 0xdbff ? length - 1 : length
}

/** The text of a value that is kept in one piece. @throws `NOT_STORABLE`, `RESULT_TOO_LARGE` */
export function encodeWhole(value: unknown, what: string): string {
  let text: string
  try {
    text = encodeValue(value, what)
  } catch (thrown) {
    // JavaScript's own limit on the length of a text (half a GiB) comes as a RangeError.
    if (thrown instanceof RangeError) throw tooLarge(what, thrown)
    throw thrown
  }
  if (text.length > maxTextChars) throw tooLarge(what)
  return text
}

function tooLarge(what: string, cause?: unknown): DotdoError {
  return new DotdoError(
    'RESULT_TOO_LARGE',
    `${what} is longer than ${maxTextChars} characters in one piece. Return an array of rows or an async iterable of batches: those are stored piece by piece, whatever their size.`,
    {
      data: { what, limit: maxTextChars },
      cause,
    },
  )
}

/**
 * Tells how many elements from an index on make about one piece: as many as the first one's size suggests, halved while the middle or
 * the last of them would make it too long. Each element is tried at most once, so a huge one far behind is not encoded again and again.
 */
function pieceMeter(array: readonly unknown[], what: string): (from: number) => number {
  const sizes = new Map<number, number>()
  const size = (at: number): number => {
    let chars = sizes.get(at)
    if (chars === undefined) sizes.set(at, (chars = 1 + encodeWhole(array[at], what).length))
    return chars
  }
  return (from) => {
    const left = array.length - from
    if (left <= 2) return left
    let count = Math.max(1, Math.min(left, Math.floor(pieceChars / size(from))))
    while (count > 1 && count * Math.max(size(from + (count >> 1)), size(from + count - 1)) > pieceChars * 1.5) count = count >> 1
    return count
  }
}

/** Whether `target` can be reached from `start` through arrays, maps, sets and plain objects. */
function reaches(start: unknown, target: object): boolean {
  const seen = new Set<object>()
  const open: unknown[] = [start]
  while (open.length > 0) {
    const value = open.pop()
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || seen.has(value)) continue
    if (value === target) return true
    seen.add(value)
    if (value instanceof Map) for (const [key, it] of value) open.push(key, it)
    else for (const it of value instanceof Set ? value : Object.values(value)) open.push(it)
  }
  return false
}
