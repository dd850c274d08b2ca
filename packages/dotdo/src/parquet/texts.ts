import { noBounds, textBefore, textBounds, widen, type Bounds } from './bounds.ts'
import type { ByteWriter } from './bytes.ts'
import { bitsOf, writeDelta } from './delta.ts'
import { Encoding } from './format.ts'
import { writeHybrid } from './hybrid.ts'
import { grown, grownCapacity, PAGE_BYTES, PAGE_VALUES, type ColumnValues, type GroupValues } from './values.ts'

/** The most entries of a dictionary: its codes then fit 15 bits. */
export const MAX_DICTIONARY_ENTRIES = 1 << 15

/** The most characters of a dictionary. */
export const MAX_DICTIONARY_CHARACTERS = 1 << 19

/** From this many entries on, a dictionary with more than one entry for two values is given up. */
const TRIAL_ENTRIES = 4096

/**
 * Texts are encoded in joins of about this many characters. One call a text costs four times as much; one for a whole page makes strings so
 * large that the engine keeps them apart, and allocating those costs just as much.
 */
const JOIN_CHARACTERS = 1 << 15

/** The longest text that a column takes, in characters: a page must fit into memory several times over. */
export const MAX_TEXT_CHARACTERS = 1 << 24

/**
 * Texts, by dictionary while that pays and one after the other from then on. It owns the dictionary of a row group and the texts of
 * a page, and is in one of two states:
 *
 * - coding: each distinct text is an entry, a value is its code. What waits are codes.
 * - direct: what waits are the texts themselves, joined and encoded with one call when the page is written.
 *
 * 1. A row group begins coding, unless the one before it found that coding does not pay.
 * 2. Coding goes over to direct at a page's end and never back within a row group; pages of codes written before that stay, and with
 *    them the dictionary.
 * 3. The dictionary's size is bounded by {@link MAX_DICTIONARY_ENTRIES} and about {@link MAX_DICTIONARY_CHARACTERS}; one text may exceed it.
 */
export class TextValues implements ColumnValues<string> {
  readonly #coerce: (value: unknown) => string | undefined
  readonly #utf8 = new TextEncoder()
  #coding = true
  /** Whether row groups begin direct, because coding a long one did not pay. */
  #startDirect = false
  #codes = new Uint16Array(1024)
  #codeOf = new Map<string, number>()
  #entries: string[] = []
  #entryCharacters = 0
  /** Whether a page of codes has been written, so that the row group needs its dictionary. */
  #referred = false
  #full = false
  #lastWasNew = false
  #texts: string[] = []
  /** Characters of what waits, in either state. */
  #characters = 0
  #lastLength = 0
  #ascii = true
  #lengths = new Uint32Array(1024)
  #bounds: Bounds<string> = noBounds()
  count = 0

  constructor(coerce: (value: unknown) => string | undefined) {
    this.#coerce = coerce
  }

  get due(): boolean {
    return this.#full || this.count >= PAGE_VALUES || (!this.#coding && this.#characters >= PAGE_BYTES)
  }

  get waitingBytes(): number {
    return this.#coding ? this.#entryCharacters + 2 * this.count : this.#characters + 4 * this.count
  }

