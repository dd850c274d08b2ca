import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { AsyncLocalStorage } from 'node:async_hooks'
import type { SqlRow, SqlValue } from '../../src/base/ports.ts'
import type { Execution } from '../../src/journal/execution.ts'
import { Journal } from '../../src/journal/journal.ts'
import type { DeployPolicy, JournalLimits, JournalPorts } from '../../src/journal/ports.ts'
import type { ReceivedEvent } from '../../src/journal/signals.ts'
import type { StepContext } from '../../src/journal/step-options.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'
import { method, settle } from './harness.ts'

/** What a run of a name does. */
export type Main = (world: World, run: Execution, name: string, args: unknown[]) => Promise<unknown>

/**
 * A world in which one object lives and dies: its disk, its alarm, the outside that its effects reach, and the order in which replies
 * come. Everything is drawn from one seed, so a world with the same seed is the same world.
 *
 * Rules, as the platform has them: 1. What a turn wrote is on disk when the turn ends, and only then do its effects depart. 2. A crash
 * loses the turn, or comes after its effects departed and before any reply. 3. A dead incarnation writes nothing, hears nothing and
 * reaches nothing. 4. The alarm is part of what is on disk. 5. Replies come one a turn, in an order drawn from the seed.
 */
export class World {
  readonly random: SeededRandom
  readonly clock = new ManualClock()
  readonly context = new AsyncLocalStorage<Execution>()
  /** Effects that reached the outside, by key: how often. */
  readonly outside = new Map<string, number>()
  /** What went against the rules of the journal. */
  readonly faults: string[] = []
  store = new SqliteStore()
  crashes = 0
  turns = 0
  /** When to crash: at the end of which turn, before or after the flush, or at which statement. */
  readonly plan: CrashPlan
  readonly main: Main
  readonly limits: Partial<JournalLimits>
  journal!: Journal
  #life: Life = { alive: false, statements: 0 }
  #queued: Reply[] = []
  #departed: Reply[] = []
  #timers: { at: number; fire: () => void }[] = []
  #alarm: number | null = null
  /** Events that come from outside, again and again until a turn that took them in is on disk. */
  #events: { event: ReceivedEvent; atTurn: number; taken: boolean }[] = []
  /** How many of something are under way in this life. */
  #underWay = new Map<string, number>()
  /** The versions of the code that come and go: each incarnation is one of them. */
  readonly #deploys: { policy: DeployPolicy; versions: string[] } | undefined
  version: string | undefined
  /** Somebody is asked what becomes of a run that is held. */
  asked: (runId: string) => void = () => undefined
  /** While the test looks, nothing dies. */
  #watched = true
  /** Steps whose result was on disk when an incarnation began, or was stored since: no function of theirs may run any more. */
  readonly #done = new Set<string>()

  constructor(
    seed: number,
    plan: CrashPlan,
    main: Main,
    limits: Partial<JournalLimits> = {},
    deploys?: { policy: DeployPolicy; versions: string[] },
  ) {
    this.#deploys = deploys
    this.random = new SeededRandom(seed)
    this.plan = plan
    this.main = main
    this.limits = limits
    this.store.sql('CREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL)')
    this.store.flush()
    this.#boot()
  }

