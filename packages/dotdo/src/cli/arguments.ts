/** Command lines, read strictly: what is not known is refused, with the name that was probably meant. Pure. */
import { parseArgs } from 'node:util'
import { toMs } from '../base/durations.ts'
import { parseInstant } from '../base/instants.ts'
import { priceNames, readBudget, type Budget } from '../base/price.ts'
import type { Command, Input, OptionSpec } from './command.ts'
import { usageError } from './failure.ts'
import { nearest } from './nearest.ts'

/** Options of every command. */
export const commonOptions: Readonly<Record<string, OptionSpec>> = {
  json: { help: 'objects, one a line, instead of what people read' },
  help: { help: 'shows this' },
}

/** Options of the commands that ask a running app. */
export const appOptions: Readonly<Record<string, OptionSpec>> = {
  url: { value: 'URL', help: 'the app; DOTDO_URL unless said otherwise, else the one that runs here' },
  token: { value: 'TOKEN', help: 'a session token; better set as DOTDO_TOKEN, or sign one with DOTDO_SECRET' },
  folder: { value: 'FOLDER', help: 'the state of a local app (DOTDO_FOLDER, else .dotdo/state here or above)' },
}

/** All options that a command takes. */
export function optionsOf(command: Command): Record<string, OptionSpec> {
  return { ...command.options, ...(command.asksApp && appOptions), ...commonOptions }
}

/**
 * Reads what stands behind the name of a command.
 * @throws `USAGE_INVALID` for an option that is unknown, lacks its value, has one that it does not take, or was given twice, and for too few or
 * too many other arguments. Where help is asked for, nothing else has to be right.
 */
export function readArguments(command: Command, args: readonly string[]): Input {
  const specs = optionsOf(command)
  const see = `See: npx dotdo ${command.name} --help`
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      Object.entries(specs).map(([name, { value }]) => [
        name,
        { type: value === undefined ? ('boolean' as const) : ('string' as const), ...(name === 'help' && { short: 'h' }) },
      ]),
    ),
    allowPositionals: true,
    // Its own refusals name no other option, so what it finds is judged here.
    strict: false,
    tokens: true,
  })
  const given = new Map<string, string | true>()
  const positionals: string[] = []
  for (const token of tokens) if (token.kind === 'option' && token.name === 'help') given.set('help', true)
  if (given.has('help')) return input(given, positionals)

  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const { name, rawName, value, inlineValue } = token
    const spec = Object.hasOwn(specs, name) ? specs[name]! : undefined
    if (!spec) {
      const meant = nearest(name, Object.keys(specs))
      throw usageError(`There is no option ${rawName}${meant === undefined ? '' : `: --${meant} is the nearest`}. ${see}`, {
        option: rawName,
      })
    }
    if (given.has(name)) throw usageError(`${rawName} was given twice. ${see}`, { option: rawName })
    if (spec.value === undefined) {
      if (value !== undefined) throw usageError(`${rawName} takes no value. ${see}`, { option: rawName })
      given.set(name, true)
    } else if (value === undefined || (value.startsWith('-') && !inlineValue)) {
      // What looks like the next option is taken for one.
      throw usageError(`${rawName} needs a value: ${rawName}=${spec.value}. ${see}`, { option: rawName })
    } else given.set(name, value)
  }
  const [least, most] = command.positionals
  const form = `npx dotdo ${command.name}${command.takes && ` ${command.takes}`}`
  if (positionals.length < least) throw usageError(`Something is missing: ${form}. ${see}`, { given: positionals.length })
  if (positionals.length > most)
    throw usageError(`${JSON.stringify(positionals[most])} is one argument too many: ${form}. ${see}`, { given: positionals.length })
  return input(given, positionals)
}

function input(given: ReadonlyMap<string, string | true>, positionals: string[]): Input {
  return {
    positionals,
    text: (option) => {
      const value = given.get(option)
      return typeof value === 'string' ? value : undefined
    },
    has: (option) => given.has(option),
  }
}

/** One object of an app, by noun and name. */
export interface ObjectName {
  noun: string
  name: string
}

/** Whether a text has the form `Noun/name`, or `eu:Noun/name` of an object that has to stay there. Names may hold slashes, nouns never do. */
export function isObjectName(text: string): boolean {
  return /^(?:[a-z][a-z0-9-]*:)?[A-Z][A-Za-z0-9_$]*\/./su.test(text)
}

