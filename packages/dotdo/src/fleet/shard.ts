/**
 * Owns: what the objects of one shard have told (tables in `tables.ts`).
 *
 * S1. A row has the newest fact that came: one with a number that is not larger changes nothing. So facts may come twice, late, and in any order.
 * S2. A message is one transaction, with the alerts that it raises and what their targets are owed.
 * S3. What is here can be made again from the objects: `rebuild` asks all that are known to tell everything, in bites, and goes on where it was after a
 *     crash. What an object has not told anew when it is through with it is no more.
 * S4. Rows are bounded: runs and alerts go 30 days after their end, and the oldest before that where there are too many; runs at once, alerts once a day.
 */
import { dayMs } from '../base/durations.ts'
import { DotdoError } from '../base/errors.ts'
import { migrate } from '../base/migrations.ts'
import type { Clock, Store } from '../base/ports.ts'
import type { AlertSubject, FleetRebuild, RunHead } from '../base/fleet-views.ts'
import type { ScheduleView } from '../base/views.ts'
import { heldCode } from './alert-text.ts'
import { Alerts, type AlertPayload, type AlertRow } from './alerts.ts'
import { isMended } from './mended.ts'
import { factsVersion, type Fact, type FactBatch, type LetterFact } from './facts.ts'
import { defaultFleetLimits, pruneBatch, type FleetLimits } from './limits.ts'
import { Rebuild } from './rebuild.ts'
import { checkRules, type AlertRule, type AlertTarget } from './rules.ts'
import { shardMigrations } from './tables.ts'
import { Watch } from './watch.ts'

/** What a {@link Shard} stands on. */
export interface ShardPorts {
  readonly store: Store
  readonly clock: Clock
  readonly limits?: Partial<FleetLimits>
  /** The rules of the app. */
  readonly rules: readonly AlertRule[]
  /** Asks an object to tell what it has not told yet. Rejects where it does not. */
  ask(object: string): Promise<void>
  /** Asks an object to tell everything anew. Rejects where it does not. */
  askAll(object: string): Promise<void>
  /** Stores, in the transaction that is open, that a target gets an alert. */
  owe(to: AlertTarget, event: 'failed' | 'late' | 'recovered', payload: AlertPayload): void
  /** The next instant of {@link Shard.nextWakeMs} may have changed. */
  wake(): void
}

/** One shard of the fleet's index; see the head of this file. */
export class Shard {
  readonly #store: Store
  readonly #clock: Clock
  readonly #limits: FleetLimits
  readonly #ports: ShardPorts
  readonly #alerts: Alerts
  readonly #watch: Watch
  readonly #rebuild: Rebuild
  readonly #rules = new Map<string, readonly AlertRule[]>()
  // How many there are: counted once, and then followed. A transaction that is undone leaves them unknown.
  #schedules: number | undefined
  #runs: number | undefined
  #prunedAt: number

