/**
 * Apps for the tests of the whole: started as their users start them, with their state in a folder of their own.
 *
 * Owns: the folder, the two workerds that wrangler starts (its proxy and the app's own), one connection. After `stop()` none of it is left.
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connect, type AnyApp, type AppStub, type RunView } from 'dotdo/client'
import { signToken } from 'dotdo/tokens'
import { startDemo as startTemplate } from '../../packages/create-dotdo/template/scripts/local.ts'
import { launch } from '../../packages/dotdo/src/cli/worker.ts'

/** The repository. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

/** A running app, and a client that is let in. */
export interface RunningApp extends AsyncDisposable {
  /** The app's address, with a slash at its end. */
  url: string
  /** Where its state lies. */
  state: string
  secret: string
  /** A session's token. */
  token: string
  app: AppStub<AnyApp>
  stop(): Promise<void>
}

/** A fresh folder under the machine's own place for such, and its removal. */
export async function temporary(name: string): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), `dotdo-${name}-`))
  // workerd may still be closing files when it is asked for the last time.
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }) }
}

/** The template's app on this repository's wrangler.toml, with its 200,000 flights laid out: what `npm start` serves. */
export async function startDemo(state?: string): Promise<RunningApp> {
  const folder = state === undefined ? await temporary('demo') : undefined
  const stateFolder = state ?? folder!.path
  const local = await startTemplate({ configPath: join(root, 'wrangler.toml'), stateFolder, port: 0, clean: false })
  const secret = readFileSync(join(stateFolder, 'secret'), 'utf8')
  return running(local.url, stateFolder, secret, async () => {
    await local.stop()
    await folder?.remove()
  })
}

/** The Worker of any wrangler.toml, with a secret and as a local app. `vars` go over those of the file. Its state is a new one, unless given. */
export async function startWorker(config: string, vars: Record<string, string> = {}, state?: string): Promise<RunningApp> {
  const folder = state === undefined ? await temporary('app') : { path: state, remove: () => Promise.resolve() }
  const secret = 'a secret for the tests of the whole'
  const bindings = Object.fromEntries(
    Object.entries({ DOTDO_SECRET: secret, DOTDO_LOCAL: '1', ...vars }).map(([name, value]) => [
      name,
      { type: 'plain_text' as const, value },
    ]),
  )
  const dev = {
    logLevel: 'none' as const,
    inspector: false,
    watch: false,
    persist: folder.path,
    server: { hostname: '127.0.0.1', port: 0 },
  }
  const worker = await launch({ config, bindings, dev }, () => {})
  return running(worker.url.href, folder.path, secret, async () => {
    await worker.stop()
    await folder.remove()
  })
}

async function running(url: string, state: string, secret: string, end: () => Promise<void>): Promise<RunningApp> {
  const token = await sessionToken(secret)
  const app = connect(url, { token })
  let ended: Promise<void> | undefined
  const stop = () =>
    (ended ??= (async () => {
      app.close()
      await end()
    })())
  return { url, state, secret, token, app, stop, [Symbol.asyncDispose]: stop }
}

/** A token that opens an app, for `ms`; a negative time makes one that has expired. */
export function sessionToken(secret: string, ms = 3_600_000): Promise<string> {
  return signToken({ kind: 'session', expiresAt: Date.now() + ms }, secret)
}

/** Reads until what was read will do. @throws with the last value when that is not so within `ms` */
export async function until<T>(what: string, read: () => Promise<T>, done: (value: T) => boolean, ms = 60_000): Promise<T> {
  const end = Date.now() + ms
  for (;;) {
    const value = await read()
    if (done(value)) return value
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms; last was ${JSON.stringify(value)}`)
    await wait(20)
  }
}

/** Triggers the schedule and waits for the run's end, and for that of the event's run, which fills the shards. */
export async function runPipeline(app: AppStub<AnyApp>): Promise<RunView> {
  const pipeline = app.dotdo.object('Pipeline', 'main')
  const before = (await eventRuns(app)).length
  const runId = await pipeline.trigger('daily')
  const run = await until(
    'the run ends',
    () => Promise.resolve(pipeline.run(runId)),
    (it) => it.status !== 'running',
    120_000,
  )
  if (run.status !== 'done') throw new Error(`the run ended as ${run.status}: ${JSON.stringify(run.error)}`)
  await until(
    'the event is handled',
    () => eventRuns(app),
    (runs) => runs.length > before && runs.every((it) => it.status === 'done'),
  )
  return run
}

/** The runs of handlers of `Pipeline.completed`. */
export async function eventRuns(app: AppStub<AnyApp>): Promise<RunView[]> {
  const runs = await app.dotdo.object('Pipeline', 'main').runs({ limit: 500 })
  return runs.filter((it) => it.target.kind === 'event' && it.target.type === 'Pipeline.completed')
}

/**
 * The workerd that runs the app's own code: the one below `parent` that has files of the state open. wrangler's proxy is another one.
 * Linux only: it looks at /proc. Undefined while there is none.
 */
export function workerdOf(state: string, parent = process.pid): number | undefined {
  return descendants(parent).find((pid) => isWorkerd(pid) && openFiles(pid).some((path) => path.startsWith(`${state}/`)))
}

/** All workerds below a process. */
export function workerdsBelow(parent = process.pid): number[] {
  return descendants(parent).filter(isWorkerd)
}

/** The processes below one, from /proc. */
function descendants(parent: number): number[] {
  const children: number[] = []
  for (const pid of readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)) {
    if (statOf(pid)?.parent === parent) children.push(pid, ...descendants(pid))
  }
  return children
}

function isWorkerd(pid: number): boolean {
  const stat = statOf(pid)
  // A zombie has ended: its parent has not asked yet.
  return stat?.name === 'workerd' && stat.state !== 'Z'
}

function statOf(pid: number): { name: string; state: string; parent: number } | undefined {
  const match = /^\d+ \((.*)\) (\S) (\d+)/s.exec(gone(() => readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? '')
  return match ? { name: match[1]!, state: match[2]!, parent: Number(match[3]) } : undefined
}

function openFiles(pid: number): string[] {
  const names = gone(() => readdirSync(`/proc/${pid}/fd`)) ?? []
  return names.flatMap((name) => gone(() => readlinkSync(`/proc/${pid}/fd/${name}`)) ?? [])
}

/** Processes and their files end while they are looked at. */
function gone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}