/** Reads `Noun/name`. @throws `USAGE_INVALID` */
export function readObject(text: string): ObjectName {
  if (!isObjectName(text))
    throw usageError(`${JSON.stringify(text)} names no object. Write its noun and its name: Pipeline/main.`, { object: text })
  const slash = text.indexOf('/')
  return { noun: text.slice(0, slash), name: text.slice(slash + 1) }
}

/**
 * Reads an instant with its zone, `2026-11-23T02:00Z`, or a date, which is its midnight in UTC. Epoch milliseconds; `undefined` for another text, also for
 * one without its zone, which would mean something else on each machine, and for a day that there is not.
 */
export function readInstant(text: string): number | undefined {
  const at = parseInstant(text)
  return Number.isNaN(at) ? undefined : at
}

/** A time that a list is narrowed to: from an instant on, and before one. */
export interface Times {
  since?: number
  until?: number
}

/** `--since` and `--until`. @param what that is in it */
export function timeOptions(what: string): Readonly<Record<keyof Times, OptionSpec>> {
  return {
    since: { value: 'TIME', help: `only ${what} since: 90m, 1d, 2026-11-23T02:00Z` },
    until: { value: 'TIME', help: `only ${what} before, written like --since` },
  }
}

/** Reads them: each a length of time before now, or an instant. @throws `USAGE_INVALID` */
export function readTimes(text: (option: string) => string | undefined, now: number): Times {
  const [since, until] = (['since', 'until'] as const).map((option) => readTime(option, text(option), now))
  if (since !== undefined && until !== undefined && since >= until)
    throw usageError(`Nothing is since ${text('since')} and before ${text('until')}: --since is the earlier of the two.`, { since, until })
  return { ...(since !== undefined && { since }), ...(until !== undefined && { until }) }
}

function readTime(option: string, text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined
  const at = readInstant(text)
  if (at !== undefined) return at
  if (/^\d+(?:\.\d+)?\s*[a-z]+$/i.test(text)) return now - toMs(text)
  throw usageError(`--${option} ${text} is no time. Write how long ago, such as 90m or 1d, or an instant, such as 2026-11-23T02:00Z.`, {
    [option]: text,
  })
}

/** Reads a whole number from `least` to `most`. @throws `USAGE_INVALID` */
export function readNumber(option: string, text: string | undefined, fallback: number, [least, most]: readonly [number, number]): number {
  if (text === undefined) return fallback
  const value = /^\d+$/.test(text) ? Number(text) : NaN
  if (value >= least && value <= most) return value
  throw usageError(`--${option} ${text} will not do. Give a whole number from ${least} to ${most}.`, { option, value: text })
}

/** How `--budget` is written, and what it is. */
export const budgetOption: OptionSpec = {
  value: 'NAME=N,…',
  help: `ends it with BUDGET_EXCEEDED where it uses more: ${[...priceNames, 'wall'].join(', ')}, such as requests=1000,wall=1h`,
}

/** Reads `requests=1000,wall=1h`: what a run may use at most, by name; time as a length of time. @throws `USAGE_INVALID`, `INVALID_BUDGET`, `INVALID_DURATION` */
export function readBudgetOption(text: string | undefined): Budget | undefined {
  if (text === undefined) return undefined
  const entries = text.split(',').map((part): [string, number] => {
    const [name = '', value = '', ...rest] = part.split('=').map((it) => it.trim())
    if (name === 'wall' && rest.length === 0) return ['wallMs', toMs(value)]
    if (!/^\d+$/.test(value) || rest.length > 0)
      throw usageError(`--budget ${text} is no budget. Write names with whole numbers: requests=1000,rowsWritten=50000,wall=1h.`, {
        option: 'budget',
        value: text,
      })
    return [name, Number(value)]
  })
  return readBudget(Object.fromEntries(entries))
}

/** Reads one of some words. @throws `USAGE_INVALID` with the nearest of them */
export function readWord<Word extends string>(option: string, text: string | undefined, words: readonly Word[]): Word | undefined {
  if (text === undefined || (words as readonly string[]).includes(text)) return text as Word | undefined
  const meant = nearest(text, words)
  throw usageError(`--${option} ${text} is none of ${words.join(', ')}${meant === undefined ? '' : `: ${meant} is the nearest`}.`, {
    option,
    value: text,
  })
}
