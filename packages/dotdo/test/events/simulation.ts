/**
 * One object's life, driven by a seed: it sends, delivers, fails, restarts with other code, and crashes wherever the platform can. Beside it
 * runs a ledger that knows, without reading the outbox's tables, what must have come of every event.
 *
 * The world outside: an effect happens once a run id (that is the journal's promise), and flushes the store before it happens (that is the
 * platform's output gate). A crash takes back everything since the last flush, and answers of that incarnation never arrive.
 */
import { DotdoError } from '../../src/base/errors.ts'
import type { DeclaredHandler } from '../../src/events/handlers.ts'
import { matches } from '../../src/events/pattern.ts'
import { Outbox } from '../../src/events/outbox.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'
import { settled } from './harness.ts'

export interface SimulationOptions {
  seed: number
  /** Chance of a crash at each step, 0 to 1. */
  crashes: number
  /** Crashes at exactly this flush, counted from 1: `before` it commits, or just `after`. */
  crashAtFlush?: { number: number; when: 'before' | 'after' }
  steps?: number
}

interface Entry {
  n: number
  id: string
  type: string
  key: string | undefined
  committed: boolean
  /** Who is owed it: `undefined` until matched. */
  owed: string[] | undefined
  /** The same, as of the last flush. */
  owedCommitted: string[] | undefined
}

interface Call {
  handler: DeclaredHandler
  n: number
  eventId: string
  runId: string
  done: boolean
  resolve(): void
  reject(thrown: unknown): void
}

const releases = [
  [
    { id: 'log', pattern: '*.*' },
    { id: 'paid', pattern: 'Order.paid' },
    { id: 'any', pattern: 'Order.*', ordered: false },
  ],
  [
    { id: 'log', pattern: '*.*' },
    { id: 'paid', pattern: 'Order.paid' },
    { id: 'fails', pattern: '*.failed' },
  ],
  [
    { id: 'paid', pattern: 'Order.*' },
    { id: 'any', pattern: 'Order.*', ordered: false },
  ],
]
const types = ['Order.paid', 'Order.failed', 'Job.failed', 'Job.done']
const limit = 4

export class Simulation {
  readonly #random: SeededRandom
  readonly #options: SimulationOptions
  readonly #clock = new ManualClock()
  #store = new SqliteStore()
  #outbox!: Outbox
  #entries: Entry[] = []
  #byId = new Map<string, Entry>()
  #calls: Call[] = []
  #alarm: number | undefined
  #woken = false
  #pumps = 0
  #flushes = 0
  #n = 0
  readonly #effects = new Map<string, number>()
  /** The order of effects in each ordered lane; replays apart. */
  readonly #order = new Map<string, number[]>()
  readonly #replayed = new Set<string>()
  crashCount = 0
  deaths = 0
  deliveries = 0

  constructor(options: SimulationOptions) {
    this.#options = options
    this.#random = new SeededRandom(options.seed)
    this.#store.sql('CREATE TABLE app (n)')
    this.#store.flush()
  }

