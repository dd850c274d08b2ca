import { createHash } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import type { FactBatch } from '../../src/fleet/facts.ts'
import { shardOf } from '../../src/fleet/facts.ts'
import { Feed, feedMigrations, type FeedPorts } from '../../src/fleet/feed.ts'
import { shardMigrations } from '../../src/fleet/tables.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

/** One object with runs that are done, and a shard that takes what it is told to. */
class World {
  store = new SqliteStore()
  clock = new ManualClock()
  runs = new Set<string>()
  rules = '[]'
  sent: { batch: FactBatch; shards: number }[] = []
  isDown = false
  failures = 0
  timers: (() => void)[] = []
  soon: (() => void)[] = []

  open(more: Partial<FeedPorts> = {}): Feed {
    const feed = new Feed({
      store: this.store,
      clock: this.clock,
      random: new SeededRandom(1),
      object: 'Load/a',
      shards: 8,
      limits: { batchFacts: 4, waitingFacts: 20 },
      rules: () => this.rules,
      hasAnything: () => this.runs.size > 0,
      all: () => [...this.runs].map((id) => ['run', id] as const),
      read: (kind, ids) =>
        ids.map((id) => {
          if (kind === 'alerts') return { kind, id: '' as const, value: [] }
          if (kind === 'letters') return { kind, id: '' as const, value: { total: 0, newest: [] } }
          if (kind === 'schedule' || !this.runs.has(id)) return { kind, id }
          return { kind, id, value: { runId: id, target: { kind: 'method', name: 'm' }, status: 'done', attempt: 1, startedAt: 0 } }
        }),
      send: (batch, shards) => {
        if (this.isDown) return Promise.reject(new Error('down'))
        this.sent.push({ batch, shards })
        return Promise.resolve()
      },
      soon: (work) => void this.soon.push(work),
      later: (_, work) => void this.timers.push(work),
      wake: () => undefined,
      failed: () => void this.failures++,
      ...more,
    })
    feed.start()
    return feed
  }

  run(feed: Feed, id: string): void {
    this.runs.add(id)
    feed.mark('run', id)
  }

