/**
 * What a capability is narrowed to. Caveats are data, stored and sent; they compose by conjunction: each {@link Guard} of a capability must
 * admit a call, and nothing that a guard says makes another one admit more.
 */
import { DotdoError } from '../base/errors.ts'
import { isRealDay } from '../base/instants.ts'
import { toMs } from '../base/durations.ts'
import { invalid, firstMismatch, patternBudget, readPatterns, type Pattern } from './patterns.ts'
import { overLimit } from './limits.ts'
import { isPublicName } from './reach.ts'
import { estimateBytes } from './stats.ts'

/** What `narrow` and `save` take. What is left out does not limit. */
export interface Caveats<Name extends string = string> {
  /** The only methods and getters that can be reached. */
  only?: readonly Name[]
  /** Until when: an instant (epoch milliseconds, a `Date`, ISO text) or a time from now (`'15m'`). */
  until?: number | Date | string
  /** How many calls and reads. One is used up when it is admitted, whatever comes of it. */
  uses?: number
  /** What arguments a method takes: one pattern for each. A method that is not named here takes any. */
  where?: { readonly [Method in Name]?: readonly Pattern[] }
  /** Limits that are the capability's own, beside those of its link. */
  limits?: CapabilityLimits
}

/** How much may be asked of one capability. Over a limit the call is refused as a `LimitError`, and nothing of it happens. */
export interface CapabilityLimits {
  /** Bytes of the arguments of one call, estimated as `stats()` estimates them. */
  argumentBytes?: number
  /** Calls that are under way at once through one holder's capability. */
  callsAtOnce?: number
}

/** Caveats as they are stored and enforced: read, checked, instants in epoch milliseconds. */
export interface ReadCaveats {
  only?: string[]
  until?: number
  uses?: number
  where?: Record<string, Pattern[]>
  limits?: CapabilityLimits
}

const maxNames = 256
const maxNameLength = 256
const known = ['only', 'until', 'uses', 'where', 'limits']
const knownLimits = ['argumentBytes', 'callsAtOnce'] as const

/**
 * Reads caveats that somebody else wrote.
 * @param now epoch milliseconds, for an `until` that is a time from now
 * @throws `INVALID_CAVEAT`
 */
export function readCaveats(written: unknown, now: number): ReadCaveats {
  if (typeof written !== 'object' || written === null || Array.isArray(written)) throw invalid('caveats', 'must be an object')
  const { only, until, uses, where, limits, ...rest } = written as Record<string, unknown>
  const stranger = Object.keys(rest).find((name) => rest[name] !== undefined)
  if (stranger !== undefined) throw invalid(stranger, `is no caveat; there are ${known.join(', ')}`)
  const read: ReadCaveats = {}
  if (only !== undefined) read.only = readNames(only)
  if (until !== undefined) read.until = readInstant(until, now)
  if (uses !== undefined) {
    if (typeof uses !== 'number' || !Number.isSafeInteger(uses) || uses < 1) throw invalid('uses', 'must be a whole number from 1 on')
    read.uses = uses
  }
  if (limits !== undefined) read.limits = readLimits(limits)
  if (where !== undefined) {
    if (typeof where !== 'object' || where === null || Array.isArray(where))
      throw invalid('where', 'must be an object: patterns for each method')
    const budget = patternBudget()
    read.where = {}
    for (const name of readNames(Object.keys(where), 'where'))
      read.where[name] = readPatterns((where as Record<string, unknown>)[name], `where.${name}`, budget)
  }
  return read
}

/**
 * Reads caveats that are written now: an instant that is over would make a capability that nobody can ever use.
 * @throws `INVALID_CAVEAT`
 */
export function writtenCaveats(written: unknown, now: number): ReadCaveats {
  const read = readCaveats(written, now)
  if (read.until !== undefined && read.until <= now)
    throw invalid('until', `must be to come, and ${new Date(read.until).toISOString()} is over at ${new Date(now).toISOString()}`)
  return read
}

function readLimits(limits: unknown): CapabilityLimits {
  if (typeof limits !== 'object' || limits === null || Array.isArray(limits)) throw invalid('limits', 'must be an object')
  const read: CapabilityLimits = {}
  for (const [name, bound] of Object.entries(limits)) {
    const limit = knownLimits.find((it) => it === name)
    if (!limit) throw invalid(`limits.${name.slice(0, 100)}`, `is no limit of a capability; there are ${knownLimits.join(', ')}`)
    if (bound === undefined) continue
    if (!Number.isSafeInteger(bound) || (bound as number) < 1) throw invalid(`limits.${name}`, 'must be a whole number from 1 on')
    read[limit] = bound as number
  }
  return read
}

function readNames(names: unknown, path = 'only'): string[] {
  if (!Array.isArray(names)) throw invalid(path, 'must be a list of names')
  if (names.length > maxNames) throw invalid(path, `has ${names.length} names; ${maxNames} is the most`)
  for (const name of names as unknown[])
    if (typeof name !== 'string' || name.length === 0 || name.length > maxNameLength || !isPublicName(name))
      throw invalid(
        path,
        `names ${typeof name === 'string' ? JSON.stringify(name.slice(0, 100)) : `a ${typeof name}`}, which is no name of a method that can be reached`,
      )
  return [...new Set(names as string[])]
}

