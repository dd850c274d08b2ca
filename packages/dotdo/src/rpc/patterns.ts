/**
 * What arguments a narrowed capability takes, as data: it is stored and sent, so it is no code.
 *
 * The grammar. A pattern is a value (the argument is that value) or rules, all of which must hold:
 *
 *     pattern := text | number | bigint | boolean | null | Date
 *              | { any: true }                        whatever it is, capabilities too
 *              | { optional: true, … }                may be absent; else the other rules hold
 *              | { in: [value, …] }                   one of these
 *              | { min: value, max: value }           from min to max, both included; numbers, bigints, dates or texts, of one kind
 *              | { prefix: text }                     a text that begins so
 *              | { length: number }                   at most so many characters, elements or bytes
 *              | { fields: { name: pattern, … } }     an object with these fields, and no others unless `others: true`
 *              | { items: pattern }                   a list, each element of which is so
 *              | { either: [pattern, …] }             at least one of these holds
 *
 * What no pattern speaks of is refused: a field without one, an argument beyond the last one. Matching looks at plain data alone, takes at
 * most {@link maxMatchSteps} steps, and runs no code of the caller.
 */
import { DotdoError } from '../base/errors.ts'

/** A value that a pattern compares with. */
export type PatternValue = string | number | bigint | boolean | null | Date

/** A value that others are above or below of. */
export type PatternBound = string | number | bigint | Date

/** What one argument, field or element may be; the head of the file has the grammar. */
export type Pattern = PatternValue | PatternRules

/** Rules for one value. All that are given must hold. */
export interface PatternRules {
  any?: true
  optional?: true
  in?: readonly PatternValue[]
  min?: PatternBound
  max?: PatternBound
  prefix?: string
  length?: number
  fields?: Readonly<Record<string, Pattern>>
  /** With `fields`: whether there may be others, of which nothing is asked. */
  others?: true
  items?: Pattern
  either?: readonly Pattern[]
}

/** Patterns and values in all patterns of one capability, at most: what is stored and looked through is bounded. */
export const maxPatternNodes = 1_000
/** How deep patterns may be nested. */
export const maxPatternDepth = 16
/** Characters of one text in a pattern, at most. */
export const maxPatternText = 4_096
/** Values that one match looks at, at most; arguments beyond that are refused. */
export const maxMatchSteps = 100_000

/**
 * The place of the first argument that is not what its pattern says, counted from 0; -1 where all are. An argument beyond the patterns is none of them;
 * one that is absent is `undefined`.
 */
export function firstMismatch(patterns: readonly Pattern[], args: readonly unknown[]): number {
  const budget = { left: maxMatchSteps }
  const first = patterns.findIndex((pattern, index) => !matches(pattern, args[index], budget))
  return first < 0 && args.length > patterns.length ? patterns.length : first
}

interface Budget {
  left: number
}

function matches(pattern: Pattern, value: unknown, budget: Budget): boolean {
  if (--budget.left < 0) return false
  if (!isRules(pattern)) return isSame(pattern, value)
  if (pattern.any) return true
  if (value === undefined) return pattern.optional === true
  if (pattern.in && !pattern.in.some((it) => --budget.left >= 0 && isSame(it, value))) return false
  if (pattern.min !== undefined && !(sameKind(pattern.min, value) && value >= pattern.min)) return false
  if (pattern.max !== undefined && !(sameKind(pattern.max, value) && value <= pattern.max)) return false
  if (pattern.prefix !== undefined && !(typeof value === 'string' && value.startsWith(pattern.prefix))) return false
  if (pattern.length !== undefined && !(lengthOf(value) <= pattern.length)) return false
  if (pattern.fields && !matchesFields(pattern.fields, pattern.others === true, value, budget)) return false
  if (pattern.items !== undefined && !matchesItems(pattern.items, value, budget)) return false
  return !pattern.either || pattern.either.some((it) => matches(it, value, budget))
}

function matchesFields(fields: Readonly<Record<string, Pattern>>, others: boolean, value: unknown, budget: Budget): boolean {
  if (!isPlain(value)) return false
  if (!others && !Object.keys(value).every((name) => --budget.left >= 0 && Object.hasOwn(fields, name))) return false
  return Object.entries(fields).every(([name, it]) => matches(it, Object.hasOwn(value, name) ? value[name] : undefined, budget))
}

function matchesItems(pattern: Pattern, value: unknown, budget: Budget): boolean {
  if (!Array.isArray(value)) return false
  // By index: `every` passes over holes.
  for (let i = 0; i < value.length; i++) if (!matches(pattern, value[i], budget)) return false
  return true
}

function isSame(one: PatternValue, other: unknown): boolean {
  return one instanceof Date ? other instanceof Date && one.getTime() === other.getTime() : one === other
}

function sameKind(bound: PatternBound, value: unknown): value is PatternBound {
  return bound instanceof Date ? value instanceof Date : typeof bound === typeof value
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string' || Array.isArray(value)) return value.length
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer ? value.byteLength : Number.NaN
}