  get heldBytes(): number {
    const characters = this.#coding ? this.#entryCharacters : this.#characters
    return characters + 64 * (this.#entries.length + this.#texts.length) + this.#codes.byteLength + this.#lengths.byteLength
  }

  push(value: unknown): boolean {
    const text = this.#coerce(value)
    if (text === undefined || text.length > MAX_TEXT_CHARACTERS) return false
    this.#lastLength = text.length
    this.#characters += text.length
    if (this.#coding) this.#pushCode(text)
    else this.#texts.push(text)
    this.count++
    return true
  }

  /** Codes a text, making it an entry where it is new, and asks for a page where the dictionary has become too large or useless. */
  #pushCode(text: string): void {
    let code = this.#codeOf.get(text)
    this.#lastWasNew = code === undefined
    if (code === undefined) {
      code = this.#entries.push(text) - 1
      this.#codeOf.set(text, code)
      this.#entryCharacters += text.length
      this.#full =
        code + 1 >= MAX_DICTIONARY_ENTRIES ||
        this.#entryCharacters >= MAX_DICTIONARY_CHARACTERS ||
        (code + 1 >= TRIAL_ENTRIES && !this.#referred && (code + 1) * 2 > this.count)
    }
    if (this.count === this.#codes.length) this.#codes = grown(this.#codes, new Uint16Array(grownCapacity(this.count, this.count + 1)))
    this.#codes[this.count] = code
  }

  pop(): void {
    this.count--
    this.#characters -= this.#lastLength
    if (!this.#coding) this.#texts.pop()
    else if (this.#lastWasNew) {
      // The refused row alone brought this text: were it to stay, the dictionary and the bounds would hold a value that no row has.
      this.#codeOf.delete(this.#entries.pop()!)
      this.#entryCharacters -= this.#lastLength
      this.#full = false
    }
  }

  page(out: ByteWriter): number {
    const encoding = this.#coding && !this.#uncode() ? this.#codePage(out) : this.#textPage(out)
    this.count = 0
    this.#characters = 0
    return encoding
  }

  /**
   * Goes over to direct, taking the codes that wait back into texts, where that is no worse: the dictionary has more than one entry
   * for two values and no page needs it yet. Bounded, because texts that repeat much are left to the dictionary.
   */
  #uncode(): boolean {
    if (this.#referred || this.#entries.length * 2 <= this.count || this.#characters > 2 * Math.max(this.#entryCharacters, PAGE_BYTES))
      return false
    for (let i = 0; i < this.count; i++) this.#texts.push(this.#entries[this.#codes[i]!]!)
    // A short row group says little about the next one; a long one does.
    this.#startDirect = this.count >= TRIAL_ENTRIES
    this.#dropDictionary()
    this.#coding = false
    return true
  }

  /** Writes the codes that wait: a byte with their width, then hybrid runs. From here on the row group has a dictionary. */
  #codePage(out: ByteWriter): number {
    // One entry takes one bit, not none: some readers do not know codes of no bits.
    const width = Math.max(1, bitsOf(this.#entries.length - 1))
    out.u8(width)
    writeHybrid(out, this.#codes, 0, this.count, width)
    this.#referred = true
    if (this.#full) {
      this.#coding = false
      // What is written directly ends its pages by its own size: a dictionary that stays full would end one at every value.
      this.#full = false
    }
    return Encoding.RLE_DICTIONARY
  }

  /** Writes the texts that wait: all lengths, then all texts. Bounds are found in the same go, while the texts are at hand. */
  #textPage(out: ByteWriter): number {
    const texts = this.#texts
    const lengths = this.#roomForLengths(texts.length)
    const start = out.length
    let pairs = false
    // Guess that a page is like the one before it. In ASCII lengths in characters are lengths in bytes, which costs nothing to know.
    if (!this.#ascii || !this.#writeTexts(out, asciiLengths(texts, lengths))) {
      out.length = start
      const size = utf8Lengths(texts, lengths)
      this.#ascii = size.bytes === this.#characters
      pairs = size.pairs
      this.#writeTexts(out, size.bytes)
    }
    widen(this.#bounds, textBounds(texts, pairs), textBefore)
    this.#texts = []
    return Encoding.DELTA_LENGTH_BYTE_ARRAY
  }

  /** Scratch memory for the lengths of a page. */
  #roomForLengths(count: number): Uint32Array {
    if (count > this.#lengths.length) this.#lengths = new Uint32Array(grownCapacity(this.#lengths.length, count))
    return this.#lengths
  }

  /** Writes lengths and texts; `false`, midway, where the texts do not come to the `size` bytes that the lengths promise. */
  #writeTexts(out: ByteWriter, size: number): boolean {
    const texts = this.#texts
    writeDelta(out, this.#lengths, texts.length)
    out.reserve(size)
    const end = out.length + size
    for (let i = 0; i < texts.length;) {
      let joined = ''
      while (i < texts.length && joined.length < JOIN_CHARACTERS) joined += texts[i++]!
      const { read, written } = this.#utf8.encodeInto(joined, out.bytes.subarray(out.length, end))
      out.length += written
      if (read < joined.length) return false
    }
    // Everything found room in exactly the bytes that it was given.
    return true
  }

  endGroup(): GroupValues<string> {
    const group: GroupValues<string> = { bounds: this.#bounds }
    if (this.#referred) {
      const entries = this.#entries
      widen(group.bounds, textBounds(entries, entries.some(hasPairs)), textBefore)
      group.dictionary = { entries: entries.length, write: (out) => writePlainTexts(out, entries, this.#utf8) }
    }
    this.#bounds = noBounds()
    this.#dropDictionary()
    this.#coding = !this.#startDirect
    return group
  }

  /** Forgets the entries. The map is made anew and not cleared: one that was large keeps its memory. */
  #dropDictionary(): void {
    this.#codeOf = new Map()
    this.#entries = []
    this.#entryCharacters = 0
    this.#referred = false
    this.#full = false
  }
}

/** Writes each text as its length and its bytes. */
function writePlainTexts(out: ByteWriter, texts: readonly string[], utf8: TextEncoder): void {
  for (const text of texts) {
    out.reserve(4 + utf8Length(text))
    const { written } = utf8.encodeInto(text, out.bytes.subarray(out.length + 4))
    out.view.setUint32(out.length, written, true)
    out.length += 4 + written
  }
}

/** Lengths in characters, and their sum: lengths in bytes where all is ASCII. */
function asciiLengths(texts: readonly string[], into: Uint32Array): number {
  let size = 0
  for (let i = 0; i < texts.length; i++) size += into[i] = texts[i]!.length
  return size
}

/** Lengths in bytes, their sum, and whether any text holds a surrogate pair, which changes the order of texts. */
function utf8Lengths(texts: readonly string[], into: Uint32Array): { bytes: number; pairs: boolean } {
  let bytes = 0
  let pairs = false
  for (let i = 0; i < texts.length; i++) {
    const text = texts[i]!
    const length = utf8Length(text)
    into[i] = length
    bytes += length
    // A text of ASCII needs no look.
    if (!pairs && length > text.length) pairs = hasPairs(text)
  }
  return { bytes, pairs }
}

/** Whether a well-formed text holds characters beyond U+FFFF. */
function hasPairs(text: string): boolean {
  return /[\ud800-\udfff]/.test(text)
}

/** The bytes of a well-formed text in UTF-8: both halves of a surrogate pair count two. */
function utf8Length(text: string): number {
  let size = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit >= 0x80) size += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2
  }
  return size
}