function readInstant(until: unknown, now: number): number {
  if (typeof until === 'string' && /^\s*\d+(?:\.\d+)?\s*[a-z]+\s*$/i.test(until)) return now + toMs(until)
  // JavaScript reads a date out of nearly any text that has a number in it.
  const isIso =
    typeof until === 'string' &&
    /^\s*(?:[+-]\d\d)?\d{4}-\d\d/.test(until) &&
    (!/^\s*\d{4}-\d\d-\d\d/.test(until) || isRealDay(until.trim()))
  const instant = until instanceof Date ? until.getTime() : isIso ? Date.parse(until) : until
  // Beyond it there are no dates.
  if (typeof instant === 'number' && Math.abs(instant) <= 8.64e15) return instant
  throw invalid('until', "must be an instant (epoch milliseconds, a Date, ISO text) or a time from now such as '15m'")
}

/** Where the uses of one caveat are counted. */
export interface UseCounter {
  left(): number
  take(): void
}

/** One set of caveats, in force. */
export interface Guard {
  /** Whether it speaks of names at all: a function has none. */
  readonly named: boolean
  /** Whether its `where` speaks of this name: what is reached by it is a method then, and its arguments must be seen. */
  looksAt(name: string): boolean
  /** @param args `undefined` where only the name is asked about @throws `CAPABILITY_*` */
  check(name: string, args: readonly unknown[] | undefined): void
  /** Takes up a call that was admitted; the result is called when it has ended. @throws `LINK_LIMIT` */
  enter?(): () => void
  /** Takes one use: after every guard of the capability has checked, so that a call that is refused uses up nothing. */
  take(): void
  /** Whether it can end: what is reached through the capability then ends with it. */
  readonly ends: boolean
  /** @throws `CAPABILITY_EXPIRED`, `CAPABILITY_REVOKED` when what was reached through it is not to be used any more */
  alive(): void
}

/** The guard of caveats that nothing but time ends. */
export function guardOf(caveats: ReadCaveats, now: () => number, uses?: UseCounter): Guard {
  const { only, until, where, limits = {} } = caveats
  const { argumentBytes, callsAtOnce } = limits
  let underWay = 0
  const names = only && new Set(only)
  const alive = () => {
    if (until !== undefined && now() >= until) throw expired(until)
  }
  return {
    named: only !== undefined || where !== undefined,
    ends: until !== undefined,
    alive,
    looksAt: (name) => argumentBytes !== undefined || (where !== undefined && Object.hasOwn(where, name)),
    check(name, args) {
      alive()
      if (names && !names.has(name)) throw denied(name, only)
      if (uses && uses.left() <= 0) throw usedUp(caveats.uses ?? 0)
      if (args && argumentBytes !== undefined) {
        const bytes = estimateBytes(args)
        if (bytes > argumentBytes) throw overLimit('argumentBytes', bytes, argumentBytes)
      }
      if (callsAtOnce !== undefined && underWay >= callsAtOnce) throw overLimit('callsAtOnce', underWay + 1, callsAtOnce)
      if (!args || !where || !Object.hasOwn(where, name)) return
      const argument = firstMismatch(where[name]!, args)
      if (argument >= 0) throw argumentDenied(name, argument)
    },
    ...(callsAtOnce !== undefined && {
      enter() {
        underWay++
        return () => void underWay--
      },
    }),
    take: () => uses?.take(),
  }
}

/** The error for a capability whose time has run out. */
export function expired(until: number): DotdoError {
  return new DotdoError(
    'CAPABILITY_EXPIRED',
    `This capability was good until ${new Date(until).toISOString()}. Ask whoever handed it out for a new one.`,
    { data: { until } },
  )
}

function denied(method: string, only: readonly string[] | undefined): DotdoError {
  return new DotdoError(
    'CAPABILITY_DENIED',
    `This capability does not reach ${JSON.stringify(method)}. It reaches: ${only?.join(', ') || 'nothing'}. Call one of these, or ask for a capability that reaches more.`,
    { data: { method, caveat: 'only', only: [...(only ?? [])] } },
  )
}

/** The argument is not repeated, and neither is its pattern: both may be somebody's secret. @param argument its place, counted from 0 */
function argumentDenied(method: string, argument: number): DotdoError {
  return new DotdoError(
    'CAPABILITY_DENIED',
    `This capability does not call ${JSON.stringify(method)} with this as argument ${argument + 1}. Ask whoever handed it out what it takes there.`,
    { data: { method, caveat: 'where', argument } },
  )
}

function usedUp(uses: number): DotdoError {
  return new DotdoError(
    'CAPABILITY_USED_UP',
    `This capability was good for ${uses} ${uses === 1 ? 'call' : 'calls'}, and they are used up. Ask whoever handed it out for a new one.`,
    { data: { uses } },
  )
}

/** The error for a capability that its issuer took back. The label is the issuer's own note: it is not told. */
export function revoked(): DotdoError {
  return new DotdoError(
    'CAPABILITY_REVOKED',
    'This capability was revoked, or is so old that it is no longer remembered. Ask whoever handed it out for a new one.',
  )
}
