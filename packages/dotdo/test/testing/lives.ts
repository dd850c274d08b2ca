/**
 * Many lives of the whole runtime, shared out over files of tests so that each core has some. `DOTDO_SEEDS=1000000` lives as many in all, `DOTDO_SEED=1234`
 * one of them again, event by event.
 */
import { expect, test, vi } from 'vitest'
import type { Databases } from './databases.ts'
import { beginnings, Simulation, troubles, type SimulationOptions } from './simulation.ts'

const seeds = Number(process.env.DOTDO_SEEDS ?? 10_000)
const only = process.env.DOTDO_SEED === undefined ? undefined : Number(process.env.DOTDO_SEED)

/** Where a life can end: in or after a turn of each kind, before what it wrote is on disk or when it is and nothing has left yet. */
export const deaths = ['turn', 'timer', 'alarm', 'sync', 'answer', 'fetched', 'call dotdoCall'].flatMap((kind) => [
  `before ${kind}`,
  `after ${kind}`,
])

/** Lives once. @throws what was not as it must be, with the seed and how to see it again */
export async function live(options: SimulationOptions, databases: Databases): Promise<Simulation> {
  const simulation = new Simulation({ databases, ...(only !== undefined && { log: console.log }), ...options })
  try {
    return await simulation.run()
  } catch (cause) {
    throw new Error(
      `${JSON.stringify(options)}: ${cause instanceof Error ? cause.message : String(cause)}\nreplay: DOTDO_SEED=${options.seed} npm test -- --project pure packages/dotdo/test/testing/lives-${partOf(options.seed)}.test.ts`,
      { cause },
    )
  } finally {
    simulation.end()
    // A life asks nothing of Node's own loop; whoever watches the tests does.
    await new Promise((resolve) => void setImmediate(resolve))
  }
}

/** Files that share the seeds. */
const parts = 4
/** Stretches and no rests: what goes wrong in a seed goes by its rests. */
const partOf = (seed: number): number => 1 + (Math.floor((seed - 1) / Math.ceil(seeds / parts)) % parts)

/** The test of one file: the seeds whose turn it is, from 1 to {@link parts}. */
export function livesOf(part: number): void {
  const all = Array.from({ length: seeds }, (_, i) => i + 1)
  const chosen = (only === undefined ? all : [only]).filter((seed) => partOf(seed) === part)
  const title = `effects are done once, events come in order, schedules miss nothing, and every run ends: seeds ${part} of ${parts} parts of ${seeds}`
  test.skipIf(chosen.length === 0)(title, { timeout: 60_000 + chosen.length * 500 }, async () => {
    // What is lost is told in the log, as it should be.
    vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    const databases = await beginnings()
    const total: Record<string, number> = {}
    const died: Record<string, number> = Object.fromEntries(deaths.map((point) => [point, 0]))
    const add = (to: Record<string, number>, name: string, count: number) => (to[name] = (to[name] ?? 0) + count)
    for (const seed of chosen) {
      const { happened, died: points } = await live(troubles(seed), databases)
      for (const [name, count] of Object.entries(happened)) add(total, name, count)
      for (const [point, count] of points) add(died, point, count)
    }
    if (only !== undefined) return
    console.log(`${chosen.length} lives: ${inWords(total)}. Deaths: ${inWords(died)}`)
    if (chosen.length < 500) return
    // A simulation in which nothing happens proves nothing.
    for (const [name, count] of Object.entries(total)) expect(count, name).toBeGreaterThan(chosen.length / 10)
    for (const point of deaths) expect(died[point], point).toBeGreaterThan(chosen.length / 100)
  })
}

const inWords = (counts: Record<string, number>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
