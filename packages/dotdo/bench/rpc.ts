/**
 * Calls between objects and from clients, on workerd itself, beside what users of the platform would write without dotdo.
 *
 * | file | what |
 * |---|---|
 * | `rpc/workerd.ts` | starts workerd on the bundled Workers |
 * | `rpc/worker/` | the Workers: callers, callees of both kinds, distance |
 * | `rpc/proxy.ts`, `rpc/clients.ts` | clients through a network of 20 ms |
 * | `rpc/watchers.ts` | 1,000 objects that are only watched |
 *
 * Distance between objects is put at the entry of the called one (`rpc/worker/far.ts`): 10 ms in and 10 ms out, for native calls and ours
 * alike, so a trip is 20 ms and a message from anywhere to anywhere takes half of one. A figure "in trips" is the time to that of one
 * plain native call over the same distance.
 *
 * Both sides take turns, in rounds so short that some meet a quiet machine. Where processor time is measured, the quieter rounds are compared;
 * where the time is mostly distance, the median of the rounds' ratios counts. `ONLY=chain` runs the measurements whose names contain that.
 */
import { fileURLToPath } from 'node:url'
import type { BenchResult } from '../../../bench/run.ts'
import { clientChains, secret } from './rpc/clients.ts'
import { atMost, compare } from './rpc/figures.ts'
import { watchedObjects } from './rpc/watchers.ts'
import { startWorkerd, type RunningWorkerd } from './rpc/workerd.ts'

const oneWayMs = 10

/** One line of the table: two pieces of the driver's work. `count` is how often a round does it: workerd's clock ticks in milliseconds. */
interface Line {
  name: string
  work: string
  size?: number
  count: number
  rounds: number
  baseline: { work: string; side: 'ours' | 'native'; says: string }
  bar: number
  /** Its time is mostly distance. */
  waits?: boolean
}

const native = (work: string, says = 'native stubs') => ({ work, side: 'native' as const, says })
const trip = native('far ping', 'one native call')
const distant = { count: 3, rounds: 15, waits: true }

const lines: Line[] = [
  { name: 'single call, object to object', work: 'ping', count: 500, rounds: 41, baseline: native('ping'), bar: 1.6 },
  { name: 'chain of 10', work: 'chain', size: 10, count: 60, rounds: 41, baseline: native('chain'), bar: 0.7 },
  { name: 'chain of 100', work: 'chain', size: 100, count: 3, rounds: 11, baseline: native('chain'), bar: 0.1 },
  { name: '100 calls on one object in one turn', work: 'calls', size: 100, count: 10, rounds: 21, baseline: native('calls'), bar: 0.3 },
  { name: 'one call on each of 100 objects', work: 'objects', size: 100, count: 8, rounds: 21, baseline: native('objects'), bar: 1.6 },
  { name: '16 MiB in', work: 'put', count: 8, rounds: 15, baseline: native('put'), bar: 1.5 },
  { name: '16 MiB out', work: 'take', count: 8, rounds: 15, baseline: native('take'), bar: 1.5 },
  { name: 'stream of 64 MiB out', work: 'stream out', count: 1, rounds: 9, baseline: native('stream out', 'native stream'), bar: 1.2 },
  { name: 'stream of 64 MiB in', work: 'stream in', count: 1, rounds: 9, baseline: native('stream in', 'native stream'), bar: 1.2 },
  {
    name: 'two streams of 64 MiB at once',
    work: 'streams in a session',
    count: 1,
    rounds: 9,
    baseline: native('streams in a session', 'native streams'),
    bar: 1.2,
  },
  {
    name: 'hand-off of 16 MiB',
    work: 'bulk hand-off',
    count: 8,
    rounds: 15,
    baseline: native('bulk direct', 'native call of the consumer'),
    bar: 1.3,
  },
  { name: 'chain of 10, objects 20 ms apart, in trips', work: 'far chain', size: 10, baseline: trip, bar: 1.15, ...distant },
  { name: 'a result as argument, 20 ms apart, in trips', work: 'far graph', baseline: trip, bar: 1.2, ...distant },
  { name: 'hand-off, equal links of 20 ms, in trips', work: 'far hand-off', baseline: trip, bar: 1.6, ...distant },
]

