/**
 * What the journal costs in plain Node over `node:sqlite` in memory: steps, replay, and large results. The figures of a real object (workerd,
 * output gate) are another bench's. `ONLY=replay npm run bench -- journal` measures what has that in its name.
 */
import type { Execution } from '../src/journal/execution.ts'
import { Journal } from '../src/journal/journal.ts'
import type { JournalPorts } from '../src/journal/ports.ts'
import { ManualClock, SeededRandom } from '../test/support/fakes.ts'
import { SqliteStore } from '../test/support/sqlite-store.ts'
import type { BenchResult } from '../../../bench/run.ts'

const clock = new ManualClock()

/** A journal whose runs execute `main`. */
function open(store: SqliteStore, main: (run: Execution) => Promise<unknown>): Journal {
  const ports: JournalPorts = {
    store,
    clock,
    random: new SeededRandom(1),
    sleep: async () => undefined,
    sync: async () => store.flush(),
    execute: (_, execution) => main(execution),
    observe: () => undefined,
  }
  return new Journal(ports)
}

const time = async (work: () => unknown): Promise<number> => {
  const begun = performance.now()
  await work()
  return performance.now() - begun
}

const start = (journal: Journal): unknown => journal.start({ runId: 'r', target: { kind: 'method', name: 'main' }, args: [] })

/** `count` steps in sequence, then the same run replayed to its last step by the next incarnation. */
async function steps(count: number): Promise<{ freshMs: number; replayMs: number }> {
  const store = new SqliteStore()
  let replay = 0
  const all = async (run: Execution): Promise<void> => {
    for (let i = 0; i < count; i++) await run.step(() => i, { stepId: `step-${i}` })
  }
  let reached = (): void => undefined
  const first = open(store, async (run) => (await all(run), reached(), new Promise(() => {})))
  start(first)
  const fresh = await time(
    () =>
      new Promise<void>((resolve) => {
        reached = resolve
        void first.launch('r')
      }),
  )
  const second = open(store.reopen(), async (run) => void (replay = await time(() => all(run))))
  await Promise.all(second.resumeDue())
  return { freshMs: fresh, replayMs: replay }
}

/** 200,000 flat rows as an array and as a stream. */
async function rows(): Promise<{ arrayMs: number; streamMs: number; stringifyMs: number }> {
  const flights = Array.from({ length: 200_000 }, (_, i) => ({
    date: '2001-01-01 00:05',
    delay: i % 90,
    distance: i % 3000,
    origin: 'SFO',
    destination: 'LAX',
  }))
  const times = { arrayMs: 0, streamMs: 0, stringifyMs: await time(() => JSON.stringify(flights)) }
  const journal = open(new SqliteStore(), async (run) => {
    times.arrayMs = await time(() => run.step(() => flights, { stepId: 'array' }))
    const batches = async function* (): AsyncGenerator<typeof flights> {
      for (let i = 0; i < flights.length; i += 5000) yield flights.slice(i, i + 5000)
    }
    times.streamMs = await time(() => run.step(batches, { stepId: 'stream' }))
  })
  start(journal)
  await journal.launch('r')
  return times
}

/** As many bare rows in the same SQLite: the floor of a memo. */
async function bareRows(count: number): Promise<number> {
  const store = new SqliteStore()
  store.sql('CREATE TABLE memo (id TEXT PRIMARY KEY, result TEXT) WITHOUT ROWID')
  return time(() => {
    for (let i = 0; i < count; i++) store.sql('INSERT INTO memo VALUES (?, ?)', `step-${i}`, JSON.stringify(i))
  })
}

const result = (name: string, value: number, unit: string, baseline: string, baselineValue: number, atMost: number): BenchResult => {
  const ratio = Math.round((value / baselineValue) * 100) / 100
  const round = (it: number) => Math.round(it * 10) / 10
  return {
    name,
    value: round(value),
    unit,
    baseline,
    baselineValue: round(baselineValue),
    ratio,
    bar: `at most ${atMost}`,
    ok: ratio <= atMost,
  }
}

const wanted = (name: string): boolean => name.includes(process.env['ONLY'] ?? '')
const names = {
  ten: '10,000 steps in sequence',
  hundred: '100,000 steps in sequence',
  replay: 'replay of 100,000 finished steps',
  array: 'a result of 200,000 rows, as an array',
  stream: 'a result of 200,000 rows, as a stream',
}

/** Steps beside bare rows, a run of 100,000 beside one of 10,000, and a large result beside `JSON.stringify` of it. */
export default async function* journal(): AsyncGenerator<BenchResult> {
  if ([names.ten, names.hundred, names.replay].some(wanted)) {
    await steps(1000)
    const ten = await steps(10_000)
    if (wanted(names.ten)) yield result(names.ten, ten.freshMs, 'ms', '10,000 bare rows in the same SQLite', await bareRows(10_000), 8)
    if (wanted(names.hundred) || wanted(names.replay)) {
      const hundred = await steps(100_000)
      if (wanted(names.hundred)) yield result(names.hundred, hundred.freshMs, 'ms', '10,000 of them', ten.freshMs, 12)
      if (wanted(names.replay)) yield result(names.replay, hundred.replayMs, 'ms', 'of 10,000', ten.replayMs, 11)
    }
  }
  if (![names.array, names.stream].some(wanted)) return
  await rows()
  const { arrayMs, streamMs, stringifyMs } = await rows()
  if (wanted(names.array)) yield result(names.array, arrayMs, 'ms', 'JSON.stringify of it', stringifyMs, 8)
  if (wanted(names.stream)) yield result(names.stream, streamMs, 'ms', 'JSON.stringify of it', stringifyMs, 8)
}
