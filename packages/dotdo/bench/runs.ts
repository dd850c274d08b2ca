/**
 * Runs and steps in workerd, beside what one would write by hand in a Durable Object and beside Cloudflare Workflows in the same workerd.
 *
 * The sides take turns; each request does one piece of work, and is answered when all that it wrote is on disk. Work of many steps is compared by its quieter
 * rounds, single runs by medians. The time of an empty call on the same object is taken off single runs: the way from Node is no part of either side.
 * `ONLY=replay npm run bench -- runs` measures what has that in its name.
 */
import { fileURLToPath } from 'node:url'
import type { BenchResult } from '../../../bench/run.ts'
import { atMost, compare, median, type Compared, type Timed } from './rpc/figures.ts'
import { startLocal } from './runs/local.ts'

const classes = ['Runs', 'Ledger', 'Memo', 'Rows', 'Bell']
const wanted = (name: string): boolean => name.includes(process.env['ONLY'] ?? '')

/** Work of ours beside other work, and the bars that the ratio is held to. */
interface Line {
  name: string
  ours: string
  others: { path: string; described: string; bar: number; isFaster?: true }[]
  rounds: number
}

const lines: Line[] = [
  {
    name: '1,000 pure steps in sequence',
    ours: 'Runs/a/steps/1000',
    others: [
      { path: 'Memo/a/steps/1000', described: 'a bare SQLite memo', bar: 3 },
      { path: 'Flow/a/steps/1000', described: 'no-op steps of a Workflow', bar: 25, isFaster: true },
    ],
    rounds: 9,
  },
  {
    name: '1,000 steps that each call another object',
    ours: 'Runs/a/calls/1000',
    others: [
      { path: 'Memo/a/calls/1000', described: 'a native call that writes a row, a row, `storage.sync()`', bar: 1.2 },
      { path: 'Flow/a/calls/1000', described: 'the same calls as steps of a Workflow', bar: 3, isFaster: true },
    ],
    rounds: 5,
  },
  {
    name: '1,000 steps that each read of another object',
    ours: 'Runs/a/reads/1000',
    others: [{ path: 'Memo/a/reads/1000', described: 'a native call that reads, a row, `storage.sync()`', bar: 1.2 }],
    rounds: 5,
  },
  {
    name: 'lineage of 500 steps that each call another object',
    ours: 'Runs/a/calls/500',
    others: [{ path: 'Runs/a/unnoted/500', described: 'the same steps, whose notes are dropped', bar: 1.1 }],
    rounds: 15,
  },
  {
    name: '200 calls that happen exactly once',
    ours: 'Runs/a/calls/200',
    others: [{ path: 'Memo/a/plain/200', described: 'plain calls whose method writes one row', bar: 2.2 }],
    rounds: 15,
  },
]

/** What is asked of a local Worker: gives the time that it takes, in ms. */
type Call = (path: string) => Promise<number>

function callOf(url: string): Call {
  return async (path) => {
    const begun = performance.now()
    const response = await fetch(url + path)
    const text = await response.text()
    if (!response.ok) throw new Error(`${path}: ${text}`)
    return performance.now() - begun
  }
}

