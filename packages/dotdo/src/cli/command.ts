/** What a command is, and what it is given. */
import type { AnyApp, AppStub } from '../client/connect.ts'
import type { Terminal } from './terminal.ts'

/** One option of a command. */
export interface OptionSpec {
  /** `true` where it takes a value: how that is named in the help. A switch has none. */
  value?: string
  help: string
}

/** What was typed, read. */
export interface Input {
  positionals: string[]
  /** The text of an option with a value; `undefined` where it was not given. */
  text: (option: string) => string | undefined
  /** Whether a switch was given. */
  has: (option: string) => boolean
}

/** What a command works with. */
export interface Context {
  terminal: Terminal
  /** Whether to print objects, one a line, in the place of what people read. */
  json: boolean
  /** Aborted when the command is to end: by Ctrl-C, or because nobody reads what it prints. */
  signal: AbortSignal
  env: Readonly<Record<string, string | undefined>>
  /** Absolute: where the command was typed. */
  cwd: string
  /** Epoch milliseconds. */
  now: () => number
  /** Makes this the only program in the process that hears of Ctrl-C, again: wrangler's own listener would end it at once. */
  takeSignals: () => void
  /** The app, once for all calls of the command. @throws `APP_NOT_FOUND` */
  connect: () => Promise<AppStub<AnyApp>>
  /** Runs when the command has ended, however it did; the last one first. */
  atEnd: (close: () => void | Promise<void>) => void
}

/** A command of `dotdo`. */
export interface Command {
  name: string
  /** One line for the list of all commands. */
  summary: string
  /** What stands behind the name, such as `NOUN/ID SCHEDULE`. */
  takes: string
  /** How many of those are needed, and how many there may be. */
  positionals: readonly [least: number, most: number]
  options: Readonly<Record<string, OptionSpec>>
  /** What more there is to say. */
  about?: string
  /** Command lines that work as they stand, with what they are for. Tests run them. */
  examples: readonly (readonly [line: string, purpose: string])[]
  /** Whether it asks a running app, and so takes `--url` and `--token`. */
  asksApp: boolean
  /** Gives the exit code. */
  run: (input: Input, context: Context) => Promise<number>
}
