/**
 * SQLite's values and their order, in JavaScript.
 *
 * One type holds both forms a value takes here. As a *cell* (on the wire and for the user) an INTEGER is a `number` while it is safe, else
 * a `bigint`, and a REAL is a `number`. As a *scalar* (inside expressions) an INTEGER is always a `bigint` and a REAL a `number`, so that
 * `7/2` and `7.0/2` differ. Comparison works on either.
 *
 * Source: https://sqlite.org/datatype3.html, section 4.
 */
export type Cell = null | number | bigint | string | Uint8Array

/** A row of an answer, by column name. Integers beyond 2^53 are `bigint`, blobs `Uint8Array`. */
export type Row = Record<string, Cell>

/** The first letter of SQLite's `typeof`: integer, real, text, blob, null. */
export type TypeLetter = 'i' | 'r' | 't' | 'b' | 'n'

/**
 * SQLite's order of values: NULL, then numbers, then text by its UTF-8 bytes (collation BINARY), then blobs by bytes. Negative when `a` comes
 * first. Equal numbers of different type (1 and 1.0) compare as 0, exactly even beyond 2^53.
 */
export function compareCells(a: Cell, b: Cell): number {
  const rankA = rankOf(a)
  const rankB = rankOf(b)
  if (rankA !== rankB) return rankA - rankB
  if (rankA === 1) return a! < b! ? -1 : a! > b! ? 1 : 0
  if (rankA === 2) return compareText(a as string, b as string)
  return rankA === 3 ? compareBytes(a as Uint8Array, b as Uint8Array) : 0
}

/**
 * Compares as the UTF-8 bytes do, which is by code point. JavaScript's own `<` compares UTF-16 units and puts surrogates (code points above
 * 0xffff) before 0xe000 to 0xffff.
 */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x === y) continue
    return x >= 0xd800 && y >= 0xd800 ? aboveBmp(x) - aboveBmp(y) : x - y
  }
  return a.length - b.length
}

/**
 * A key that is the same for exactly those lists of cells that SQLite puts into one group: 1 and 1.0 are one, '1' is another, NULL
 * equals NULL, -0.0 equals 0.
 */
export function groupKey(cells: readonly Cell[]): string {
  let key = ''
  for (const cell of cells) key += partOf(cell)
  return key
}

/** A cell as a scalar, given the letter of its type. */
export function toScalar(cell: Cell, letter: string): Cell {
  return letter === 'i' && typeof cell === 'number' ? BigInt(cell) : cell
}

/** A scalar as the user and the wire see it; -0.0 is 0. */
export function toCell(scalar: Cell): Cell {
  if (typeof scalar === 'bigint') return scalar >= -maxSafe && scalar <= maxSafe ? Number(scalar) : scalar
  return scalar === 0 ? 0 : scalar
}

/** Whether an integer fits SQLite's 64 bits. */
export function fitsInt64(value: bigint): boolean {
  return value >= -(2n ** 63n) && value < 2n ** 63n
}

/** An estimate of the bytes that a cell takes in memory and on the wire. */
export function cellBytes(cell: Cell): number {
  if (typeof cell === 'string') return 16 + cell.length * 2
  return cell instanceof Uint8Array ? 32 + cell.length : 8
}

const maxSafe = BigInt(Number.MAX_SAFE_INTEGER)

/** The class of a value in SQLite's order. */
function rankOf(cell: Cell): number {
  switch (typeof cell) {
    case 'number':
    case 'bigint':
      return 1
    case 'string':
      return 2
    default:
      return cell === null ? 0 : 3
  }
}

/** Moves surrogates above the rest of the plane they interrupt. */
function aboveBmp(unit: number): number {
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000
}

/** As memcmp, and the shorter first where one begins with the other. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

// Text and blobs carry their length, so that no value can imitate the end of another.
function partOf(cell: Cell): string {
  switch (typeof cell) {
    case 'number':
      // A large REAL that is a whole number must meet the INTEGER of the same value, which is a bigint.
      return Number.isInteger(cell) && !Number.isSafeInteger(cell) ? `${BigInt(cell)},` : `${cell === 0 ? 0 : cell},`
    case 'bigint':
      return `${cell},`
    case 'string':
      return `t${cell.length}:${cell}`
    default: {
      if (cell === null) return 'n'
      let hex = `b${cell.length}:`
      for (const byte of cell) hex += byte.toString(16).padStart(2, '0')
      return hex
    }
  }
}