/** All rows of runs and steps; those of schedules and events are benches of their own. */
export default async function* runs(): AsyncGenerator<BenchResult> {
  const entry = fileURLToPath(new URL('runs/worker/worker.ts', import.meta.url))
  const local = await startLocal(entry, classes, 'Flow')
  const call = callOf(local.url)
  try {
    for (const { name, ours, others, rounds } of lines) {
      for (const { path, described, bar, isFaster } of wanted(name) ? others : []) {
        // A Workflow takes seconds for what takes the others milliseconds.
        const { quiet } = await compare(
          () => call(ours),
          () => call(path),
          isFaster ? 3 : rounds,
        )
        yield isFaster ? timesFaster(name, quiet, described, bar) : atMost(name, quiet, described, bar)
      }
    }
    if (wanted('replay of finished steps')) yield* replays(call)
    if (wanted('3-step run whose steps call objects')) yield* threeSteps(call)
    for (const where of ['one object', '50 objects']) {
      const name = `50 such runs at once in ${where}`
      if (!wanted(name)) continue
      const at = where === 'one object' ? 'a' : 'many*'
      const { quiet } = await compare(
        () => call(`Runs/${at}/calls/3/50`),
        () => call(`Memo/${at}/calls/3/50`),
        15,
      )
      const [value, baselineValue] = [50_000 / quiet.ours, 50_000 / quiet.baseline]
      const ratio = value / baselineValue
      yield {
        name,
        value,
        unit: 'runs/s',
        baseline: 'the bare calls and flushed writes',
        baselineValue,
        ratio,
        bar: 'at least 0.7',
        ok: ratio >= 0.7,
      }
    }
    if (wanted(indexed)) yield* index(entry, call)
  } finally {
    await local.stop()
  }
}

const indexed = 'runs that the index of the fleet is told of'

/** Runs of 3 steps that call, 50 at once, until the index knows them; beside the same in a Worker that has no index. */
async function* index(entry: string, without: Call): AsyncGenerator<BenchResult> {
  const local = await startLocal(entry, [...classes, 'DotdoSystem'], 'Flow')
  try {
    const call = callOf(local.url)
    const told = async (): Promise<number> => (await call('Runs/a/calls/3/50')) + (await call('Runs/a/tell'))
    await told()
    await call('Runs/a/indexed/0')
    const { quiet } = await compare(told, () => without('Runs/a/calls/3/50'), 25)
    yield atMost(`50 ${indexed}`, quiet, 'the same runs in a Worker without it', 1.1)
  } finally {
    await local.stop()
  }
}

/** A result whose bar is how many times the baseline takes longer. */
function timesFaster(name: string, { ours, baseline }: Compared, described: string, bar: number): BenchResult {
  const ratio = baseline / ours
  return { name, value: ours, unit: 'ms', baseline: described, baselineValue: baseline, ratio, bar: `at least ${bar}`, ok: ratio >= bar }
}

/** A run whose steps are done, done again: each step is looked up, and its result read. */
async function* replays(call: (path: string) => Promise<number>): AsyncGenerator<BenchResult> {
  let round = 0
  // Of the same length, so that both have as many names.
  const replay = (side: string, count: number) => async () => {
    const name = `${side}/replay ${round++}`
    await call(`${name}/prepare/${count}`)
    return call(`${name}/replay/${count}`)
  }
  const { quiet } = await compare(replay('Runs', 10_000), replay('Memo', 10_000), 9)
  yield atMost('replay of finished steps, 10,000', quiet, 'bare look-ups of the rows', 1.5)
  const lengths = await compare(replay('Runs', 100_000), replay('Runs', 10_000), 3)
  yield atMost('replay of finished steps, 100,000', lengths.quiet, 'of 10,000', 11)
}

/** Single runs, one after the other. */
async function* threeSteps(call: (path: string) => Promise<number>): AsyncGenerator<BenchResult> {
  const single =
    (side: string, times: number[]): Timed =>
    async () => {
      const pings = [await call(`${side}/a/ping/0`), await call(`${side}/a/ping/0`), await call(`${side}/a/ping/0`)]
      const ms = (await call(`${side}/a/calls/3`)) - median(pings)
      times.push(ms)
      return ms
    }
  const times: number[] = []
  const compared = await compare(single('Runs', times), single('Memo', []), 400)
  yield atMost('3-step run whose steps call objects, p50', compared.median, 'three native calls, each with a flushed write', 1.3)
  const p99 = times.slice(1).toSorted((a, b) => a - b)[Math.floor((times.length - 1) * 0.99)]!
  yield atMost('3-step run, p99', { ours: p99, baseline: compared.median.ours, ratio: p99 / compared.median.ours }, 'its p50', 5)
}