  /** The ends of turns, until nothing waits for one. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 10; turn++) {
      for (const work of this.soon.splice(0)) work()
      for (const work of this.timers.splice(0)) work()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  get told(): string[] {
    return this.sent.flatMap(({ batch }) => batch.facts.map(({ kind, id, value }) => `${kind} ${id}${value === undefined ? ' gone' : ''}`))
  }
}

let world: World
beforeEach(() => (world = new World()))

describe('what an object tells the index', () => {
  test('is nothing, and stores nothing, where nothing has happened', async () => {
    const feed = world.open()
    await world.settle()
    expect(world.sent).toEqual([])
    expect(feed.nextWakeMs()).toBeUndefined()
    expect(world.store.sql(`SELECT name FROM sqlite_master WHERE name LIKE 'dotdo_fleet%'`)).toEqual([])
  })

  test('is one fact for many changes, how things stand when it leaves, and only what is no more is without a value', async () => {
    const feed = world.open()
    for (let i = 0; i < 3; i++) world.run(feed, 'r1')
    feed.mark('run', 'never there')
    await world.settle()
    expect(world.told).toEqual(['run r1', 'run never there gone'])
    expect(feed.nextWakeMs()).toBeUndefined()
  })

  test('waits on disk while the shard does not answer, and is told once it does, in order and in messages of a bounded size', async () => {
    world.isDown = true
    const feed = world.open()
    for (let i = 0; i < 6; i++) world.run(feed, `r${i}`)
    await world.settle()
    expect(world.failures).toBe(1)
    expect(feed.nextWakeMs()).toBeGreaterThan(world.clock.now())
    world.store.flush()
    world.store.crash()
    world.store = world.store.reopen()
    world.isDown = false
    world.clock.advance(600_000)
    world.open()
    await world.settle()
    expect(world.told).toEqual(['r0', 'r1', 'r2', 'r3', 'r4', 'r5'].map((id) => `run ${id}`))
    expect(world.sent.map(({ batch }) => batch.facts.length)).toEqual([4, 2])
    const numbers = world.sent.flatMap(({ batch }) => batch.facts.map(({ v }) => v))
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
  })

  test('is dropped over the bound, and then told anew as a whole, so that the index knows what is no more', async () => {
    world.isDown = true
    const feed = world.open()
    for (let i = 0; i < 30; i++) world.run(feed, `r${i}`)
    await world.settle()
    expect(world.store.sql('SELECT count(*) AS n FROM dotdo_fleet_marks')).toEqual([{ n: expect.any(Number) as number }])
    world.isDown = false
    world.clock.advance(600_000)
    await feed.tell()
    expect(new Set(world.told.filter((it) => it.startsWith('run')))).toEqual(new Set([...world.runs].map((id) => `run ${id}`)))
    expect(world.sent.at(-1)!.batch.sweep).toBeGreaterThan(0)
    expect(world.sent.every(({ batch }) => batch.facts.every(({ retold }) => retold))).toBe(true)
  })

  test('goes to a new set of shards as a whole, and the old one hears that it has moved', async () => {
    world.run(world.open(), 'r1')
    await world.settle()
    world.sent = []
    world.open({ shards: 3 })
    await world.settle()
    expect(world.sent.map(({ batch, shards }) => [shards, batch.moved ?? false, batch.facts.length > 0])).toEqual([
      [3, false, true],
      [8, true, false],
    ])
    expect(world.told).toContain('run r1')
  })

  test('has larger numbers than before, also where the storage was emptied or the clock was set back', async () => {
    const numbers: number[] = []
    for (const change of [0, 5000, -60_000]) {
      world.clock.advance(change)
      world.run(world.open(), 'r1')
      await world.settle()
      numbers.push(world.sent.at(-1)!.batch.facts.at(-1)!.v)
    }
    world.store = new SqliteStore()
    world.clock.advance(3_600_000)
    world.run(world.open(), 'r1')
    await world.settle()
    numbers.push(world.sent.at(-1)!.batch.facts.at(-1)!.v)
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    expect(new Set(numbers).size).toBe(4)
    expect(numbers.every(Number.isSafeInteger)).toBe(true)
  })

  test('has the rules of its alerts whenever the code declares others', async () => {
    world.rules = '[{"on":"failed","to":{"object":"Ops/main"}}]'
    world.open()
    await world.settle()
    expect(world.told).toContain('alerts ')
    world.sent = []
    world.open()
    await world.settle()
    expect(world.sent).toEqual([])
    world.rules = '[]'
    world.open()
    await world.settle()
    expect(world.told).toEqual(['alerts '])
  })
})

test('objects are spread evenly over the shards, and each has one for ever', () => {
  const counts = Array.from({ length: 8 }, () => 0)
  for (let i = 0; i < 8000; i++) counts[shardOf(`Tenant/${i}`, 8)]!++
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150)
  expect(['Pipeline/main', 'Tenant/7', 'Größe/ß'].map((label) => shardOf(label, 8))).toMatchInlineSnapshot(`
    [
      7,
      1,
      1,
    ]
  `)
})

test('the tables are what objects in the field have: entries are added, never edited', () => {
  const hashes = [...feedMigrations, ...shardMigrations].map((statements) =>
    createHash('sha256').update(JSON.stringify(statements)).digest('hex'),
  )
  expect(hashes).toMatchInlineSnapshot(`
    [
      "5d73df8dbd6de340a9aaaa70515b4ede756d07fa9a9cbb7ec0151d2fbbd8a4bd",
      "ea7c4b63cb8c362fcf238f7d8419429389cde2ab4189512a3d711665f0f3d214",
      "507af232a2755c4b8e0e7d704ed32096633e0505f209ef86c0c1adf5eadc1bfd",
      "6928e7b9d384562f6a50fafd4ef449c286f3c34e471978caad8b84e4a10ab07d",
    ]
  `)
})
