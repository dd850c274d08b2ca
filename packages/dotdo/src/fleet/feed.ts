/**
 * Owns: which things of one object its shard of the fleet's index has not been told of yet (tables `dotdo_fleet_marks` and `dotdo_fleet_feed`, made by
 * the first of them).
 *
 * F1. A thing is marked in the commit of its change: after a crash both are there, or neither. (Where storage has no room for a mark, it stays in memory until there
 *     is, and what that is lost with is told with the next change.) What is told is how it stands when the message leaves, so
 *     that many changes are one fact.
 * F2. Numbers only grow, over all incarnations, also where the object's storage was emptied: each incarnation begins at a number made of the clock
 *     and of what is stored, whichever is larger.
 * F3. One message is under way at a time, the oldest marks first. A mark goes when its message was taken, unless it was set anew meanwhile. So a shard
 *     gets each fact at least once, and those of one object in order.
 * F4. What waits is bounded: over the bound the marks are dropped, and everything is told anew as soon as the shard takes something.
 * F5. An object that is to tell another set of shards tells it everything, and then the old one that it has moved.
 */
import { codeOf, DotdoError } from '../base/errors.ts'
import { migrate, type Migrations } from '../base/migrations.ts'
import type { Clock, Random, Store } from '../base/ports.ts'
import { factsVersion, type Fact, type FactBatch, type FactKind } from './facts.ts'
import { defaultFleetLimits, type FleetLimits } from './limits.ts'

/** The tables of the feed. Entries are never edited after a release, only added to; a test pins them. */
export const feedMigrations: Migrations = [
  [
    `CREATE TABLE dotdo_fleet_marks (kind TEXT NOT NULL, id TEXT NOT NULL, v INTEGER NOT NULL, retold INTEGER NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID`,
    `CREATE TABLE dotdo_fleet_feed (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, shards INTEGER NOT NULL, sweep INTEGER, moved_from INTEGER, lost INTEGER NOT NULL, rules TEXT NOT NULL)`,
  ],
]

/** How long marks that found no room wait before they are written again. */
const fullMs = 10_000

/** How things stand, as {@link FeedPorts.read} tells: a fact without its number. */
export type Standing = Fact extends infer F ? (F extends Fact ? Omit<F, 'v' | 'retold'> : never) : never

/** What a {@link Feed} stands on. */
export interface FeedPorts {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  /** This object, as `Noun/name`. */
  readonly object: string
  /** How many shards there are. */
  readonly shards: number
  readonly limits?: Partial<FleetLimits>
  /** How these things stand now. One that is no more has no value. */
  read(kind: FactKind, ids: readonly string[]): Standing[]
  /** Everything that there is to tell: runs the newest last, at most so many beside those that are running. */
  all(runs: number): Iterable<readonly [FactKind, string]>
  /** Whether there is anything to tell, in an object that has told nothing yet. */
  hasAnything(): boolean
  /** The rules of alerts that this incarnation declares, as text. */
  rules(): string
  /** Brings a message to a shard of so many. Rejects when it was not taken. */
  send(batch: FactBatch, shards: number): Promise<void>
  /** Calls `work` once, within the commit of what runs now. */
  soon(work: () => void): void
  /** A timer of this incarnation. */
  later(delayMs: number, work: () => void): void
  /** The next instant of {@link Feed.nextWakeMs} may have changed. */
  wake(): void
  /** Told once when messages begin to fail. */
  failed(error: unknown): void
}

type FeedRow = { epoch: number; shards: number; sweep: number | null; moved_from: number | null; lost: number; rules: string }
type Mark = { kind: FactKind; id: string; v: number; retold: number }

/** Numbers of one incarnation, at most; then it takes another one. */
const numbersPerEpoch = 2 ** 24
/** The instant from which epochs count seconds, so that they fit: 2025-01-01. */
const epochZeroMs = Date.UTC(2025, 0, 1)
/** The longest wait after failures. */
const longestWaitMs = 300_000
/** On a grid, so that an alarm is not moved by each turn. */
const gridMs = 30_000

/** What one object tells the index; see the head of this file. */
export class Feed {
  readonly #ports: FeedPorts
  readonly #limits: FleetLimits
  #row: FeedRow | undefined
  /** The next number; 0 before the first of this incarnation. */
  #v = 0
  #end = 0
  /** Marked in this turn, and not written yet. */
  #fresh = new Map<string, readonly [FactKind, string]>()
  #pumping: Promise<void> | undefined
  #timer = false
  #failures = 0
  #waitUntil = 0
  /** Whether anything may be marked: asked of the table once. */
  #mayWait = false

  /** @throws `STATE_TOO_NEW` */
  constructor(ports: FeedPorts) {
    this.#ports = ports
    this.#limits = { ...defaultFleetLimits, ...ports.limits }
    if (ports.store.sql(`SELECT 1 FROM sqlite_master WHERE name = 'dotdo_fleet_feed'`).length > 0) this.#open()
  }

