/**
 * Several objects and the shards of their index, over a network that loses and repeats messages, with crashes of both ends wherever the platform can have
 * them. All of it is driven by a seed: the same seed is the same history.
 *
 * What is honest in it: writes are on disk when a turn is flushed, and nothing leaves before that; a crash takes back what was not flushed, and answers
 * of that incarnation never arrive. What an alert has done is what stands in the shard's own store.
 */
import type { FleetAlert, RunHead } from '../../src/base/fleet-views.ts'
import type { ScheduleView } from '../../src/base/views.ts'
import type { FactBatch } from '../../src/fleet/facts.ts'
import { shardOf } from '../../src/fleet/facts.ts'
import { Feed, type FeedPorts } from '../../src/fleet/feed.ts'
import { list, merge, readQuery } from '../../src/fleet/lists.ts'
import type { AlertRule } from '../../src/fleet/rules.ts'
import { Shard } from '../../src/fleet/shard.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

export interface SimulationOptions {
  seed: number
  crashes: number
  losses: number
  steps?: number
}

/** Every schedule of this world fires once a minute, and has to be done three minutes later. */
export const everyMs = 60_000
export const deadlineMs = 180_000
const to = { object: 'Ops/main' }
export const rules: AlertRule[] = [
  { on: 'failed', to },
  { on: 'late', to, deadlineMs },
  { on: 'recovered', to },
]
const labels = ['Load/a', 'Load/b', 'Load/c', 'Report/x']

/** The end of the turns of everybody. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

export class FleetSimulation {
  readonly clock = new ManualClock()
  readonly random: SeededRandom
  readonly options: SimulationOptions
  readonly objects = new Map<string, SimulatedObject>()
  shards: SimulatedShard[] = []
  isCalm = false
  readonly total = { crashes: 0, lost: 0, repeated: 0, taken: 0, failed: 0, late: 0, recovered: 0 }

  constructor(options: SimulationOptions) {
    this.options = options
    this.random = new SeededRandom(options.seed)
    this.shards = [0, 1].map(() => new SimulatedShard(this))
    for (const label of labels) this.objects.set(label, new SimulatedObject(this, label))
  }

  shardOf(label: string): SimulatedShard {
    return this.shards[shardOf(label, this.shards.length)]!
  }

  async run(): Promise<void> {
    for (let step = 0; step < (this.options.steps ?? 120); step++) {
      const object = this.any([...this.objects.values()])
      const what = this.random.below(100)
      if (what < 25) object.fire()
      else if (what < 55) object.end(this.random.below(3) > 0 ? 'done' : 'failed')
      else if (what < 60) object.retry()
      else if (what < 64) object.pause()
      else if (what < 85) this.pass(this.random.below(20_000))
      else if (what < 90) object.flush()
      else this.pass(this.random.below(200_000))
      for (const it of this.objects.values()) it.flush()
      await settled()
      if (this.random.next() < this.options.crashes) this.any([...this.objects.values(), ...this.shards]).crash()
      for (const shard of this.shards) await shard.look()
    }
    await this.calmDown()
  }

  any<T>(all: readonly T[]): T {
    return all[this.random.below(all.length)]!
  }

  pass(ms: number): void {
    this.clock.advance(ms)
    for (const object of this.objects.values()) object.tick()
  }

  /** No faults any more: time passes until nobody has anything to tell. */
  async calmDown(): Promise<void> {
    this.isCalm = true
    for (let round = 0; round < 200; round++) {
      for (const object of this.objects.values()) object.flush()
      await settled()
      for (const shard of this.shards) await shard.look()
      if ([...this.objects.values()].every(({ feed }) => feed.nextWakeMs() === undefined)) return
      this.pass(40_000)
    }
    throw new Error('somebody always has something to tell')
  }

  /** What the index says, through the same pages that an operator reads. */
  runs(): Map<string, string> {
    const found = new Map<string, string>()
    for (let after: string | undefined; ;) {
      const asked = readQuery('runs', { limit: 7, ...(after !== undefined && { after }) })
      const page = merge(
        'runs',
        7,
        this.shards.map(({ store }) => list(store, asked)),
      )
      for (const { object, run } of page.items) found.set(`${object} ${run.runId}`, run.status)
      if (page.next === undefined) return found
      after = page.next
    }
  }

  alerts(): FleetAlert[] {
    return merge(
      'alerts',
      500,
      this.shards.map(({ store }) => list(store, readQuery('alerts', { limit: 500 }))),
    ).items
  }

  /** What targets were told of one subject, in order. */
  told(object: string): string[] {
    return this.shardOf(object)
      .store.sql<{ event: string }>('SELECT event FROM owed WHERE object = ? ORDER BY rowid', object)
      .map(({ event }) => event)
  }
}

