import type { Bounds } from './bounds.ts'
import type { ByteWriter } from './bytes.ts'

/**
 * The gathered values of one column, for as long as a file is written. Nulls are not here: the column chunk that owns this keeps
 * them as levels.
 *
 * 1. `count` values wait for their page, in the order in which they came.
 * 2. {@link push} adds exactly one value or, answering `false`, changes nothing.
 * 3. {@link pop} takes back the last push, and may be called once after it, before anything else.
 * 4. `due` asks for {@link page} soon: what waits has reached the size of a page.
 * 5. Memory is bounded by a page of what waits and, for texts, one dictionary.
 */
export interface ColumnValues<T = unknown> {
  /** The values that wait for their page. */
  readonly count: number
  /** Whether what waits is enough for a page. */
  readonly due: boolean
  /** About how many bytes the values that wait are. */
  readonly waitingBytes: number
  /** About how many bytes of memory are held, scratch included, which stays from row group to row group. */
  readonly heldBytes: number
  /** Takes a value as it stands in a row; `false` when it is not one of this column's type. Never null. */
  push(value: unknown): boolean
  pop(): void
  /** Writes what waits, one value at least, as the values of one data page, forgets it, and answers the encoding that was used. */
  page(out: ByteWriter): number
  /** At the end of a row group, when nothing waits: what its pages held. Begins the next row group. */
  endGroup(): GroupValues<T>
}

/** What one row group of a column held. */
export interface GroupValues<T> {
  /** The dictionary that data pages refer to: writes it (PLAIN) and tells how many entries it has. */
  dictionary?: { entries: number; write(out: ByteWriter): void }
  /** In the domain of `T`; NaN is left out. Texts and bytes are whole, not cut. */
  bounds: Bounds<T>
  /** How many values were NaN; only of floating point columns. */
  nanCount?: number
}

/** Characters or bytes of text and binary that make a page. Around a megabyte one `encodeInto` and one compression are at their best. */
export const PAGE_BYTES = 1 << 20

/** Values that make a page, whatever their size. */
export const PAGE_VALUES = 1 << 17

/** The next capacity of scratch memory for `needed` items. */
export function grownCapacity(current: number, needed: number): number {
  return Math.max(needed, current * 2, 1024)
}

/** Scratch memory with what it held so far: `into` is the larger one. */
export function grown<T extends { set(values: T): void }>(from: T, into: T): T {
  into.set(from)
  return into
}
