/**
 * The command line of dotdo, over ports: what was typed, and the machine. It is a client that holds a capability: a session of the app.
 *
 * Owns the connection of the command and what it has begun. Invariants: (1) whatever way a command ends, all that it has begun is ended first, the
 * last one first; (2) each way to end has one exit code, see `failure.ts`; (3) an interrupted command asks nothing more of the app.
 */
import { readFileSync } from 'node:fs'
import type { AnyApp, AppStub } from '../client/connect.ts'
import { connect } from '../client/connect.ts'
import { codeOf } from '../base/errors.ts'
import { readArguments } from './arguments.ts'
import type { Command, Context, Input } from './command.ts'
import { backfill } from './commands/backfill.ts'
import { dev } from './commands/dev.ts'
import { alerts } from './commands/alerts.ts'
import { events } from './commands/events.ts'
import { fleet } from './commands/fleet.ts'
import { fork } from './commands/fork.ts'
import { lineage } from './commands/lineage.ts'
import { logs } from './commands/logs.ts'
import { query } from './commands/query.ts'
import { run } from './commands/run.ts'
import { runs } from './commands/runs.ts'
import { schedules } from './commands/schedules.ts'
import { trigger } from './commands/trigger.ts'
import { errorLine, errorText, exit, exitCodeOf, notReached, usageError } from './failure.ts'
import { helpOf, overview } from './help.ts'
import { nearest } from './nearest.ts'
import { findTarget } from './target.ts'
import type { Terminal } from './terminal.ts'

/** All commands, in the order of the help. */
export const commands: readonly Command[] = [
  dev,
  runs,
  run,
  fork,
  lineage,
  logs,
  trigger,
  schedules,
  backfill,
  events,
  alerts,
  fleet,
  query,
]

/** What the command line needs of the machine. */
export interface Machine {
  terminal: Terminal
  env: Readonly<Record<string, string | undefined>>
  /** Absolute. */
  cwd: string
  /** Epoch milliseconds. */
  now: () => number
  /** Aborted when the command is to end; its reason is the exit code. */
  signal: AbortSignal
  /** Makes this the only program in the process that hears of Ctrl-C, again. */
  takeSignals: () => void
}

/** How long a command tries to reach an app. */
const giveUpMs = 5000

/** Runs a command line. Gives the exit code; never rejects. */
export async function runCommandLine(args: readonly string[], machine: Machine): Promise<number> {
  const { terminal, signal } = machine
  const closers: (() => void | Promise<void>)[] = []
  const json = args.includes('--json')
  try {
    const [name = 'help', ...rest] = args
    if (name === '--version' || name === '-v') {
      terminal.print(ownVersion())
      return exit.fine
    }
    if (name === 'help' || name === '--help' || name === '-h') return help(rest[0], terminal)
    const command = commandOf(name)
    const input = readArguments(command, rest)
    if (input.has('help')) return help(name, terminal)
    const interrupted = new Promise<number>((resolve) => {
      if (signal.aborted) resolve(Number(signal.reason))
      signal.addEventListener('abort', () => resolve(Number(signal.reason)), { once: true })
    })
    const work = command.run(input, contextOf(input, json, machine, closers))
    // After an interrupt nobody waits for it: what is cut off then is no news.
    work.catch(() => {})
    const code = await Promise.race([interrupted, work])
    return signal.aborted ? Number(signal.reason) : code
  } catch (error) {
    // An error of the connection speaks of references, which nobody at a terminal has.
    const told = codeOf(error) === 'LINK_LOST' ? notReached((error as Error).message, error) : error
    tell(told, json, terminal)
    return exitCodeOf(told)
  } finally {
    for (const close of closers.toReversed()) {
      try {
        await close()
      } catch (error) {
        tell(error, json, terminal)
      }
    }
  }
}

function contextOf(
  input: Input,
  json: boolean,
  { terminal, env, cwd, now, signal, takeSignals }: Machine,
  closers: (() => void | Promise<void>)[],
): Context {
  let app: Promise<AppStub<AnyApp>> | undefined
  const open = async () => {
    const token = input.text('token')
    // Hidden before anything can fail: a message may quote what it was given.
    for (const secret of [token, env['DOTDO_TOKEN'], env['DOTDO_SECRET']]) if (secret) terminal.hide(secret)
    const target = await findTarget({ url: input.text('url'), token, folder: input.text('folder'), env, cwd })
    terminal.hide(target.token)
    const opened = connect(target.url, { token: target.token, giveUpMs })
    closers.push(() => opened.close())
    // A proxy that answers to `then` would be awaited; a stub of an app is none.
    return opened
  }
  return { terminal, json, signal, env, cwd, now, takeSignals, connect: () => (app ??= open()), atEnd: (close) => void closers.push(close) }
}

/** @throws `USAGE_INVALID` with the nearest name */
function commandOf(name: string): Command {
  const found = commands.find((command) => command.name === name)
  if (found) return found
  const meant = nearest(
    name,
    commands.map((command) => command.name),
  )
  throw usageError(
    `There is no command ${JSON.stringify(name)}${meant === undefined ? '' : `: ${meant} is the nearest`}. See: npx dotdo --help`,
    {
      command: name,
    },
  )
}

function help(name: string | undefined, terminal: Terminal): number {
  terminal.print(...(name === undefined ? overview(commands, ownVersion(), terminal.columns) : helpOf(commandOf(name), terminal.columns)))
  return exit.fine
}

function tell(error: unknown, json: boolean, terminal: Terminal): void {
  if (json) return terminal.note(JSON.stringify(errorLine(error)))
  const { message, stack } = errorText(error)
  terminal.note(terminal.paintError('red', message))
  if (stack !== undefined) terminal.note(terminal.paintError('dim', stack))
}

/** The package's own version: its folder is two above `dist/cli` and `src/cli`. */
function ownVersion(): string {
  return (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version
}
