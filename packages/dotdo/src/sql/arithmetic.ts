import { fitsInt64, type Cell } from './values.ts'

/**
 * SQLite's arithmetic over scalars: integers of 64 bits that become REAL when they overflow, division that truncates, NULL for a division by
 * zero, and text read as the number it begins with. Source: https://sqlite.org/lang_expr.html and `OP_Add` in vdbe.c.
 */
export function arithmetic(op: '+' | '-' | '*' | '/' | '%', left: Cell, right: Cell): Cell {
  if (left === null || right === null) return null
  const a = numericOf(left)
  const b = numericOf(right)
  if (typeof a === 'bigint' && typeof b === 'bigint') {
    if ((op === '/' || op === '%') && b === 0n) return null
    const exact = integer(op, a, b)
    if (fitsInt64(exact)) return exact
  }
  if (op === '%') {
    // The remainder is of integers always; a text such as 1e3 begins with the integer 1.
    const divisor = toInteger(right)
    return divisor === 0n ? null : Number(toInteger(left) % divisor)
  }
  return real(op, Number(a), Number(b))
}

/** The number that a value is, or begins with; 0 where it begins with none. */
export function numericOf(value: Exclude<Cell, null>): number | bigint {
  if (typeof value === 'number' || typeof value === 'bigint') return value
  const text = typeof value === 'string' ? value : new TextDecoder().decode(value)
  const match = /^\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)/.exec(text)
  if (!match) return 0n
  const digits = match[1]!
  if (/^[+-]?\d+$/.test(digits)) {
    const exact = BigInt(digits.replace('+', ''))
    if (fitsInt64(exact)) return exact
  }
  return Number(digits)
}

/** The value as a REAL; text and blobs count as the number they begin with. */
export function toReal(value: Exclude<Cell, null>): number {
  return Number(numericOf(value))
}

/** As CAST to INTEGER: toward zero, and the nearest integer of 64 bits for what lies outside of them. */
export function toInteger(value: Exclude<Cell, null>): bigint {
  if (typeof value === 'string' || value instanceof Uint8Array) {
    const text = typeof value === 'string' ? value : new TextDecoder().decode(value)
    return clamp(BigInt((/^\s*([+-]?\d+)/.exec(text)?.[1] ?? '0').replace('+', '')))
  }
  if (typeof value === 'bigint') return value
  if (Number.isNaN(value)) return 0n
  return Number.isFinite(value) ? clamp(BigInt(Math.trunc(value))) : value > 0 ? most : least
}

/**
 * Rounds to decimal places, half away from zero, by the first 18 significant digits, which is how closely SQLite looks too: 2.675, a little less than
 * it says, becomes 2.67. SQLite's own conversion to decimal is not exact in the 18th digit: of numbers that end in a 5 right after the
 * place one in 2,000 is rounded the other way by SQLite 3.53, and others by other releases.
 */
export function roundReal(value: number, places: number): number {
  // At 2^52 and above a REAL has no fraction.
  if (!Number.isFinite(value) || Math.abs(value) > 4503599627370496) return value
  if (places <= 0) return Math.trunc(value + (value < 0 ? -0.5 : 0.5))
  const [mantissa, exponent] = Math.abs(value).toExponential(17).split('e') as [string, string]
  const kept = Math.min(places, 30)
  const dropped = 17 - Number(exponent) - kept
  if (dropped <= 0) return value
  const unit = 10n ** BigInt(dropped)
  const rounded = Number(`${(BigInt(mantissa.replace('.', '')) + unit / 2n) / unit}e-${kept}`)
  return value < 0 ? -rounded : rounded
}

/** Whether a value counts as true; `null` for NULL. */
export function truthOf(value: Cell): boolean | null {
  return value === null ? null : Number(numericOf(value)) !== 0
}

// The ends of SQLite's integers.
const least = -(2n ** 63n)
const most = 2n ** 63n - 1n

/** The nearest integer of 64 bits. */
function clamp(value: bigint): bigint {
  return value < least ? least : value > most ? most : value
}

/** The exact result, however large; the divisor is not zero. BigInt division truncates toward zero, as C's does. */
function integer(op: string, a: bigint, b: bigint): bigint {
  switch (op) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return a / b
    default:
      return a % b
  }
}

/** NaN is NULL in SQLite. */
function real(op: string, a: number, b: number): Cell {
  if (op === '/' && b === 0) return null
  const result = op === '+' ? a + b : op === '-' ? a - b : op === '*' ? a * b : a / b
  return Number.isNaN(result) ? null : result
}
