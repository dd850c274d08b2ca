import { DotdoError } from '../base/errors.ts'

/** Where in the data something is wrong. Positions count bytes of the decompressed data from 0, lines and elements from 1. */
export interface Position {
  bytePosition: number
  line?: number
  /** Which element of a top-level JSON array. */
  element?: number
}

/** What a message quotes of the data, at most. */
export const EXCERPT_CHARACTERS = 80

/** Trying again reads the same bytes, so somebody has to change something. */
const whatNext = 'Write it anew or leave it out; if it is in another format, say which: { format }.'

/**
 * The error of data that is not what its format says: `SOURCE_MALFORMED`, terminal, because reading it again gives the same bytes.
 * `problem` completes the sentence "address, at place: …"; `excerpt` is cut to {@link EXCERPT_CHARACTERS}.
 */
export function malformed(address: string, position: Position, problem: string, excerpt = '', cause?: unknown): DotdoError {
  const cut = excerpt.length > EXCERPT_CHARACTERS ? `${excerpt.slice(0, EXCERPT_CHARACTERS)}…` : excerpt
  const near = cut === '' ? '' : ` Near: ${JSON.stringify(cut)}.`
  return new DotdoError('SOURCE_MALFORMED', `${address}, ${placeOf(position)}: ${problem}.${near} ${whatNext}`, {
    data: { source: address, ...position, excerpt: cut },
    ...(cause !== undefined && { cause }),
  })
}

/** The error of one record, element or line that outgrows `limitBytes`: `SOURCE_TOO_LARGE`, terminal. */
export function recordTooLarge(address: string, bytePosition: number, limitBytes: number): DotdoError {
  const text = `${address}, byte ${bytePosition}: one record is longer than ${limitBytes} bytes. Raise { maxRecordBytes }, or check that { format } is right.`
  return new DotdoError('SOURCE_TOO_LARGE', text, { data: { source: address, bytePosition, limit: 'maxRecordBytes', limitBytes } })
}

function placeOf(position: Position): string {
  if (position.line !== undefined) return `line ${position.line} (byte ${position.bytePosition})`
  if (position.element !== undefined) return `element ${position.element} (byte ${position.bytePosition})`
  return `byte ${position.bytePosition}`
}
