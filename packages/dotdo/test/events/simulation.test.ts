import { describe, expect, test } from 'vitest'
import { Simulation, type SimulationOptions } from './simulation.ts'

/** The seeds of a normal run; `DOTDO_SEEDS=100000` runs as many. */
const seeds = Number(process.env.DOTDO_SEEDS ?? 2000)

async function run(options: SimulationOptions): Promise<Simulation> {
  const simulation = new Simulation({ ...options })
  try {
    await simulation.run()
  } catch (thrown) {
    throw new Error(`${JSON.stringify(options)}: ${String(thrown)}`, { cause: thrown })
  }
  return simulation
}

describe('whatever crashes and whenever: nothing is lost, nothing is doubled, every lane keeps its order', () => {
  test(`over ${seeds} seeds of sends, failures, deploys and crashes`, async () => {
    const total = { crashes: 0, deaths: 0, deliveries: 0 }
    for (let seed = 1; seed <= seeds; seed++) {
      const simulation = await run({ seed, crashes: [0, 0.02, 0.1, 0.3][seed % 4]! })
      total.crashes += simulation.crashCount
      total.deaths += simulation.deaths
      total.deliveries += simulation.deliveries
    }
    // A simulation in which nothing happens proves nothing.
    expect(total.crashes).toBeGreaterThan(seeds)
    expect(total.deaths).toBeGreaterThan(seeds / 4)
    expect(total.deliveries).toBeGreaterThan(seeds * 10)
  }, 600_000)

  test('with a crash before and after every single flush of a life', async () => {
    let points = 0
    for (let seed = 1; seed <= Math.max(10, seeds / 200); seed++) {
      const whole = await run({ seed, crashes: 0 })
      for (let number = 1; number <= whole.flushes; number++) {
        for (const when of ['before', 'after'] as const) {
          const simulation = await run({ seed, crashes: 0, crashAtFlush: { number, when } })
          expect(simulation.crashCount).toBe(1)
          points++
        }
      }
    }
    expect(points).toBeGreaterThan(200)
  }, 600_000)
})
