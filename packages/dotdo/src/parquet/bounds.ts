// The smallest and the largest value of a column: how they are ordered, and how long ones are cut so that they still bound.

/** Texts and bytes in statistics are cut to this many code points or bytes. */
export const MAX_BOUND = 64

/** The smallest and largest value seen, both set or neither. */
export interface Bounds<T> {
  lower: T | undefined
  upper: T | undefined
}

/** A bound that may have been cut: `exact` tells whether the value itself occurs. */
export interface Cut<T> {
  value: T
  exact: boolean
}

/** Bounds of nothing. */
export function noBounds<T>(): Bounds<T> {
  return { lower: undefined, upper: undefined }
}

/** Takes the bounds of a part into the bounds of the whole. `before` is the order. */
export function widen<T>(whole: Bounds<T>, part: Bounds<T>, before: (a: T, b: T) => boolean): void {
  if (part.lower !== undefined && (whole.lower === undefined || before(part.lower, whole.lower))) whole.lower = part.lower
  if (part.upper !== undefined && (whole.upper === undefined || before(whole.upper, part.upper))) whole.upper = part.upper
}

/** The order of numbers and bigints, also of one with the other: JavaScript compares them exactly. */
export function numberBefore(a: number | bigint, b: number | bigint): boolean {
  return a < b
}

/**
 * Whether `a` comes before `b` by the bytes of its UTF-8, which is the order of code points and the one that Parquet and Iceberg ask
 * for. JavaScript's own `<` differs from it where half of a surrogate pair meets U+E000 to U+FFFF.
 */
export function textBefore(a: string, b: string): boolean {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return byCodePoint(x) < byCodePoint(y)
  }
  return a.length < b.length
}

/** Moves surrogates behind all other code units, where the code points they stand for belong. */
function byCodePoint(unit: number): number {
  return unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}

/** Whether `a` comes before `b` as unsigned bytes. */
export function bytesBefore(a: Uint8Array, b: Uint8Array): boolean {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i]! < b[i]!
  return a.length < b.length
}

/**
 * The bounds of a list of well-formed texts. `pairs` tells whether any of them holds a surrogate pair: without one JavaScript's fast
 * order is the right one.
 */
export function textBounds(texts: readonly string[], pairs: boolean): Bounds<string> {
  if (texts.length === 0) return noBounds()
  let lower = texts[0]!
  let upper = lower
  if (pairs) {
    for (const text of texts) {
      if (textBefore(text, lower)) lower = text
      if (textBefore(upper, text)) upper = text
    }
  } else {
    for (const text of texts) {
      if (text < lower) lower = text
      if (text > upper) upper = text
    }
  }
  return { lower, upper }
}

/** A text that is no later than `text`: its first {@link MAX_BOUND} code points. */
export function cutLowerText(text: string): Cut<string> {
  const kept = firstCodePoints(text)
  return { value: kept, exact: kept.length === text.length }
}

/**
 * A text that is no earlier than `text`: cut, its last code point that can be is raised by one. `undefined` where all that is left is
 * U+10FFFF, for then no short text bounds it.
 */
export function cutUpperText(text: string): Cut<string> | undefined {
  const kept = firstCodePoints(text)
  if (kept.length === text.length) return { value: kept, exact: true }
  const points = Array.from(kept)
  while (points.length > 0) {
    const point = points.pop()!.codePointAt(0)!
    if (point === 0x10ffff) continue
    // Behind U+D7FF lie the surrogates, which are no characters.
    const raised = point === 0xd7ff ? 0xe000 : point + 1
    return { value: points.join('') + String.fromCodePoint(raised), exact: false }
  }
  return undefined
}

function firstCodePoints(text: string): string {
  if (text.length <= MAX_BOUND) return text
  let units = 0
  for (let points = 0; points < MAX_BOUND && units < text.length; points++) units += text.codePointAt(units)! > 0xffff ? 2 : 1
  return text.slice(0, units)
}

/** Bytes that are no later than `bytes`: the first {@link MAX_BOUND}, copied. */
export function cutLowerBytes(bytes: Uint8Array): Cut<Uint8Array> {
  return { value: bytes.slice(0, MAX_BOUND), exact: bytes.length <= MAX_BOUND }
}

/** Bytes that are no earlier than `bytes`, or `undefined` where all of the first {@link MAX_BOUND} are 255. */
export function cutUpperBytes(bytes: Uint8Array): Cut<Uint8Array> | undefined {
  if (bytes.length <= MAX_BOUND) return { value: bytes.slice(), exact: true }
  for (let length = MAX_BOUND; length > 0; length--) {
    if (bytes[length - 1] === 255) continue
    const value = bytes.slice(0, length)
    value[length - 1]!++
    return { value, exact: false }
  }
  return undefined
}
