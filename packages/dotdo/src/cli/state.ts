/**
 * The folder of a local app's state, and what a command finds in it.
 *
 * Owns, in that folder: `lock` (the id of the process that has it), `secret` (what tokens are signed with), `url` (where the app answers). The rest
 * is workerd's. Invariants: (1) one process has the folder at a time; (2) the secret is the
 * project's own, of its `.dev.vars`, or is made once, so that a session outlives a restart; it is readable by its owner alone; (3) `url` is there only while the app answers, or where its process has died.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseEnv } from 'node:util'
import { notStarted } from './worker.ts'

/** A folder that this process has. */
export interface OpenState {
  secret: string
  /** The app answers at this address. */
  serves: (url: string) => void
  /** Gives the folder back. */
  close: () => void
}

/** The secret that a project has for this machine: what its scripts sign with. `undefined` where its `.dev.vars` has none. */
export function projectSecret(folder: string): string | undefined {
  const path = join(folder, '.dev.vars')
  return (existsSync(path) && parseEnv(readFileSync(path, 'utf8'))['DOTDO_SECRET']) || undefined
}

/**
 * Takes the folder, which is made where it is missing.
 * @param given the secret, where the project has one
 * @throws `APP_NOT_STARTED` where another process has it
 */
export function openState(folder: string, clean: boolean, given?: string): OpenState {
  const lock = join(folder, 'lock')
  const url = join(folder, 'url')
  const holder = holderOf(folder)
  if (holder !== undefined && holder !== process.pid) {
    // Two processes on one state would each run its schedules and overwrite the other's files.
    throw notStarted(
      `The app is running already, as process ${holder}. Stop that one (Ctrl-C) first. If it is another program, delete ${lock}.`,
      { pid: holder, lock },
    )
  }
  if (clean) rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  rmSync(lock, { force: true })
  rmSync(url, { force: true })
  // Taken or not in one call of the system: of two that start at once, one fails.
  const file = openSync(lock, 'wx')
  writeSync(file, String(process.pid))
  closeSync(file)
  // The secret must not be committed with the code beside it.
  if (!existsSync(join(folder, '.gitignore'))) writeFileSync(join(folder, '.gitignore'), '*\n')
  const path = join(folder, 'secret')
  if (given !== undefined) rmSync(path, { force: true })
  if (!existsSync(path)) writeFileSync(path, given ?? randomBytes(32).toString('hex'), { mode: 0o600 })
  return {
    secret: readFileSync(path, 'utf8'),
    serves: (address) => writeFileSync(url, address),
    close() {
      rmSync(url, { force: true })
      rmSync(lock, { force: true })
    },
  }
}

/** An app that runs on this machine. */
export interface RunningState {
  url: string
  secret: string
}

/** The app whose state is in the folder, where it runs and answers; `undefined` where it does not. */
export function readState(folder: string): RunningState | undefined {
  const path = join(folder, 'url')
  if (holderOf(folder) === undefined || !existsSync(path)) return undefined
  return { url: readFileSync(path, 'utf8'), secret: readFileSync(join(folder, 'secret'), 'utf8') }
}

/** The folder `.dotdo/state` at or above `from`; where there is none, the one that would be at `from`. */
export function findState(from: string): string {
  for (let at = from; ; at = dirname(at)) {
    const folder = join(at, '.dotdo', 'state')
    if (existsSync(folder)) return folder
    if (dirname(at) === at) return join(from, '.dotdo', 'state')
  }
}

/** The process that has the folder, while it lives. */
function holderOf(folder: string): number | undefined {
  const lock = join(folder, 'lock')
  if (!existsSync(lock)) return undefined
  const pid = Number(readFileSync(lock, 'utf8'))
  return Number.isInteger(pid) && pid > 0 && isAlive(pid) ? pid : undefined
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // A process of another user may not be asked, but it is there.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
