/** `npx dotdo` as a process of its own: what it prints, and how it ends. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { root, until } from '../support/app.ts'

/** The program behind `npx dotdo`, as it is shipped. */
export const commandLine = join(root, 'packages/dotdo/dist/cli/main.js')

/** How a command has ended. */
export interface Ended {
  code: number | null
  out: string
  err: string
}

/** A command that runs. */
export interface Running {
  child: ChildProcess
  out: () => string
  err: () => string
  /** Resolves when standard output has this. */
  said(pattern: RegExp): Promise<RegExpExecArray>
  ended: Promise<Ended>
}

const started = new Set<ChildProcess>()

/** Starts a command, in a process group of its own. The machine's own settings are not in its environment. */
export function start(args: readonly string[], env: Record<string, string> = {}, cwd = root): Running {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(DOTDO_|X_LOCAL_|NO_COLOR$|FORCE_COLOR$|COLUMNS$|TERM$|VITEST|NODE_ENV$)/.test(name),
  )
  const child = spawn(process.execPath, [commandLine, ...args], {
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...Object.fromEntries(kept), ...env },
  })
  started.add(child)
  const texts = { out: '', err: '' }
  child.stdout.on('data', (bytes: Buffer) => (texts.out += bytes.toString()))
  child.stderr.on('data', (bytes: Buffer) => (texts.err += bytes.toString()))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...texts }))
  return {
    child,
    out: () => texts.out,
    err: () => texts.err,
    said: async (pattern) => {
      const gone = () => child.exitCode !== null || child.signalCode !== null
      await until(
        `${args.join(' ')} says ${pattern}`,
        async () => `${texts.out}${gone() ? texts.err : ''}`,
        (text) => pattern.test(text) || gone(),
        120_000,
      )
      const match = pattern.exec(texts.out)
      if (!match) throw new Error(`${args.join(' ')} ended and never said ${pattern}: ${texts.out}\n${texts.err}`)
      return match
    },
    ended,
  }
}

/** Ends what a failed test has left behind: of each its whole group, by its own id. */
export function endAll(): void {
  for (const child of started) if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL')
  started.clear()
}

/** The objects of an output, one a line. @throws for a line that is none */
export function objects(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}
