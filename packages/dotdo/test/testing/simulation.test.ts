/**
 * The whole runtime, whatever dies, is lost, sleeps, overtakes or is deployed. `DOTDO_SEEDS=1000000` lives as many lives, `DOTDO_SEED=1234` one of them again.
 */
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { Databases } from './databases.ts'
import { everything } from './simulation-app.ts'
import { Simulation, type SimulationOptions } from './simulation.ts'

const seeds = Number(process.env.DOTDO_SEEDS ?? 200)
const only = process.env.DOTDO_SEED === undefined ? undefined : Number(process.env.DOTDO_SEED)

let databases: Databases

/** A world in which nothing goes wrong, and everything there is happens. */
const calm = { seed: 8, crashes: 0, losses: 0, deploys: 0, ops: everything }

beforeAll(async () => {
  // What is lost is told in the log, as it should be.
  vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  databases = new Databases((await new Simulation(calm).run()).end())
})

/** How much goes wrong in a seed. */
const troubles = (seed: number): SimulationOptions => ({
  seed,
  crashes: [0, 0.01, 0.03, 0.08][seed % 4]!,
  losses: [0, 0.02, 0.1][seed % 3]!,
  deploys: seed % 5,
})

async function live(options: SimulationOptions): Promise<Simulation> {
  const simulation = new Simulation({ databases, ...options })
  try {
    return await simulation.run()
  } catch (cause) {
    throw new Error(
      `${JSON.stringify(options)}: ${cause instanceof Error ? cause.message : String(cause)}\nreplay: DOTDO_SEED=${options.seed} vitest run --project pure packages/dotdo/test/testing/simulation.test.ts`,
      { cause },
    )
  } finally {
    simulation.end()
  }
}

describe('effects are done once, events come in order, schedules miss nothing, and every run ends', () => {
  test(`over ${seeds} seeds`, { timeout: 60_000 + seeds * 500 }, async () => {
    const total = { crashes: 0, evictions: 0, deploys: 0, losses: 0, jumps: 0, cancelled: 0, events: 0, requests: 0, repeated: 0 }
    const chosen = only === undefined ? Array.from({ length: seeds }, (_, i) => i + 1) : [only]
    for (const seed of chosen) {
      const { happened } = await live(troubles(seed))
      for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += happened[name]
    }
    // A simulation in which nothing happens proves nothing.
    if (only === undefined)
      for (const name of Object.keys(total) as (keyof typeof total)[]) expect(total[name], name).toBeGreaterThan(seeds / 10)
  })

  test('with a death at every point of one life, before its turn is on disk and after', { timeout: 600_000 }, async () => {
    const { points } = await live(calm)
    expect(points).toBeGreaterThan(80)
    let deaths = 0
    // Every second point dies with what it has not flushed, and every other after its flush.
    for (let point = 1; point <= points; point++)
      deaths += (await live({ ...calm, crashAt: point % 2 === 0 ? point : -point })).happened.crashes
    expect(deaths).toBeGreaterThan(points / 3)
  })
})

test('the same seed is the same history, event by event', async () => {
  const histories: unknown[] = []
  for (let i = 0; i < 2; i++) {
    const { world, happened } = await live(troubles(11))
    histories.push({ trace: world.trace, turns: world.turns, now: world.now, happened })
  }
  expect(histories[0]).toEqual(histories[1])
  expect((await live(troubles(7))).world.trace).not.toBe((histories[0] as { trace: number }).trace)
})
