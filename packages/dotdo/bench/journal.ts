/**
 * What the journal costs in plain Node over `node:sqlite` in memory: steps, replay, and large results. Run with
 * `node packages/dotdo/bench/journal.ts`. The figures of a real object (workerd, output gate) are another bench's.
 */
import type { Execution } from '../src/journal/execution.ts'
import { Journal } from '../src/journal/journal.ts'
import type { JournalPorts } from '../src/journal/ports.ts'
import { ManualClock, SeededRandom } from '../test/support/fakes.ts'
import { SqliteStore } from '../test/support/sqlite-store.ts'

const clock = new ManualClock()

/** A journal whose runs execute `main`. */
function open(store: SqliteStore, main: (run: Execution) => Promise<unknown>): Journal {
  const ports: JournalPorts = {
    store, clock, random: new SeededRandom(1),
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
async function steps(count: number): Promise<void> {
  const store = new SqliteStore()
  let replay = 0
  const all = async (run: Execution): Promise<void> => {
    for (let i = 0; i < count; i++) await run.step(() => i, { stepId: `step-${i}` })
  }
  let reached = (): void => undefined
  const first = open(store, async (run) => (await all(run), reached(), new Promise(() => {})))
  start(first)
  const fresh = await time(() => new Promise<void>((resolve) => {
    reached = resolve
    void first.launch('r')
  }))
  const second = open(store.reopen(), async (run) => void (replay = await time(() => all(run))))
  await Promise.all(second.resumeDue())
  console.log(`${count} steps: ${((fresh * 1000) / count).toFixed(1)} µs each; replay ${((replay * 1000) / count).toFixed(1)} µs each`)
}

/** 200,000 flat rows as an array and as a stream. */
async function rows(): Promise<void> {
  const flights = Array.from({ length: 200_000 }, (_, i) => ({ date: '2001-01-01 00:05', delay: i % 90, distance: i % 3000, origin: 'SFO', destination: 'LAX' }))
  const journal = open(new SqliteStore(), async (run) => {
    const array = await time(() => run.step(() => flights, { stepId: 'array' }))
    const batches = async function* (): AsyncGenerator<typeof flights> {
      for (let i = 0; i < flights.length; i += 5000) yield flights.slice(i, i + 5000)
    }
    const stream = await time(() => run.step(batches, { stepId: 'stream' }))
    console.log(`200,000 rows: array ${array.toFixed(0)} ms, stream ${stream.toFixed(0)} ms`)
  })
  start(journal)
  await journal.launch('r')
  const [view] = journal.run('r').steps ?? []
  console.log(`stored ${((view?.result?.sizeBytes ?? 0) / 1e6).toFixed(1)} MB; run() ${(await time(() => journal.run('r'))).toFixed(2)} ms`)
}

await steps(1000)
await steps(10_000)
await steps(100_000)
await rows()