  /** To be called when `init()` has ended: takes up what an earlier incarnation has left, and tells all of an object that the index does not know. */
  start(): void {
    if (!this.#row) {
      if (this.#ports.hasAnything() || this.#ports.rules() !== '[]') this.retell()
      return
    }
    if (this.#row.shards !== this.#ports.shards) {
      this.#update({ moved_from: this.#row.moved_from ?? this.#row.shards, shards: this.#ports.shards })
      this.retell()
    } else if (this.#row.rules !== this.#ports.rules()) this.mark('alerts', '')
    this.#mayWait = this.#ports.store.sql('SELECT 1 FROM dotdo_fleet_marks LIMIT 1').length > 0 || this.#hasDuty()
    if (this.#mayWait) this.#gather()
  }

  /** Says that a thing has changed. To be called in the turn of the change. */
  mark(kind: FactKind, id: string): void {
    if (this.#fresh.size === 0) this.#ports.soon(() => this.#writeSoon())
    this.#fresh.set(`${kind} ${id}`, [kind, id])
  }

  /** Tells everything anew: the index has lost it, or never had it. */
  retell(): void {
    this.#open()
    const since = this.#number()
    const rows: (readonly [FactKind, string])[] = [...this.#ports.all(this.#limits.retoldRuns), ['letters', ''], ['alerts', '']]
    this.#ports.store.transaction(() => {
      this.#insert(rows, 1)
      this.#update({ sweep: since, lost: 0 })
    })
    this.#gather()
  }

  /** Sends what waits, without waiting for more, and resolves when it was taken. @throws what sending threw */
  async tell(): Promise<void> {
    this.#write()
    this.#waitUntil = 0
    await this.#pumping?.catch(() => undefined)
    await this.#pump()
  }

  /** When the object wants to be woken to tell what waits, epoch milliseconds. `undefined`: nothing waits. A timer comes long before, where the object lives on. */
  nextWakeMs(): number | undefined {
    if (!this.#mayWait) return undefined
    return (Math.ceil(Math.max(this.#ports.clock.now(), this.#waitUntil) / gridMs) + 1) * gridMs
  }

  /** The alarm has come: what waits is told, where its time has come. */
  due(): void {
    if (this.#mayWait) this.#gather()
  }

  #hasDuty(): boolean {
    return this.#row !== undefined && (this.#row.sweep !== null || this.#row.moved_from !== null || this.#row.lost === 1)
  }

  #open(): void {
    if (this.#row) return
    const { store, shards } = this.#ports
    migrate(store, 'fleet-feed', feedMigrations)
    const [row] = store.sql<FeedRow>('SELECT epoch, shards, sweep, moved_from, lost, rules FROM dotdo_fleet_feed')
    this.#row = row ?? { epoch: 0, shards, sweep: null, moved_from: null, lost: 0, rules: '[]' }
    if (!row) this.#update({})
  }

  #update(change: Partial<FeedRow>): void {
    const row = { ...this.#row!, ...change }
    this.#ports.store.sql(
      'INSERT OR REPLACE INTO dotdo_fleet_feed (id, epoch, shards, sweep, moved_from, lost, rules) VALUES (1, ?, ?, ?, ?, ?, ?)',
      row.epoch,
      row.shards,
      row.sweep,
      row.moved_from,
      row.lost,
      row.rules,
    )
    this.#row = row
  }

  /** The next number (F2). */
  #number(): number {
    if (this.#v >= this.#end) {
      const seconds = Math.floor((this.#ports.clock.now() - epochZeroMs) / 1000)
      const epoch = Math.max(this.#row!.epoch + 1, seconds)
      this.#update({ epoch })
      this.#v = epoch * numbersPerEpoch
      this.#end = this.#v + numbersPerEpoch
    }
    return ++this.#v
  }

  /** Where there is no room for marks, they stay in memory: the index is late, and the turn that made them stands. */
  #writeSoon(): void {
    try {
      this.#write()
    } catch (thrown) {
      if (codeOf(thrown) !== 'STORAGE_FULL') throw thrown
      this.#ports.later(fullMs, () => this.#writeSoon())
    }
  }

  #write(): void {
    if (this.#fresh.size === 0) return
    this.#open()
    const rows = [...this.#fresh.values()]
    this.#insert(rows, 0)
    this.#fresh = new Map()
    this.#gather()
  }

  /** One statement for all: thousands of schedules may fire in one turn. */
  #insert(rows: readonly (readonly [FactKind, string])[], retold: 0 | 1): void {
    const told = rows.map(([kind, id]) => [kind, id, this.#number()])
    this.#ports.store.sql(
      `INSERT INTO dotdo_fleet_marks (kind, id, v, retold) SELECT value ->> 0, value ->> 1, value ->> 2, ? FROM json_each(?) WHERE true
       ON CONFLICT (kind, id) DO UPDATE SET v = excluded.v, retold = min(retold, excluded.retold)`,
      retold,
      JSON.stringify(told),
    )
    this.#mayWait = true
  }

  /** Sends soon: what comes until then goes with it. */
  #gather(): void {
    this.#ports.wake()
    if (this.#timer || this.#pumping) return
    this.#timer = true
    const delayMs = Math.max(this.#limits.gatherMs, this.#waitUntil - this.#ports.clock.now())
    this.#ports.later(delayMs, () => {
      this.#timer = false
      this.#pump().catch(() => undefined)
    })
  }

  #pump(): Promise<void> {
    this.#pumping ??= this.#sendAll().finally(() => (this.#pumping = undefined))
    return this.#pumping
  }

  async #sendAll(): Promise<void> {
    try {
      while (this.#mayWait && (await this.#sendOne())) this.#failures = 0
      this.#failures = 0
      this.#waitUntil = 0
    } catch (error) {
      if (this.#failures++ === 0) this.#ports.failed(error)
      const delayMs = Math.min(longestWaitMs, 1000 * 2 ** Math.min(this.#failures, 10)) * (1 + this.#ports.random.next() / 5)
      this.#waitUntil = this.#ports.clock.now() + Math.round(delayMs)
      this.#bound()
      // Its own end has to be behind it, or it would not be begun again.
      queueMicrotask(() => this.#gather())
      throw error
    } finally {
      this.#ports.wake()
    }
  }

  /** Sends the oldest marks. Gives whether there may be more. */
  async #sendOne(): Promise<boolean> {
    const { store, object, shards } = this.#ports
    const marks = store.sql<Mark>('SELECT kind, id, v, retold FROM dotdo_fleet_marks ORDER BY v LIMIT (? + 0)', this.#limits.batchFacts + 1)
    const isLast = marks.length <= this.#limits.batchFacts
    const taken = marks.slice(0, this.#limits.batchFacts)
    const { sweep, moved_from: movedFrom } = this.#row!
    if (taken.length > 0 || sweep !== null) {
      const facts = this.#factsOf(taken)
      const rules = facts.some(({ kind }) => kind === 'alerts') ? this.#ports.rules() : undefined
      await this.#ports.send({ version: factsVersion, object, facts, ...(isLast && sweep !== null && { sweep }) }, shards)
      const last = taken.at(-1)?.v ?? 0
      store.transaction(() => {
        store.sql('DELETE FROM dotdo_fleet_marks WHERE v <= ?', last)
        // One that was begun meanwhile is its own.
        const swept = isLast && sweep !== null && this.#row!.sweep === sweep
        if (swept || rules !== undefined) this.#update({ ...(swept && { sweep: null }), ...(rules !== undefined && { rules }) })
      })
      if (!isLast) return true
    } else if (movedFrom !== null) {
      await this.#ports.send({ version: factsVersion, object, facts: [], moved: true }, movedFrom)
      this.#update({ moved_from: null })
    }
    if (this.#row!.lost === 1) {
      // What was dropped is made up for, now that somebody listens.
      this.retell()
      return true
    }
    this.#mayWait = this.#hasDuty() || store.sql('SELECT 1 FROM dotdo_fleet_marks LIMIT 1').length > 0
    return this.#mayWait
  }

  #factsOf(marks: readonly Mark[]): Fact[] {
    const byKind = new Map<FactKind, Mark[]>()
    for (const mark of marks) byKind.set(mark.kind, [...(byKind.get(mark.kind) ?? []), mark])
    const facts: Fact[] = []
    for (const [kind, some] of byKind) {
      const standing = new Map(
        this.#ports
          .read(
            kind,
            some.map(({ id }) => id),
          )
          .map((it) => [it.id, it]),
      )
      for (const { id, v, retold } of some) {
        const found = standing.get(id)
        if (!found) throw new DotdoError('FLEET_FACT_MISSING', `Nothing was read of the ${kind} '${id}'.`, { data: { kind, id } })
        facts.push({ ...found, v, ...(retold === 1 && { retold: true as const }) } as Fact)
      }
    }
    return facts.sort((a, b) => a.v - b.v)
  }

  /** F4 */
  #bound(): void {
    const { store } = this.#ports
    const [count] = store.sql<{ n: number }>('SELECT count(*) AS n FROM dotdo_fleet_marks')
    if (count!.n <= this.#limits.waitingFacts) return
    store.transaction(() => {
      store.sql('DELETE FROM dotdo_fleet_marks')
      this.#update({ lost: 1, sweep: null })
    })
  }
}
