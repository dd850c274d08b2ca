import { describe, expect, test } from 'vitest'
import { deadlineMs, everyMs, FleetSimulation, type SimulationOptions } from './simulation.ts'

/** The seeds of a normal run; `DOTDO_SEEDS=100000` runs as many. */
const seeds = Number(process.env['DOTDO_SEEDS'] ?? 40)

async function run(options: SimulationOptions): Promise<FleetSimulation> {
  const simulation = new FleetSimulation(options)
  try {
    await simulation.run()
    verdict(simulation)
  } catch (thrown) {
    throw new Error(`${JSON.stringify(options)}: ${String(thrown)}`, { cause: thrown })
  }
  return simulation
}

function verdict(simulation: FleetSimulation): void {
  const truth = [...simulation.objects.values()].flatMap((object) => object.runs())
  expect(simulation.runs(), 'the index is what the objects are').toEqual(new Map(truth))
  for (const object of simulation.objects.values()) {
    const told = simulation.told(object.label)
    const alerts = simulation.alerts().filter(({ object: of }) => of === object.label)
    // What was told is what the alerts are: each once when it opened, each once when it was over.
    for (const kind of ['failed', 'late'] as const)
      expect(told.filter((event) => event === kind).length, `${object.label} ${kind}`).toBe(alerts.filter((it) => it.kind === kind).length)
    expect(told.filter((event) => event === 'recovered').length).toBe(alerts.filter(({ closedAt }) => closedAt !== undefined).length)
    const ended = object.store.sql<{ status: string }>(
      `SELECT status FROM runs WHERE ended IS NOT NULL ORDER BY ended DESC, at DESC LIMIT 1`,
    )[0]
    const isOpen = alerts.some(({ kind, closedAt }) => kind === 'failed' && closedAt === undefined)
    if (ended?.status === 'failed') expect(isOpen, `${object.label} has failed last`).toBe(true)
  }
}

describe('the index of a fleet, whatever is lost, repeated or crashes, comes to what the objects are', () => {
  test(`over ${seeds} seeds`, { timeout: 60_000 + seeds * 200 }, async () => {
    const total = { crashes: 0, lost: 0, repeated: 0, taken: 0, failed: 0, late: 0, recovered: 0 }
    for (let seed = 1; seed <= seeds; seed++) {
      const simulation = await run({ seed, crashes: [0, 0.02, 0.1][seed % 3]!, losses: [0, 0.05, 0.2][(seed % 4) % 3]! })
      for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += simulation.total[name]
    }
    // A simulation in which nothing happens proves nothing.
    for (const name of Object.keys(total) as (keyof typeof total)[]) expect(total[name], name).toBeGreaterThan(seeds / 10)
  })

  test('the same seed is the same history', async () => {
    const twice = [await run({ seed: 7, crashes: 0.05, losses: 0.1 }), await run({ seed: 7, crashes: 0.05, losses: 0.1 })]
    expect(twice[0]!.total).toEqual(twice[1]!.total)
  })

  test('an object that never wakes again is late once, with the reason, and well when it is back', async () => {
    const simulation = await run({ seed: 3, crashes: 0, losses: 0, steps: 10 })
    const object = simulation.objects.get('Load/b')!
    if (object.schedule().paused) object.pause()
    for (let i = 0; i < 30; i++) object.end('done')
    await simulation.calmDown()
    object.isDead = true
    for (let minute = 0; minute < 20; minute++) {
      simulation.pass(everyMs)
      for (const shard of simulation.shards) await shard.look()
    }
    const late = simulation
      .alerts()
      .filter(({ object: of, kind, closedAt }) => of === 'Load/b' && kind === 'late' && closedAt === undefined)
    expect(late).toMatchObject([{ count: 1, deadlineMs, error: { message: 'The object does not answer: it does not answer' } }])
    object.isDead = false
    object.fire()
    object.end('done')
    await simulation.calmDown()
    expect(simulation.told('Load/b').slice(-2)).toEqual(['late', 'recovered'])
  })

  test('is made again from the objects, without telling anybody what was told before', async () => {
    const simulation = await run({ seed: 11, crashes: 0, losses: 0 })
    // Nothing becomes late meanwhile.
    for (const object of simulation.objects.values()) {
      if (!object.schedule().paused) object.pause()
      for (let i = 0; i < 30; i++) object.end('failed')
    }
    simulation.pass(4 * deadlineMs)
    await simulation.calmDown()
    const told = [...simulation.objects.keys()].map((label) => simulation.told(label))
    const truth = simulation.runs()
    for (const { store } of simulation.shards) store.sql('DELETE FROM dotdo_fleet_runs')
    expect(simulation.runs().size).toBe(0)
    for (const { shard } of simulation.shards) expect(shard.rebuild()).toMatchObject({ status: 'running' })
    await Promise.all(simulation.shards.map((it) => it.look()))
    await simulation.calmDown()
    expect(simulation.runs()).toEqual(truth)
    expect([...simulation.objects.keys()].map((label) => simulation.told(label))).toEqual(told)
    for (const { shard } of simulation.shards) expect(shard.rebuilding).toMatchObject({ status: 'done', failed: 0 })
  })
})
