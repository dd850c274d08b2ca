import { describe, expect, test } from 'vitest'
import { ExchangeSimulation, type ExchangeOptions } from './exchange-simulation.ts'

/** The seeds of a normal run; `DOTDO_SEEDS=100000` runs as many. */
const seeds = Number(process.env.DOTDO_SEEDS ?? 600)

async function run(options: ExchangeOptions): Promise<ExchangeSimulation> {
  const simulation = new ExchangeSimulation({ ...options })
  try {
    await simulation.run()
  } catch (thrown) {
    throw new Error(`${JSON.stringify(options)}: ${String(thrown)}`, { cause: thrown })
  }
  return simulation
}

describe('between objects, whatever is lost, repeated, overtaken or crashes: handled once in effect, in order, or a dead letter', () => {
  test(`over ${seeds} seeds`, { timeout: 60_000 + seeds * 100 }, async () => {
    const total = { crashes: 0, lost: 0, repeated: 0, handled: 0, dead: 0, replayed: 0 }
    for (let seed = 1; seed <= seeds; seed++) {
      const simulation = await run({ seed, crashes: [0, 0.01, 0.05, 0.15][seed % 4]!, losses: [0, 0.05, 0.2][seed % 3]! })
      for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += simulation.total[name]
    }
    // A simulation in which nothing happens proves nothing.
    for (const name of Object.keys(total) as (keyof typeof total)[]) expect(total[name], name).toBeGreaterThan(seeds / 100)
    expect(total.handled).toBeGreaterThan(seeds * 10)
  })

  test('with a crash before and after each flush of one history', async () => {
    const { flushes } = await run({ seed: 12, crashes: 0, losses: 0.1, steps: 80 })
    expect(flushes).toBeGreaterThan(20)
    for (let number = 1; number <= Math.min(flushes, 150); number++)
      for (const when of ['before', 'after'] as const)
        await run({ seed: 12, crashes: 0, losses: 0.1, steps: 80, crashAtFlush: { number, when } })
  })

  test('the same seed is the same history', async () => {
    const twice = [await run({ seed: 77, crashes: 0.05, losses: 0.1 }), await run({ seed: 77, crashes: 0.05, losses: 0.1 })]
    expect(twice[0]!.total).toEqual(twice[1]!.total)
    expect(twice[0]!.flushes).toBe(twice[1]!.flushes)
  })
})
