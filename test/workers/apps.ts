/** The three ways to lay out the same nouns, and what has arrived at each of their objects. */
import { startWorkers, type RunningWorkers, type WorkerOptions } from '../support/workers.ts'
import type { Arrival } from './tally.ts'

const stages: WorkerOptions = { config: 'test/workers/stages/wrangler.toml' }

/** The layouts by name. The first Worker is the one that clients connect to. */
export const layouts: Readonly<Record<'one Worker' | 'two, by binding' | 'two, by service', WorkerOptions[]>> = {
  'one Worker': [{ config: 'test/workers/one/wrangler.toml' }],
  'two, by binding': [{ config: 'test/workers/pipeline/binding.toml' }, stages],
  'two, by service': [{ config: 'test/workers/pipeline/wrangler.toml' }, stages],
}

/** A started layout whose messages are counted. */
export interface CountedApp extends AsyncDisposable {
  running: RunningWorkers
  /** What arrives while `work` runs, in all of its Workers. Waits until nothing more comes. */
  during<T>(work: () => PromiseLike<T>): Promise<{ answer: T; arrivals: Arrival[] }>
}

/** Starts a layout. */
export async function startCounted(workers: readonly WorkerOptions[]): Promise<CountedApp> {
  const running = await startWorkers(...workers)
  const names = workers.length === 1 ? ['one'] : ['pipeline', 'stages']
  const read = async (method: string) => {
    const tallies = await Promise.all(
      names.map(async (name) => (await (await running.fetch(name, '/tally', { method })).json()) as Arrival[]),
    )
    return tallies.flat()
  }
  return {
    running,
    async during(work) {
      await read('DELETE')
      const answer = await work()
      let count = -1
      // Late ones (a push from object to object, a poll) belong to the work: a look that shows nothing new ends it. What never ends is seen as such.
      for (let looks = 0, seen = (await read('GET')).length; seen !== count && looks < 100; looks++, seen = (await read('GET')).length)
        count = seen
      return { answer, arrivals: await read('DELETE') }
    },
    [Symbol.asyncDispose]: () => running.stop(),
  }
}

/** How many messages went over each hop: `{ 'Pipeline/main > Stage/a': 1 }`. Hops through a service are those to its objects; what objects tell the index of runs
 * comes half a second after what it tells of, and is of no call. */
export function hops(arrivals: readonly Arrival[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { from, to } of arrivals) {
    if (to === 'the service' || to.startsWith('DotdoSystem/fleet ')) continue
    const hop = `${from} > ${to}`
    counts[hop] = (counts[hop] ?? 0) + 1
  }
  return counts
}
