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
 * Both sides take turns, and the median of the rounds' ratios counts. `ONLY=chain` runs the measurements whose names contain that.
 */
import { fileURLToPath } from 'node:url'
import type { BenchResult } from '../../../bench/run.ts'
import { clientChains, secret } from './rpc/clients.ts'
import { atMost, compare } from './rpc/figures.ts'
import { watchedObjects } from './rpc/watchers.ts'
import { startWorkerd, type RunningWorkerd } from './rpc/workerd.ts'

const oneWayMs = 10

/** One line of the table: two pieces of the driver's work. `count` is how often a round does it. */
interface Line {
  name: string
  work: string
  size?: number
  count: number
  rounds: number
  baseline: { work: string; side: 'ours' | 'native'; says: string }
  bar: number
}

const native = (work: string, says = 'native stubs') => ({ work, side: 'native' as const, says })
const trip = native('far ping', 'one native call')

const lines: Line[] = [
  { name: 'single call, object to object', work: 'ping', count: 500, rounds: 9, baseline: native('ping'), bar: 1.6 },
  { name: 'chain of 10', work: 'chain', size: 10, count: 100, rounds: 9, baseline: native('chain'), bar: 0.7 },
  { name: 'chain of 100', work: 'chain', size: 100, count: 4, rounds: 7, baseline: native('chain'), bar: 0.1 },
  { name: '100 calls on one object in one turn', work: 'calls', size: 100, count: 20, rounds: 9, baseline: native('calls'), bar: 0.3 },
  { name: 'one call on each of 100 objects', work: 'objects', size: 100, count: 20, rounds: 9, baseline: native('objects'), bar: 1.6 },
  { name: '16 MiB in', work: 'put', count: 6, rounds: 7, baseline: native('put'), bar: 1.5 },
  { name: '16 MiB out', work: 'take', count: 6, rounds: 7, baseline: native('take'), bar: 1.5 },
  { name: 'chain of 10, objects 20 ms apart, in trips', work: 'far chain', size: 10, count: 5, rounds: 9, baseline: trip, bar: 1.15 },
  { name: 'a result as argument, 20 ms apart, in trips', work: 'far graph', count: 5, rounds: 9, baseline: trip, bar: 1.2 },
  { name: 'hand-off, equal links of 20 ms, in trips', work: 'far hand-off', count: 5, rounds: 9, baseline: trip, bar: 1.6 },
  {
    name: 'hand-off of 16 MiB',
    work: 'bulk hand-off',
    count: 6,
    rounds: 7,
    baseline: native('bulk direct', 'native call of the consumer'),
    bar: 1.3,
  },
]

const classes = ['Stage', 'FarStage', 'NativeStage', 'NativeFarStage', 'Driver', 'Watched', 'DotdoSystem']
const start = (): Promise<RunningWorkerd> =>
  startWorkerd([
    { name: 'bench', entry: fileURLToPath(new URL('rpc/worker/worker.ts', import.meta.url)), classes, vars: { DOTDO_SECRET: secret } },
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
    for (const { name, work, size, count, rounds, baseline, bar } of lines) {
      if (!name.includes(only)) continue
      const ours = () => measure(workerd, work, 'ours', count, size)
      const theirs = () => measure(workerd, baseline.work, baseline.side, count, size)
      yield atMost(name, await compare(ours, theirs, rounds), baseline.says, bar)
    }
    if ('clients chain'.includes(only)) yield* clientChains(workerd, oneWayMs)
    if ('watched'.includes(only)) yield* watchedObjects(workerd)
  } finally {
    await workerd.stop()
  }
}