/** An object with one schedule, whose runs end as they are told to. */
export class SimulatedObject {
  readonly label: string
  store = new SqliteStore()
  feed!: Feed
  /** It never wakes and never answers. */
  isDead = false
  readonly #world: FleetSimulation
  #timers: { at: number; work: () => void }[] = []
  #soon: (() => void)[] = []
  #gated: (() => void)[] = []
  #life = 0

  constructor(world: FleetSimulation, label: string) {
    this.#world = world
    this.label = label
    this.store.sql('CREATE TABLE runs (id TEXT PRIMARY KEY, status TEXT, at INTEGER, ended INTEGER, attempt INTEGER)')
    this.store.sql('CREATE TABLE schedule (next INTEGER, paused INTEGER)')
    this.store.sql('INSERT INTO schedule VALUES (?, 0)', world.clock.now() + everyMs)
    this.store.flush()
    this.start()
  }

  start(): void {
    const world = this.#world
    const life = ++this.#life
    this.#timers = []
    this.#soon = []
    this.#gated = []
    const ports: FeedPorts = {
      store: this.store,
      clock: world.clock,
      random: world.random,
      object: this.label,
      shards: world.shards.length,
      limits: { batchFacts: 3 },
      hasAnything: () => true,
      rules: () => JSON.stringify(rules),
      all: () => [
        ['schedule', 's'] as const,
        ...this.store.sql<{ id: string }>('SELECT id FROM runs ORDER BY at').map(({ id }) => ['run', id] as const),
      ],
      read: (kind, ids) =>
        ids.map((id) => {
          if (kind === 'letters') return { kind, id: '' as const, value: { total: 0, newest: [] } }
          if (kind === 'alerts') return { kind, id: '' as const, value: rules }
          if (kind === 'schedule') return { kind, id, value: this.schedule() }
          const run = this.run(id)
          return { kind, id, ...(run && { value: run }) }
        }),
      send: async (batch) => {
        await new Promise<void>((resolve) => this.#gated.push(resolve))
        await world.shardOf(this.label).receive(structuredClone(batch), this.label, () => life === this.#life)
      },
      soon: (work) => void this.#soon.push(work),
      later: (delayMs, work) => void this.#timers.push({ at: world.clock.now() + delayMs, work: () => life === this.#life && work() }),
      wake: () => undefined,
      failed: () => undefined,
    }
    this.feed = new Feed(ports)
    this.feed.start()
  }

  schedule(): ScheduleView {
    const [row] = this.store.sql<{ next: number; paused: number }>('SELECT next, paused FROM schedule')
    return { scheduleId: 's', pattern: 'every minute', timeZone: 'UTC', paused: row!.paused === 1, next: [row!.next] }
  }

  run(id: string): RunHead | undefined {
    const [row] = this.store.sql<{ status: RunHead['status']; at: number; ended: number | null; attempt: number }>(
      'SELECT * FROM runs WHERE id = ?',
      id,
    )
    if (!row) return undefined
    const target = { kind: 'schedule', id: 's', scheduledAt: row.at } as const
    return {
      runId: id,
      target,
      status: row.status,
      attempt: row.attempt,
      startedAt: row.at,
      ...(row.ended !== null && { endedAt: row.ended }),
    }
  }

  /** What of the object is on disk or will be: the truth that the index has to come to. */
  runs(): [string, string][] {
    return this.store
      .sql<{ id: string; status: string }>('SELECT id, status FROM runs')
      .map(({ id, status }) => [`${this.label} ${id}`, status])
  }

  /** The newest of the instants that have passed: what was missed is folded into it. */
  fire(): void {
    const [row] = this.store.sql<{ next: number; paused: number }>('SELECT next, paused FROM schedule')
    const now = this.#world.clock.now()
    if (this.isDead || row!.paused === 1 || row!.next > now) return
    const at = row!.next + Math.floor((now - row!.next) / everyMs) * everyMs
    const id = `s@${new Date(at).toISOString()}`
    this.store.transaction(() => {
      this.store.sql('UPDATE schedule SET next = ?', at + everyMs)
      this.store.sql(`INSERT INTO runs VALUES (?, 'running', ?, NULL, 1)`, id, at)
    })
    this.feed.mark('run', id)
    this.feed.mark('schedule', 's')
  }

  end(status: 'done' | 'failed'): void {
    const [row] = this.store.sql<{ id: string }>(
      `UPDATE runs SET status = ?, ended = ? WHERE id = (SELECT id FROM runs WHERE status = 'running' ORDER BY at LIMIT 1) RETURNING id`,
      status,
      this.#world.clock.now(),
    )
    if (row) this.feed.mark('run', row.id)
  }

  retry(): void {
    const [row] = this.store.sql<{ id: string }>(
      `UPDATE runs SET status = 'running', ended = NULL, attempt = attempt + 1
       WHERE id = (SELECT id FROM runs WHERE status = 'failed' ORDER BY at DESC LIMIT 1) RETURNING id`,
    )
    if (row) this.feed.mark('run', row.id)
  }

  pause(): void {
    this.store.sql('UPDATE schedule SET paused = 1 - paused, next = max(next, ?)', this.#world.clock.now() + everyMs)
    this.feed.mark('schedule', 's')
  }

  /** The end of a turn. */
  flush(): void {
    for (const work of this.#soon.splice(0)) work()
    this.store.flush()
    for (const open of this.#gated.splice(0)) open()
  }

  tick(): void {
    const now = this.#world.clock.now()
    const due = this.#timers.filter(({ at }) => at <= now)
    this.#timers = this.#timers.filter(({ at }) => at > now)
    if (!this.isDead) for (const { work } of due) work()
    // The alarm, which a timer comes before where the object has lived on.
    if (!this.isDead && (this.feed.nextWakeMs() ?? Infinity) <= now + everyMs) this.feed.due()
  }

  crash(): void {
    this.#world.total.crashes++
    this.store.crash()
    this.store = this.store.reopen()
    this.start()
  }

  async answer(): Promise<void> {
    if (this.isDead) throw new Error('it does not answer')
    const told = Promise.allSettled([this.feed.tell()])
    for (let turn = 0; turn < 20; turn++) await settled().then(() => this.flush())
    const [outcome] = await Promise.race([
      told,
      settled().then(() => [{ status: 'rejected', reason: new Error('no answer came') }] as const),
    ])
    if (outcome!.status === 'rejected') throw outcome!.reason
  }
}

export class SimulatedShard {
  store = new SqliteStore()
  shard!: Shard
  readonly #world: FleetSimulation
  #life = 0

  constructor(world: FleetSimulation) {
    this.#world = world
    this.store.sql('CREATE TABLE owed (object TEXT, event TEXT, payload TEXT)')
    this.store.flush()
    this.start()
  }

  start(): void {
    this.#life++
    const world = this.#world
    this.shard = new Shard({
      store: this.store,
      clock: world.clock,
      rules: [],
      ask: (label) => world.objects.get(label)!.answer(),
      askAll: async (label) => {
        const object = world.objects.get(label)!
        if (object.isDead) throw new Error('it does not answer')
        object.feed.retell()
      },
      owe: (_, event, payload) => {
        world.total[event]++
        this.store.sql('INSERT INTO owed VALUES (?, ?, ?)', payload.object, event, JSON.stringify(payload))
      },
      wake: () => undefined,
    })
  }

  /** A message arrives, or does not; its answer arrives, or does not. */
  async receive(batch: FactBatch, from: string, isAlive: () => boolean): Promise<void> {
    const world = this.#world
    const luck = () => world.isCalm || world.random.next() >= world.options.losses
    const never = new Promise<never>(() => undefined)
    if (!luck()) {
      world.total.lost++
      throw new Error('the message is lost')
    }
    const life = this.#life
    this.shard.receive(batch, from)
    world.total.taken++
    if (!luck()) {
      world.total.repeated++
      this.shard.receive(structuredClone(batch), from)
    }
    if (!world.isCalm && world.random.next() < world.options.crashes) {
      this.crash()
      throw new Error('the shard died before it answered')
    }
    this.store.flush()
    if (!luck()) throw new Error('the answer is lost')
    if (!isAlive() || life !== this.#life) return await never
  }

  async look(): Promise<void> {
    if ((this.shard.nextWakeMs() ?? Infinity) > this.#world.clock.now()) return
    const life = this.#life
    try {
      await this.shard.due()
    } catch (thrown) {
      // It died while it asked around: the next incarnation looks again.
      if (life === this.#life) throw thrown
    }
    this.store.flush()
  }

  crash(): void {
    this.#world.total.crashes++
    this.store.crash()
    this.store = this.store.reopen()
    this.start()
  }
}