  /** Runs `runId` to its end through all crashes, as a client does that asks until it is answered and then waits. */
  async live(runId: string): Promise<void> {
    let answered = false
    this.#watched = false
    for (const last = this.turns + 5000; this.turns < last; this.turns++) {
      if (!this.#life.alive && !answered) this.#boot()
      if (!answered) {
        this.#dare(() => {
          this.journal.start({ runId, target: method('main'), args: [runId] })
          this.journal.launch(runId).catch(() => undefined)
        })
      }
      if (answered) this.#receive(false)
      await settle()
      const alive = this.#endTurn()
      if (alive) answered = true
      if (alive && !['running', 'held'].includes(this.#status(runId)) && this.#departed.length === 0) {
        this.#watched = true
        return
      }
      if (alive && this.random.next() < 0.5 && this.#status(runId) === 'held') this.#ask(runId)
      if (this.#next() || !answered) continue
      if (this.#receive(true)) continue
      if (!this.#life.alive) this.#boot()
      // Nothing is under way, and no alarm is set: right if the object died after its run had ended, and only then.
      if (this.#life.alive && this.#status(runId) === 'running') throw new Error(`run ${runId} is stuck: ${this.#describe()}`)
    }
    throw new Error(`run ${runId} does not end in 5000 turns`)
  }

  /** Somebody answers what becomes of a run that is held, or else the next version is deployed. */
  #ask(runId: string): void {
    this.#dare(() => this.asked(runId))
    if (!this.#life.alive || this.#status(runId) !== 'held') return
    this.#die()
    // A deploy is no crash.
    this.crashes--
  }

  /** An event that comes a while after the run of this world has begun, whatever happens to the object. */
  sends(event: ReceivedEvent, atTurn: number): void {
    this.#events.push({ event, atTurn: this.turns + atTurn, taken: false })
  }

  /** Notes that there is one more of something, at most `most` of which may be under way. */
  enter(what: string, most: number): () => void {
    const life = this.#life
    const n = (this.#underWay.get(what) ?? 0) + 1
    this.#underWay.set(what, n)
    if (life.alive && n > most) this.faults.push(`${n} of ${what} are under way, and at most ${most} may be`)
    return () => {
      if (life === this.#life) this.#underWay.set(what, (this.#underWay.get(what) ?? 1) - 1)
    }
  }

  /** Looks at the state while nothing dies. */
  look<T>(work: () => T): T {
    const watched = this.#watched
    this.#watched = true
    try {
      return work()
    } finally {
      this.#watched = watched
    }
  }

  /** An effect outside of the object: departs when the turn is on disk, and is answered in a later turn. */
  effect(key: string): Promise<void> {
    const life = this.#life
    if (!life.alive) return new Promise(() => {})
    return new Promise((resolve) => this.#queued.push({ key, resolve }))
  }

  /** A step's function notes that it runs. */
  enters(run: Execution, { attempt, idempotencyKey }: StepContext): void {
    if (this.#life.alive && this.#done.has(idempotencyKey))
      this.faults.push(`${idempotencyKey} ran again (attempt ${attempt}) after its result was stored, in run ${run.runId}`)
  }

  /** An effect inside of the object, in the turn of the step's result. */
  count(name: string): void {
    this.store.sql('INSERT INTO counters (name, n) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET n = n + 1', name)
  }

  counter(name: string): number {
    return Number(this.store.sql('SELECT n FROM counters WHERE name = ?', name)[0]?.n ?? 0)
  }

  /** Chunks that no row refers to. */
  lostChunks(): number {
    return this.store.sql(
      `SELECT id FROM dotdo_values WHERE id / 1048576 NOT IN (SELECT value_id FROM dotdo_steps WHERE value_id IS NOT NULL
        UNION SELECT checkpoint_value FROM dotdo_steps WHERE checkpoint_value IS NOT NULL
        UNION SELECT event_value FROM dotdo_signals WHERE event_value IS NOT NULL
        UNION SELECT args_value FROM dotdo_runs WHERE args_value IS NOT NULL UNION SELECT result_value FROM dotdo_runs WHERE result_value IS NOT NULL)`,
    ).length
  }

  /** What stands in the tables and is to come, for whoever looks into a failing seed. */
  #describe(): string {
    return this.look(() =>
      JSON.stringify({
        alarm: this.#alarm,
        runs: this.store.sql('SELECT seq, run_id, status, attempt, wake_at, signals_from FROM dotdo_runs'),
        steps: this.store.sql('SELECT run, step_id, kind, status, attempt, next_attempt_at, waits_for, signal FROM dotdo_steps'),
        signals: this.store.sql('SELECT seq, id FROM dotdo_signals'),
        events: this.#events.map(({ event, taken }) => [event.id, taken]),
      }),
    )
  }

  #status(runId: string): string {
    const status = this.look(() => this.store.sql<{ status: string }>('SELECT status FROM dotdo_runs WHERE run_id = ?', runId)[0]?.status)
    return status === 'parked' || status === 'undoing' ? 'running' : (status ?? 'unknown')
  }

  /** Takes in the events whose turn it is, or the next one when nothing else can happen. Returns whether there was one. */
  #receive(whateverTurn: boolean): boolean {
    const next = this.#events.filter(({ atTurn, taken }) => !taken && (whateverTurn || atTurn <= this.turns)).slice(0, 1)
    for (const pending of next) {
      if (!this.#life.alive) this.#boot()
      this.#dare(() => {
        this.journal.signal(pending.event)
        // Whoever died of a statement may not have thrown up to here.
        pending.taken = this.#life.alive
      })
    }
    return next.length > 0
  }

  /** The end of a turn: flush and departures, or a crash before or after. Returns whether the object lives. */
  #endTurn(): boolean {
    if (!this.#life.alive) return false
    const crash = this.plan.atTurn(this.turns, this.crashes, this.random)
    if (crash === 'before') return this.#die()
    this.#dare(() => (this.#alarm = this.journal.nextWakeMs()))
    if (!this.#life.alive) return false
    this.store.flush()
    this.#events = this.#events.filter(({ taken }) => !taken)
    this.#departed.push(...this.#queued)
    for (const { key } of this.#queued) if (key !== '') this.outside.set(key, (this.outside.get(key) ?? 0) + 1)
    this.#queued = []
    return crash === 'after' ? this.#die() : true
  }

  /** What happens next: one reply, else the nearest timer or alarm. Returns whether there was anything. */
  #next(): boolean {
    const reply = this.#departed.splice(this.random.below(this.#departed.length || 1), 1)[0]
    if (reply) {
      reply.resolve()
      return true
    }
    const timer = this.#timers.toSorted((a, b) => a.at - b.at)[0]
    const alarm = this.#alarm
    if (timer && (alarm === null || timer.at <= alarm)) {
      this.#timers.splice(this.#timers.indexOf(timer), 1)
      this.clock.ms = Math.max(this.clock.ms, timer.at)
      timer.fire()
      return true
    }
    if (alarm === null) return false
    this.clock.ms = Math.max(this.clock.ms, alarm)
    if (!this.#life.alive) this.#boot()
    this.#dare(() => void this.journal.resumeDue())
    return true
  }

  #die(): false {
    this.#life.alive = false
    this.crashes++
    this.store.crash()
    this.#queued = []
    this.#departed = []
    this.#timers = []
    this.#underWay.clear()
    for (const pending of this.#events) pending.taken = false
    return false
  }

  #boot(): void {
    const life: Life = { alive: true, statements: 0 }
    this.#life = life
    this.version = this.#deploys?.versions[this.random.below(this.#deploys.versions.length)]
    this.store = new DyingStore(this.store, () => {
      if (life.alive && !this.#watched && this.plan.atStatement(++life.statements, this.crashes, this.random)) this.#die()
    }).reborn
    this.#dare(() => {
      this.journal = new Journal(this.#ports(life), this.limits)
      this.#done.clear()
      for (const row of this.store.sql<{ run_id: string; step_id: string }>(
        `SELECT run_id, step_id FROM dotdo_steps JOIN dotdo_runs ON seq = run WHERE dotdo_steps.status = 'done'`,
      ))
        this.#done.add(`${row.run_id}/${row.step_id}`)
      this.journal.recover()
    })
  }

  #resuming: Life | undefined
  /** Runs may have become due: looked at when the promises that are ready have run, as the object does. */
  #resumeSoon(life: Life): void {
    if (this.#resuming === life) return
    this.#resuming = life
    setImmediate(() => {
      this.#resuming = undefined
      if (life.alive) this.#dare(() => void this.journal.resumeDue())
    })
  }

  /** Does what a statement may kill. */
  #dare(work: () => void): void {
    try {
      work()
    } catch (thrown) {
      if (this.#life.alive) throw thrown
    }
  }

  #ports(life: Life): JournalPorts {
    return {
      store: this.store,
      compression: { compress: (bytes) => zstdCompressSync(bytes), decompress: (bytes) => zstdDecompressSync(bytes) },
      clock: this.clock,
      random: this.random,
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          if (!life.alive) return
          const timer = { at: this.clock.now() + ms, fire: resolve }
          this.#timers.push(timer)
          signal.addEventListener('abort', () => {
            if (this.#timers.includes(timer)) this.#timers.splice(this.#timers.indexOf(timer), 1)
            reject(new Error('stopped'))
          })
        }),
      sync: () => (life.alive ? this.effect('') : new Promise(() => {})),
      execute: ({ runId, target, args }, execution) => {
        if (runId !== execution.runId) this.faults.push(`${runId} is executed as ${execution.runId}`)
        const name = target.kind === 'method' ? target.name : ''
        return this.context.run(execution, () => this.main(this, execution, name, args))
      },
      ...(this.version !== undefined && { codeVersion: this.version }),
      ...(this.#deploys && { deployPolicy: this.#deploys.policy }),
      wake: () => this.#resumeSoon(life),
      // Nothing of a dead incarnation runs, though it touched no table since.
      enter: (execution, work) => (life.alive ? this.context.run(execution, work) : (new Promise(() => {}) as never)),
      observe: (event) => {
        if (life.alive && event.type === 'step.done') this.#done.add(`${event.runId}/${event.step.stepId}`)
      },
    }
  }
}

/** When the object dies. Both are asked in a fixed order, so a plan may draw from the world's seed. */
export interface CrashPlan {
  atTurn(turn: number, crashes: number, random: SeededRandom): 'before' | 'after' | undefined
  atStatement(statement: number, crashes: number, random: SeededRandom): boolean
}

/** Nothing ever happens to the object. */
export const noCrash: CrashPlan = { atTurn: () => undefined, atStatement: () => false }

/** Dies at random, at most `most` times. */
export function randomCrashes(most: number): CrashPlan {
  return {
    atTurn: (_, crashes, random) => {
      const draw = random.next()
      return crashes >= most || draw > 0.16 ? undefined : draw < 0.08 ? 'before' : 'after'
    },
    atStatement: (_, crashes, random) => random.next() < 0.004 && crashes < most,
  }
}

/** Dies once, at exactly one place. */
export function crashAt(place: { turn: number; when: 'before' | 'after' } | { statement: number }): CrashPlan {
  return {
    atTurn: (turn, crashes) => ('turn' in place && crashes === 0 && turn === place.turn ? place.when : undefined),
    atStatement: (statement, crashes) => 'statement' in place && crashes === 0 && statement === place.statement,
  }
}

interface Life {
  alive: boolean
  statements: number
}

interface Reply {
  key: string
  resolve: () => void
}

/** A store that asks before every statement whether it dies there. */
class DyingStore {
  readonly reborn: SqliteStore
  constructor(last: SqliteStore, before: () => void) {
    const store = last.reopen()
    const sql = store.sql.bind(store)
    store.sql = <Row extends SqlRow = SqlRow>(statement: string, ...parameters: SqlValue[]): Row[] => {
      before()
      return sql<Row>(statement, ...parameters)
    }
    this.reborn = store
  }
}