const classes = ['Stage', 'FarStage', 'NativeStage', 'NativeFarStage', 'Driver', 'Watched', 'DotdoSystem']
const start = (vars: Record<string, string> = {}): Promise<RunningWorkerd> =>
  startWorkerd([
    {
      name: 'bench',
      entry: fileURLToPath(new URL('rpc/worker/worker.ts', import.meta.url)),
      classes,
      vars: { DOTDO_SECRET: secret, ...vars },
    },
  ])

/** The time of one piece of work in ms, as the driver in workerd measured it. */
async function measure(workerd: RunningWorkerd, work: string, side: string, count: number, size = 0): Promise<number> {
  const query = new URLSearchParams({ work, side, count: String(count), size: String(size) })
  const response = await fetch(new URL(`measure?${query.toString()}`, workerd.url))
  if (!response.ok) throw new Error(`${work} (${side}): ${await response.text()}\n${workerd.log()}`)
  return Number(await response.text())
}

export default async function* rpc(): AsyncGenerator<BenchResult> {
  const only = process.env['ONLY'] ?? ''
  const workerd = await start()
  try {
    for (const { name, work, size, count, rounds, baseline, bar, waits } of lines) {
      if (!name.includes(only)) continue
      const ours = () => measure(workerd, work, 'ours', count, size)
      const theirs = () => measure(workerd, baseline.work, baseline.side, count, size)
      const compared = await compare(ours, theirs, rounds)
      yield atMost(name, waits ? compared.median : compared.quiet, baseline.says, bar)
    }
    if ('hand-off bytes'.includes(only)) yield* handedOffBytes(workerd)
    if ('traces'.includes(only)) yield* traces(workerd)
    if ('clients chain'.includes(only)) yield* clientChains(workerd, oneWayMs)
    if ('watched'.includes(only)) yield* watchedObjects(workerd)
  } finally {
    await workerd.stop()
  }
}

/** What traces cost a single call: where the app keeps them and takes no sample, and where it keeps every one. */
async function* traces(without: RunningWorkerd): AsyncGenerator<BenchResult> {
  for (const { sample, says, bar } of [
    { sample: '0', says: 'traces, none sampled: single call', bar: 1.15 },
    { sample: '1', says: 'traces, all sampled: single call', bar: 2 },
  ]) {
    const workerd = await start({ SAMPLE: sample })
    try {
      const ours = () => measure(workerd, 'ping', 'ours', 300)
      const { quiet } = await compare(ours, () => measure(without, 'ping', 'ours', 300), 21)
      yield atMost(says, quiet, 'an app without traces', bar)
    } finally {
      await workerd.stop()
    }
  }
}

/** What of a hand-off of 16 MiB passes the links of its caller: weighed where messages enter and leave the objects, not by what links count. */
async function* handedOffBytes(workerd: RunningWorkerd): AsyncGenerator<BenchResult> {
  const traffic = async () => (await (await fetch(new URL('traffic', workerd.url))).json()) as { fromDriver: number; fromOthers: number }
  const size = 16 * 1024 * 1024
  const before = await traffic()
  await measure(workerd, 'far bulk hand-off', 'ours', 1)
  const after = await traffic()
  // Else the messages were not told apart, and nothing was measured.
  if (after.fromOthers - before.fromOthers < size) throw new Error('the bytes did not go from the provider to the consumer')
  const bytes = after.fromDriver - before.fromDriver
  yield {
    name: 'hand-off of 16 MiB, on the caller’s links',
    value: bytes,
    unit: 'B',
    baseline: 'the value',
    baselineValue: size,
    ratio: bytes / size,
    bar: 'under 4 KiB',
    ok: bytes < 4096,
  }
}