function isRules(pattern: Pattern): pattern is PatternRules {
  return typeof pattern === 'object' && pattern !== null && !(pattern instanceof Date)
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** A copy of patterns that somebody else wrote, checked against the grammar and its bounds. @throws `INVALID_CAVEAT` with the path of what is wrong */
export function readPatterns(written: unknown, path: string, budget: { left: number }): Pattern[] {
  if (!Array.isArray(written)) throw invalid(path, 'is no list: there is one pattern for each argument')
  return written.map((it: unknown, index) => readPattern(it, `${path}[${index}]`, 0, budget))
}

/** Room for all patterns of one capability; see {@link readPatterns}. */
export const patternBudget = (): { left: number } => ({ left: maxPatternNodes })

function readPattern(written: unknown, path: string, depth: number, budget: Budget): Pattern {
  if (--budget.left < 0) throw invalid(path, `is the pattern after the ${maxPatternNodes}th: a capability has no more`)
  if (depth > maxPatternDepth) throw invalid(path, `is nested deeper than ${maxPatternDepth}`)
  if (!isPlain(written)) return readValue(written, path)
  const rules: PatternRules = {}
  for (const [name, rule] of Object.entries(written)) {
    if (rule === undefined) continue
    const read = readers[name]
    if (!Object.hasOwn(readers, name) || !read)
      throw invalid(`${path}.${name}`, `is no rule; there are ${Object.keys(readers).join(', ')}. For a literal object write { fields: … }`)
    Object.assign(rules, { [name]: read(rule, `${path}.${name}`, depth, budget) })
  }
  if (Object.keys(rules).every((name) => name === 'optional' || name === 'others'))
    throw invalid(path, 'has no rule. For any value write { any: true }')
  if (rules.others && !rules.fields) throw invalid(`${path}.others`, 'stands without fields')
  return rules
}

type Reader = (rule: unknown, path: string, depth: number, budget: Budget) => unknown

const yes: Reader = (rule, path) => {
  if (rule !== true) throw invalid(path, 'must be true, or be left out')
  return true
}

const bound: Reader = (rule, path) => {
  const value = readValue(rule, path)
  if (value === null || typeof value === 'boolean') throw invalid(path, 'must be a number, a bigint, a text or a Date')
  return value
}

const readers: Readonly<Record<string, Reader>> = {
  any: yes,
  optional: yes,
  others: yes,
  in: (rule, path, _depth, budget) => {
    if (!Array.isArray(rule) || rule.length === 0) throw invalid(path, 'must be a list of at least one value')
    budget.left -= rule.length
    if (budget.left < 0) throw invalid(path, `has more values than a capability has (${maxPatternNodes})`)
    return rule.map((it: unknown, index) => readValue(it, `${path}[${index}]`))
  },
  min: bound,
  max: bound,
  prefix: (rule, path) => {
    if (typeof rule !== 'string') throw invalid(path, 'must be a text')
    return readValue(rule, path)
  },
  length: (rule, path) => {
    if (typeof rule !== 'number' || !Number.isInteger(rule) || rule < 0) throw invalid(path, 'must be a whole number from 0 on')
    return rule
  },
  fields: (rule, path, depth, budget) => {
    if (!isPlain(rule)) throw invalid(path, 'must be an object: a pattern for each field')
    const fields: Record<string, Pattern> = {}
    for (const [name, it] of Object.entries(rule)) {
      if (name === '__proto__' || name.length > maxPatternText) throw invalid(path, 'has a name that no field can have')
      fields[name] = readPattern(it, `${path}.${name}`, depth + 1, budget)
    }
    return fields
  },
  items: (rule, path, depth, budget) => readPattern(rule, path, depth + 1, budget),
  either: (rule, path, depth, budget) => {
    if (!Array.isArray(rule) || rule.length === 0) throw invalid(path, 'must be a list of at least one pattern')
    return rule.map((it: unknown, index) => readPattern(it, `${path}[${index}]`, depth + 1, budget))
  },
}

function readValue(written: unknown, path: string): PatternValue {
  if (written === null || typeof written === 'boolean' || typeof written === 'bigint') return written
  if (typeof written === 'string' && written.length <= maxPatternText) return written
  if (typeof written === 'number' && !Number.isNaN(written)) return written
  if (written instanceof Date && !Number.isNaN(written.getTime())) return new Date(written)
  throw invalid(
    path,
    `is no value that can be compared: a text of up to ${maxPatternText} characters, number, bigint, boolean, null or Date`,
  )
}

/** The error for a caveat that means nothing, or more than its bound. */
export function invalid(path: string, reason: string): DotdoError {
  // A path is made of names that somebody else chose.
  const at = path.length > 200 ? `${path.slice(0, 200)}…` : path
  return new DotdoError('INVALID_CAVEAT', `${at} ${reason}. Correct it, or leave it out.`, { data: { path: at, reason } })
}