  async run(): Promise<void> {
    this.#start()
    for (let i = 0; i < (this.#options.steps ?? 40); i++) {
      await this.#step()
      if (this.#random.next() < this.#options.crashes) this.#crash()
      if (i % 8 === 0) this.#check()
    }
    await this.#finish()
    this.#verdict()
  }

  get flushes(): number {
    return this.#flushes
  }

  #start(): void {
    const store = this.#store
    this.#calls = []
    this.#alarm = undefined
    this.#pumps = 0
    this.#outbox = new Outbox({
      store,
      clock: this.#clock,
      random: this.#random,
      source: 'Sim/1',
      limits: { batch: 3, atOnce: 4, atOnceUnordered: 2 },
      deliver: (event, handler, attempt) => this.#deliver(event.payload as number, event.id, handler, attempt.runId),
      sync: async () => this.#flush(store),
      wake: () => {
        this.#woken = true
      },
    })
    const release = releases[this.#options.crashes === 0 ? 0 : this.#random.below(releases.length)]!
    const outbox = this.#outbox
    if (this.#random.below(3) === 0) this.#send()
    for (const { id, pattern, ordered } of release) {
      outbox.subscribe(pattern, () => 0, { id, ordered: ordered ?? true, retries: { limit, delay: '1s' } })
    }
    if (this.#random.below(3) === 0) this.#send()
    if (this.#random.below(8) === 0) this.#flush(store)
    if (this.#store !== store) return
    outbox.settle()
    this.#declared = release
    for (const entry of this.#entries) entry.owed ??= this.#owedTo(entry.type)
  }

  #declared: { id: string; pattern: string }[] | undefined

  #owedTo(type: string): string[] {
    return (this.#declared ?? []).filter((it) => matches(it.pattern, type)).map((it) => it.id)
  }

  async #step(): Promise<void> {
    const what = this.#random.below(100)
    const store = this.#store
    if (what < 35) this.#send()
    else if (what < 40) this.#sendAndRollBack()
    else if (what < 65) this.#answer()
    else if (what < 75) this.#flush(store)
    else if (what < 80) this.#clock.advance(this.#random.below(5000))
    else if (what < 84) this.#replay()
    else this.#pump()
    await settled()
    this.#arm()
  }

  #send(): void {
    const n = ++this.#n
    const type = types[this.#random.below(types.length)]!
    const key = this.#random.below(4) === 0 ? `${type} ${this.#random.below(3)}` : undefined
    const first = key === undefined ? undefined : this.#entries.find((entry) => entry.key === key)
    const id = this.#outbox.send(type, n, key === undefined ? {} : { key })
    if (first) {
      if (first.id !== id) throw new Error(`the key ${key} gave ${id} instead of ${first.id}`)
      return
    }
    this.#store.sql('INSERT INTO app VALUES (?)', n)
    const entry: Entry = { n, id, type, key, committed: false, owed: this.#declared && this.#owedTo(type), owedCommitted: undefined }
    this.#entries.push(entry)
    this.#byId.set(id, entry)
  }

  #sendAndRollBack(): void {
    try {
      this.#store.transaction(() => {
        this.#outbox.send('Order.paid', -1, { key: `rolled back ${this.#n}` })
        throw new Error('rolled back')
      })
    } catch (thrown) {
      if ((thrown as Error).message !== 'rolled back') throw thrown
    }
  }

  #replay(): void {
    const letters = this.#outbox.deadLetters()
    const letter = letters[this.#random.below(Math.max(1, letters.length))]
    if (!letter || !this.#declared?.some((it) => it.id === letter.handler)) return
    this.#replayed.add(`event:${letter.id}`)
    this.#outbox.replay(letter.id)
  }

  #pump(): void {
    const store = this.#store
    this.#pumps++
    this.#outbox.pump().then(
      () => this.#pumps--,
      (thrown: unknown) => {
        // A pump of an object that has crashed fails, or never ends. One of a living object must not fail.
        if (store === this.#store) this.#failure ??= thrown
      },
    )
  }

  #failure: unknown

  /** The adapter: at the end of a turn it sets the alarm to what the outbox asks for, if it was told that this has changed. */
  #arm(): void {
    if (!this.#woken) return
    this.#woken = false
    this.#alarm = this.#outbox.nextWakeMs()
  }

  #deliver(n: number, eventId: string, handler: DeclaredHandler, runId: string): Promise<void> {
    this.deliveries++
    const entry = this.#byId.get(eventId)
    if (!entry?.owed?.includes(handler.id)) throw this.#fail(`${handler.id} got event ${n}, which it is not owed`)
    if (handler.ordered) {
      if (this.#calls.some((call) => call.handler.id === handler.id))
        throw this.#fail(`${handler.id} got event ${n} while another was under way`)
      for (const earlier of this.#entries) {
        if (earlier.n >= n || !earlier.owed?.includes(handler.id) || this.#effects.has(`event:${earlier.id}:${handler.id}`)) continue
        const isDead = this.#outbox.deadLetters({ limit: 10_000, handler: handler.id }).some((letter) => letter.eventId === earlier.id)
        if (!isDead && !this.#replayed.has(runId)) throw this.#fail(`${handler.id} got event ${n} before event ${earlier.n}`)
      }
    }
    return new Promise((resolve, reject) => this.#calls.push({ handler, n, eventId, runId, done: false, resolve, reject }))
  }

  #fail(message: string): Error {
    this.#failure ??= new Error(message)
    return this.#failure as Error
  }

  /** One of the calls under way goes on: first its effect, later its answer. A crash in between loses the answer. */
  #answer(): void {
    const call = this.#calls[this.#random.below(Math.max(1, this.#calls.length))]
    if (!call) return
    const store = this.#store
    if (!call.done && !this.#effects.has(call.runId)) {
      const mood = (call.n * 7 + call.handler.id.length) % 11
      if (mood === 0 || (mood < 4 && this.#random.below(2) === 0)) {
        this.#calls.splice(this.#calls.indexOf(call), 1)
        return call.reject(mood === 0 && call.n % 2 ? new DotdoError('NEVER', 'never') : new Error('flaky'))
      }
      this.#flush(store)
      if (this.#store !== store) return
      this.#effects.set(call.runId, (this.#effects.get(call.runId) ?? 0) + 1)
      if (call.handler.ordered && !this.#replayed.has(call.runId)) {
        this.#order.set(call.handler.id, [...(this.#order.get(call.handler.id) ?? []), call.n])
      }
    }
    if (!call.done) call.done = true
    else {
      this.#calls.splice(this.#calls.indexOf(call), 1)
      call.resolve()
    }
  }

  #flush(store: SqliteStore): void {
    const crash = this.#options.crashAtFlush?.number === ++this.#flushes ? this.#options.crashAtFlush.when : undefined
    if (crash === 'before') return this.#crash()
    store.flush()
    for (const entry of this.#entries) {
      entry.committed = true
      entry.owedCommitted = entry.owed
    }
    if (crash === 'after') this.#crash()
  }

  #crash(): void {
    this.crashCount++
    this.#store.crash()
    this.#store = this.#store.reopen()
    this.#entries = this.#entries.filter((entry) => entry.committed)
    for (const entry of this.#entries) entry.owed = entry.owedCommitted
    this.#declared = undefined
    this.#start()
  }

  /** Nobody crashes any more; the object runs by its alarm alone until it needs none. */
  async #finish(): Promise<void> {
    this.#options.crashes = 0
    this.#flush(this.#store)
    this.#alarm = this.#outbox.nextWakeMs()
    this.#check()
    for (let i = 0; i < 5000; i++) {
      if (this.#failure !== undefined) throw this.#failure
      await settled()
      this.#arm()
      if (this.#calls.length > 0) this.#answer()
      else if (this.#alarm === undefined) return
      else {
        // An alarm that is far off while nothing is under way would be the watchdog hiding a missing wake().
        if (this.#alarm > this.#clock.ms + 20_000) throw new Error('the object sleeps although a delivery is due')
        this.#clock.ms = Math.max(this.#clock.ms, this.#alarm)
        this.#pump()
        await settled()
        this.#alarm = this.#outbox.nextWakeMs()
      }
    }
    throw new Error('the object never came to rest')
  }

  /** What holds at every moment; looked at now and then. */
  #check(): void {
    if (this.#failure !== undefined) throw this.#failure
    const broken = this.#store.sql(
      `SELECT * FROM (SELECT seq, open, ended_at, (SELECT count(*) FROM dotdo_deliveries d WHERE d.seq = o.seq) +
       (SELECT count(*) FROM dotdo_dead_letters d WHERE d.seq = o.seq) AS really FROM dotdo_outbox o)
       WHERE open IS NOT NULL AND (open <> really OR (open = 0) <> (ended_at IS NOT NULL))`,
    )
    if (broken.length > 0) throw new Error(`T1 is broken: ${JSON.stringify(broken)}`)
    if (this.#store.sql('SELECT 1 FROM dotdo_deliveries LIMIT 1').length > 0 && this.#outbox.nextWakeMs() === undefined)
      throw new Error('something waits, and nobody wakes')
  }

  /** What must have come of every event. */
  #verdict(): void {
    this.#check()
    const rows = this.#store.sql('SELECT n FROM app ORDER BY n').map((row) => row.n)
    if (JSON.stringify(rows) !== JSON.stringify(this.#entries.map((entry) => entry.n)))
      throw new Error('state and outbox disagree about what was sent')
    if (this.#pumps > 0) throw new Error(`${this.#pumps} pumps never ended`)
    const letters = new Map(this.#outbox.deadLetters({ limit: 10_000 }).map((letter) => [`event:${letter.id}`, letter]))
    this.deaths = letters.size
    const owed = new Set<string>()
    for (const entry of this.#entries) {
      for (const handler of entry.owed ?? []) {
        const runId = `event:${entry.id}:${handler}`
        owed.add(runId)
        const times = this.#effects.get(runId) ?? 0
        const code = letters.get(runId)?.error.code ?? (letters.has(runId) ? 'flaky' : undefined)
        if (times > 1) throw new Error(`event ${entry.n} took effect ${times} times in ${handler}`)
        if (times === 0 && code === undefined) throw new Error(`event ${entry.n} was lost to ${handler}`)
        if (this.crashCount === 0 && code !== undefined && (entry.n * 7 + handler.length) % 11 >= 4)
          throw new Error(`event ${entry.n} died in ${handler} without cause: ${code}`)
      }
    }
    for (const runId of [...this.#effects.keys(), ...letters.keys()]) if (!owed.has(runId)) throw new Error(`${runId} was owed to nobody`)
    for (const [lane, order] of this.#order) {
      if (order.some((n, i) => i > 0 && n <= order[i - 1]!)) throw new Error(`${lane} took effect out of order: ${order.join(' ')}`)
    }
  }
}
