/**
 * Where a command prints, and all that leaves it for a person.
 *
 * Owns the secrets of this command. Invariants: (1) no token leaves by either stream, whole or cut, but for the link that `dev` is asked for;
 * (2) standard output has what was asked for and nothing else; (3) after the reader is gone nothing is written, and nothing throws.
 */
import { redactText, redacted } from '../base/redact.ts'
import { painter, wantsColor, type Paint } from './paint.ts'

/** Where a command prints. */
export interface Terminal {
  /** How wide lines may be; `Infinity` where nobody looks at them. */
  readonly columns: number
  /** How many lines are seen at once. */
  readonly rows: number
  /** Whether lines can be drawn anew in their place. */
  readonly isLive: boolean
  /** Colours of standard output, and of standard error. */
  readonly paint: Paint
  readonly paintError: Paint
  /** Lines for standard output. */
  print: (...lines: string[]) => void
  /** Lines for standard error: what is said beside the answer. */
  note: (...lines: string[]) => void
  /** One object as a line of JSON on standard output. */
  object: (value: unknown) => void
  /** A text that is shown as it is, though a token stands in it: the one-time link that somebody asked for. */
  reveal: (line: string) => void
  /** Puts these lines in the place of those that were drawn last. Only where `isLive`. */
  draw: (lines: readonly string[]) => void
  /** Leaves what was drawn where it is: what is drawn next stands below. */
  settle: () => void
  /** Never shows this text from now on. */
  hide: (secret: string) => void
}

/** What a terminal needs of a stream. */
export interface Sink {
  write: (text: string) => unknown
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}

/** Shorter texts are no secrets, and would be found in every line. */
const leastSecret = 8

/** A terminal over two streams. `COLUMNS` says how wide one is that is none. */
export function makeTerminal(output: Sink, error: Sink, env: Readonly<Record<string, string | undefined>>): Terminal {
  const secrets = new Set<string>()
  const paint = painter(wantsColor(output.isTTY ?? false, env))
  const asked = /^\d+$/.test(env['COLUMNS'] ?? '') ? Number(env['COLUMNS']) : 0
  let drawn = 0
  const clean = (text: string): string => {
    let safe = redactText(text)
    for (const secret of secrets) safe = safe.replaceAll(secret, redacted)
    return safe
  }
  const lines = (texts: readonly string[]) => texts.map((text) => `${clean(text)}\n`).join('')
  return {
    // Asked each time: windows change.
    get columns() {
      const wanted = output.isTTY ? (output.columns ?? 80) : asked
      return wanted > 0 ? Math.max(20, wanted) : Infinity
    },
    get rows() {
      return output.rows ?? 24
    },
    isLive: (output.isTTY ?? false) && env['TERM'] !== 'dumb',
    paint,
    paintError: painter(wantsColor(error.isTTY ?? false, env)),
    print: (...texts) => void output.write(lines(texts)),
    note: (...texts) => void error.write(lines(texts)),
    object: (value) => void output.write(lines([JSON.stringify(value, jsonValue)])),
    reveal: (text) => void output.write(`${text}\n`),
    draw(texts) {
      const up = drawn > 0 ? `\u001b[${drawn}A` : ''
      // What stood there may have been longer, and there may have been more of it.
      output.write(`${up}${texts.map((text) => `\u001b[2K${clean(text)}\n`).join('')}\u001b[J`)
      drawn = texts.length
    },
    settle: () => {
      drawn = 0
    },
    hide: (secret) => {
      if (secret.length >= leastSecret) secrets.add(secret)
    },
  }
}

/** What JSON has no form for, in one that can be read back by people and programs: integers beyond 2^53 and bytes as text. */
function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  // A Buffer has become an object of its own before it gets here.
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  return value
}