  /** @throws `STATE_TOO_NEW`, `ALERT_INVALID` */
  constructor(ports: ShardPorts) {
    this.#store = ports.store
    this.#clock = ports.clock
    this.#ports = ports
    this.#limits = { ...defaultFleetLimits, ...ports.limits }
    checkRules(ports.rules)
    migrate(ports.store, 'fleet-shard', shardMigrations)
    const rules = (object: string) => this.#rulesOf(object)
    const common = { store: ports.store, clock: ports.clock, limits: this.#limits, rules }
    this.#alerts = new Alerts({ ...common, owe: (to, event, payload) => ports.owe(to, event, payload) })
    this.#watch = new Watch({ ...common, ask: (object) => ports.ask(object), wake: () => ports.wake() }, this.#alerts)
    this.#rebuild = new Rebuild({
      store: ports.store,
      clock: ports.clock,
      atOnce: this.#limits.asksAtOnce,
      ask: (object) => ports.askAll(object),
      gone: (object) => this.#change(() => this.#forget(object)),
      wake: () => ports.wake(),
    })
    this.#prunedAt = Number(this.#state('pruned') ?? ports.clock.now())
    this.#noteRules()
  }

  /**
   * Takes what an object tells.
   * @param from who sent the message, as its link says
   * @throws `FLEET_FACTS_INVALID` for a message of another version, or in another's name; `FLEET_FULL`
   */
  receive(batch: FactBatch, from: string | undefined): void {
    const { version, object, facts, sweep, moved } = batch
    if (Number(version) !== factsVersion) throw invalid(`it has version ${String(version)}, and this code knows ${String(factsVersion)}`)
    if (from !== object) throw invalid(`it speaks of ${object}, and ${from ?? 'nobody'} sent it`)
    const slash = object.indexOf('/')
    // `eu:Pipeline/main` is a Pipeline, too.
    const noun = object.slice(object.lastIndexOf(':', slash) + 1, slash)
    this.#change(() => {
      if (moved) return this.#forget(object)
      this.#store.sql(
        'INSERT INTO dotdo_fleet_objects (object, noun, told_at) VALUES (?, ?, ?) ON CONFLICT (object) DO UPDATE SET told_at = excluded.told_at',
        object,
        noun,
        this.#clock.now(),
      )
      const touched = new Set<string>()
      // Rules first: what is told beside them is judged by them.
      for (const fact of facts) if (fact.kind === 'alerts') this.#takeRules(object, fact.value, fact.v)
      for (const fact of facts) this.#take(object, noun, fact, touched)
      if (sweep !== undefined) this.#sweep(object, sweep)
      for (const id of touched) this.#watch.aim(object, id)
    })
    this.#ports.wake()
  }

  #change(work: () => void): void {
    try {
      this.#store.transaction(work)
    } catch (error) {
      this.#schedules = undefined
      this.#runs = undefined
      throw error
    }
  }

  /** Asks all objects that are known here, and these, to tell everything anew. One that is under way begins from the start. */
  rebuild(objects: readonly string[] = []): FleetRebuild {
    return this.#rebuild.begin(objects)
  }

  /** How far the last rebuild is. */
  get rebuilding(): FleetRebuild | undefined {
    return this.#rebuild.view
  }

  /** A target has not taken what it was owed of an alert, with all attempts. To be called in the turn in which that is written. */
  untold(alertId: number, to: AlertTarget, error: { code?: string; message: string }): void {
    this.#alerts.untold(alertId, to, brief(error))
  }

  /** Does what is due. Resolves when that is done; may be called meanwhile. */
  async due(): Promise<void> {
    this.#prune()
    await Promise.all([this.#watch.look(), this.#rebuild.goOn()])
  }

  /** When {@link Shard.due} has something to do next, epoch milliseconds. `null`: never. */
  nextWakeMs(): number | null {
    const hasAny = this.#store.sql('SELECT 1 FROM dotdo_fleet_objects LIMIT 1').length > 0
    const wanted = [this.#watch.nextWakeMs(), this.#rebuild.nextWakeMs(), hasAny ? this.#prunedAt + dayMs : null]
    const instants = wanted.filter((at) => at !== null)
    return instants.length === 0 ? null : Math.min(...instants)
  }

  #take(object: string, noun: string, fact: Fact, touched: Set<string>): void {
    if (fact.kind === 'run') this.#takeRun(object, noun, fact, touched)
    else if (fact.kind === 'schedule') this.#takeSchedule(object, noun, fact.id, fact.value, fact.v, touched)
    else if (fact.kind === 'letters') this.#takeLetters(object, noun, fact.value, fact.v, fact.retold === true)
  }

  #takeRun(object: string, noun: string, { id, v, value, retold }: Extract<Fact, { kind: 'run' }>, touched: Set<string>): void {
    const [known] = this.#store.sql<{
      row: number
      v: number
      status: string
      ended_at: number | null
      scheduled_at: number | null
      subject: string
    }>('SELECT row, v, status, ended_at, scheduled_at, subject FROM dotdo_fleet_runs WHERE object = ? AND run_id = ?', object, id)
    if (known && known.v >= v) return
    if (!value) {
      if (known) this.#dropRun(known.row)
      return
    }
    const subject = subjectOf(value)
    const { target, status, startedAt, endedAt = null } = value
    const scheduledAt = target.kind === 'schedule' && isNominal(id, target) ? target.scheduledAt : null
    const [written] = this.#store.sql<{ row: number }>(
      `INSERT INTO dotdo_fleet_runs (object, run_id, v, noun, status, started_at, ended_at, kind, subject, scheduled_at, fact) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (object, run_id) DO UPDATE SET v = excluded.v, status = excluded.status, ended_at = excluded.ended_at, fact = excluded.fact RETURNING row`,
      object,
      id,
      v,
      noun,
      status,
      startedAt,
      endedAt,
      subject.kind,
      subject.id,
      scheduledAt,
      JSON.stringify(value),
    )
    if (!known) this.#countRun()
    if (!known)
      for (const tag of value.tags ?? [])
        this.#store.sql('INSERT OR IGNORE INTO dotdo_fleet_tags (tag, started_at, row) VALUES (?, ?, ?)', tag, startedAt, written!.row)
    if (scheduledAt !== null) touched.add(subject.id)
    // A fork is somebody's trial, and answers for nothing.
    if (value.forkedFrom) return
    // Told anew is not happened anew: an index that is made again wakes nobody.
    const isNews = !retold || (known !== undefined && known.status !== status)
    // A handler of events that failed is tried again: what counts is its dead letter.
    if (status === 'failed' && subject.kind !== 'event' && isNews && !(known?.status === 'failed' && known.ended_at === endedAt)) {
      const error = brief(value.error ?? { message: 'It failed.' })
      this.#alerts.raise({ object, noun, subject, kind: 'failed', at: endedAt ?? startedAt, runId: id, error })
    }
    // One that a deploy holds waits for somebody's answer, and for nothing else: that has to be heard, of a handler's too.
    if (status === 'held' && isNews && known?.status !== 'held') {
      const error = { ...brief(value.error ?? { message: 'It is held.' }), code: heldCode }
      this.#alerts.raise({ object, noun, subject, kind: 'failed', at: this.#clock.now(), runId: id, error })
    }
    if (known?.status === 'held' && status !== 'held' && !this.#hasHeld(object, subject)) this.#alerts.heldNoMore(object, subject)
    if (status !== 'done') return
    const isOver = target.kind === 'schedule' ? (row: AlertRow) => isMended(this.#store, row, id, target.scheduledAt) : undefined
    if (subject.kind !== 'event') this.#alerts.well(object, subject, 'failed', endedAt ?? startedAt, isOver)
    if (target.kind === 'schedule') this.#watch.done(object, subject.id, target.scheduledAt, endedAt ?? startedAt)
  }

  /** Whether another run of the same is held. */
  #hasHeld(object: string, { kind, id }: AlertSubject): boolean {
    const held = `SELECT 1 FROM dotdo_fleet_runs WHERE object = ? AND subject = ? AND kind = ? AND status = 'held' AND status <> 'done' LIMIT 1`
    return this.#store.sql(held, object, id, kind).length > 0
  }

  #takeSchedule(object: string, noun: string, id: string, value: ScheduleView | undefined, v: number, touched: Set<string>): void {
    const [known] = this.#store.sql<{ v: number }>('SELECT v FROM dotdo_fleet_schedules WHERE object = ? AND id = ?', object, id)
    if (known && known.v >= v) return
    if (!value) {
      if (known) this.#dropSchedule(object, id)
      return
    }
    if (!known) this.#countSchedule()
    this.#store.sql(
      `INSERT INTO dotdo_fleet_schedules (object, id, v, noun, next_at, paused, failures, fact) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (object, id) DO UPDATE SET v = excluded.v, next_at = excluded.next_at, paused = excluded.paused, failures = excluded.failures, fact = excluded.fact`,
      object,
      id,
      v,
      noun,
      value.next[0] ?? null,
      value.paused ? 1 : 0,
      value.failures ?? 0,
      JSON.stringify(value),
    )
    touched.add(id)
  }

  #takeLetters(object: string, noun: string, { total, newest }: LetterFact, v: number, retold: boolean): void {
    const [known] = this.#store.sql<{ letters_v: number }>('SELECT letters_v FROM dotdo_fleet_objects WHERE object = ?', object)
    if (known!.letters_v >= v) return
    this.#store.sql('UPDATE dotdo_fleet_objects SET letters = ?, letters_v = ? WHERE object = ?', total, v, object)
    const old = this.#store.sql<{ id: string }>('DELETE FROM dotdo_fleet_letters WHERE object = ? RETURNING id', object)
    const before = new Set(old.map(({ id }) => id))
    for (const letter of newest)
      this.#store.sql(
        'INSERT INTO dotdo_fleet_letters (object, id, noun, died_at, fact) VALUES (?, ?, ?, ?, ?)',
        object,
        letter.id,
        noun,
        letter.diedAt,
        JSON.stringify(letter),
      )
    const handlers = new Set(newest.map(({ handler }) => handler))
    for (const { id, handler, diedAt: at, error } of newest.toReversed())
      if (!before.has(id) && !retold)
        this.#alerts.raise({ object, noun, subject: { kind: 'event', id: handler }, kind: 'failed', at, error: brief(error) })
    // Of more than are told, nobody knows whose they are. Those whose letters were among them until now have none any more.
    if (total <= newest.length)
      for (const handler of this.#alerts.handlersOf(object))
        if (!handlers.has(handler)) this.#alerts.well(object, { kind: 'event', id: handler }, 'failed', this.#clock.now())
  }

  #takeRules(object: string, rules: readonly AlertRule[], v: number): void {
    const changed = this.#store.sql(
      'UPDATE dotdo_fleet_objects SET rules = ?, rules_v = ? WHERE object = ? AND rules_v < ? RETURNING object',
      JSON.stringify(rules),
      v,
      object,
      v,
    )
    if (changed.length === 0) return
    this.#rules.delete(object)
    this.#watch.aimAll(object)
  }

  /** Everything of the object that there is has been told since `v`. Runs that have ended stay as long as all do: an object forgets its own. */
  #sweep(object: string, v: number): void {
    const schedules = this.#store.sql<{ id: string }>('SELECT id FROM dotdo_fleet_schedules WHERE object = ? AND v < ?', object, v)
    for (const { id } of schedules) this.#dropSchedule(object, id)
    const runs = this.#store.sql<{ row: number }>(
      'SELECT row FROM dotdo_fleet_runs WHERE object = ? AND v < ? AND ended_at IS NULL',
      object,
      v,
    )
    for (const { row } of runs) this.#dropRun(row)
  }

  #forget(object: string): void {
    this.#sweep(object, Number.MAX_SAFE_INTEGER)
    this.#store.sql(
      "DELETE FROM dotdo_fleet_tags WHERE (tag, started_at, row) IN (SELECT t.value, r.started_at, r.row FROM dotdo_fleet_runs r, json_each(r.fact, '$.tags') t WHERE r.object = ?)",
      object,
    )
    this.#store.sql('DELETE FROM dotdo_fleet_runs WHERE object = ?', object)
    this.#runs = undefined
    this.#store.sql('DELETE FROM dotdo_fleet_letters WHERE object = ?', object)
    this.#store.sql('DELETE FROM dotdo_fleet_objects WHERE object = ?', object)
    this.#rules.delete(object)
  }

  #dropSchedule(object: string, id: string): void {
    this.#store.sql('DELETE FROM dotdo_fleet_schedules WHERE object = ? AND id = ?', object, id)
    this.#alerts.end(object, { kind: 'schedule', id })
    if (this.#schedules !== undefined) this.#schedules--
  }

  #dropRun(row: number): void {
    this.#store.sql(
      "DELETE FROM dotdo_fleet_tags WHERE (tag, started_at, row) IN (SELECT t.value, r.started_at, r.row FROM dotdo_fleet_runs r, json_each(r.fact, '$.tags') t WHERE r.row = ?)",
      row,
    )
    this.#store.sql('DELETE FROM dotdo_fleet_runs WHERE row = ?', row)
    if (this.#runs !== undefined) this.#runs--
  }

  #allRuns(): number {
    return (this.#runs ??= Number(this.#store.sql('SELECT count(*) AS n FROM dotdo_fleet_runs')[0]!.n))
  }

  /** One more is there. Where they are too many by a bite or a tenth, room is made at once and not at the end of the day. */
  #countRun(): void {
    if (this.#runs === undefined) this.#allRuns()
    else this.#runs++
    const { runs } = this.#limits
    if (this.#runs! > runs + Math.max(pruneBatch, runs / 10)) this.#prunedAt = Math.min(this.#prunedAt, this.#clock.now() - dayMs)
  }

  #countSchedule(): void {
    this.#schedules ??= Number(this.#store.sql('SELECT count(*) AS n FROM dotdo_fleet_schedules')[0]!.n)
    if (this.#schedules++ < this.#limits.schedules) return
    throw new DotdoError(
      'FLEET_FULL',
      `This shard of the fleet's index has ${this.#limits.schedules} schedules, the most it takes. Give the app more shards: serve({ fleet: { shards } }).`,
      { data: { schedules: this.#limits.schedules }, retryable: true },
    )
  }

  #rulesOf(object: string): readonly AlertRule[] {
    let rules = this.#rules.get(object)
    if (!rules) {
      const [row] = this.#store.sql<{ rules: string }>('SELECT rules FROM dotdo_fleet_objects WHERE object = ?', object)
      rules = [...this.#ports.rules, ...(JSON.parse(row?.rules ?? '[]') as AlertRule[])]
      if (this.#rules.size >= 1000) this.#rules.clear()
      this.#rules.set(object, rules)
    }
    return rules
  }

  /** The app's own rules have changed with the code: each schedule is looked at by those. */
  #noteRules(): void {
    const text = JSON.stringify(this.#ports.rules)
    if ((this.#state('rules') ?? '[]') === text) return
    this.#store.transaction(() => {
      this.#note('rules', text)
      this.#watch.aimAll()
    })
  }

  #state(key: string): string | undefined {
    return this.#store.sql<{ value: string }>('SELECT value FROM dotdo_fleet_state WHERE key = ?', key)[0]?.value
  }

  #note(key: string, value: string): void {
    this.#store.sql('INSERT OR REPLACE INTO dotdo_fleet_state (key, value) VALUES (?, ?)', key, value)
  }

  /** Once a day, in bites: one for each call until nothing is left. */
  #prune(): void {
    const now = this.#clock.now()
    if (now - this.#prunedAt < dayMs && now >= this.#prunedAt) return
    const old = this.#store.sql<{ row: number }>(
      'SELECT row FROM dotdo_fleet_runs WHERE started_at < ? AND ended_at IS NOT NULL AND ended_at < ? ORDER BY started_at LIMIT (? + 0)',
      now - this.#limits.keepMs,
      now - this.#limits.keepMs,
      pruneBatch,
    )
    const over = this.#oldest(Math.min(pruneBatch, Math.max(0, this.#allRuns() - this.#limits.runs)))
    const rows = new Set([...old, ...over].map(({ row }) => row))
    let more = false
    this.#change(() => {
      for (const row of rows) this.#dropRun(row)
      more = this.#alerts.prune(pruneBatch)
      // Objects that tell nothing more and of which nothing else is here. One that has rules would not tell them again.
      const objects = this.#store.sql(
        `DELETE FROM dotdo_fleet_objects WHERE object IN (SELECT object FROM dotdo_fleet_objects o WHERE told_at < ? AND letters = 0 AND rules = '[]'
          AND NOT EXISTS (SELECT 1 FROM dotdo_fleet_runs r WHERE r.object = o.object)
          AND NOT EXISTS (SELECT 1 FROM dotdo_fleet_schedules s WHERE s.object = o.object) LIMIT (? + 0)) RETURNING object`,
        now - this.#limits.keepMs,
        pruneBatch,
      )
      // What is left is taken in the next bite, soon.
      this.#prunedAt = more || old.length + over.length >= pruneBatch || objects.length >= pruneBatch ? now - dayMs : now
      this.#note('pruned', String(this.#prunedAt))
    })
  }

  /** Runs to make room with: the oldest that have ended, and only then those that have not. */
  #oldest(most: number): { row: number }[] {
    if (most === 0) return []
    const ended = this.#store.sql<{ row: number }>(
      'SELECT row FROM dotdo_fleet_runs WHERE ended_at IS NOT NULL ORDER BY started_at LIMIT (? + 0)',
      most,
    )
    if (ended.length === most) return ended
    const open = this.#store.sql<{ row: number }>(
      'SELECT row FROM dotdo_fleet_runs WHERE ended_at IS NULL ORDER BY started_at LIMIT (? + 0)',
      most - ended.length,
    )
    return [...ended, ...open]
  }
}

/** What a run is one of. */
export function subjectOf({ target }: Pick<RunHead, 'target'>): AlertSubject {
  if (target.kind === 'schedule') return { kind: 'schedule', id: target.id }
  return target.kind === 'event' ? { kind: 'event', id: target.handler } : { kind: 'method', id: target.name }
}

/** Whether a run is that of an instant: runs by hand and of windows that are run again have more in their ids. */
function isNominal(runId: string, target: { id: string; scheduledAt: number }): boolean {
  return runId === `${target.id}@${new Date(target.scheduledAt).toISOString()}`
}

/** What an alert says of an error. */
function brief({ code, message }: { code?: string; message: string }): { code?: string; message: string } {
  return { message: message.slice(0, 500), ...(code !== undefined && { code }) }
}

function invalid(reason: string): DotdoError {
  return new DotdoError('FLEET_FACTS_INVALID', `This message for the fleet's index is not taken: ${reason}.`, { data: { reason } })
}
