/**
 * Several objects that subscribe to each other's events, over a network that drops, repeats, delays and reorders, with crashes wherever the platform
 * can have them. All of it is driven by a seed: the same seed is the same history.
 *
 * What is honest in it: an object's writes are on disk when its turn is flushed, and nothing leaves it before that, messages and answers alike. A crash
 * takes back what was not flushed, and answers of that incarnation never arrive. A handler's own writes are in the object's SQLite, so what took
 * effect is what its table says.
 */
import { DotdoError } from '../../src/base/errors.ts'
import type { EventBatch, Receipt, SubscriptionRequest, SubscriptionTarget } from '../../src/events/batch.ts'
import { Inbox } from '../../src/events/inbox.ts'
import { defaultLimits, type OutboxLimits } from '../../src/events/limits.ts'
import { Outbox } from '../../src/events/outbox.ts'
import { matches } from '../../src/events/pattern.ts'
import { Subscribed, type EventSource } from '../../src/events/subscribed.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'
import { settled } from './harness.ts'

export interface ExchangeOptions {
  seed: number
  /** Chance of a crash at each step. */
  crashes: number
  /** Chance that a message or an answer is lost, and that one comes twice. */
  losses: number
  /** Crashes at exactly this flush of all objects, counted from 1. */
  crashAtFlush?: { number: number; when: 'before' | 'after' }
  steps?: number
}

const sources = ['Orders/a', 'Orders/b']
const receivers = ['Bills/x', 'Bills/y']
const types = ['Order.paid', 'Order.failed', 'Job.done']
const attempts = 4
const limits: OutboxLimits = { ...defaultLimits, batchEvents: 4, ahead: 8, suspendAfterMs: 3_600_000 }

/** What the receivers declare, release by release. */
const releases = [
  [
    { source: 'Orders/a', pattern: '*.*', id: 'log', ordered: true },
    { source: 'Orders/a', pattern: 'Order.*', id: 'loose', ordered: false },
    { source: 'Orders/b', pattern: 'Order.paid', id: 'paid', ordered: true },
  ],
  [
    { source: 'Orders/a', pattern: '*.*', id: 'log', ordered: true },
    { source: 'Orders/b', pattern: 'Order.*', id: 'paid', ordered: true },
  ],
]

interface Sent {
  n: number
  type: string
  source: string
  owed: string[]
  committed: boolean
}

/** A message or an answer on its way. */
interface Flying {
  to: string
  arrive(): void
  lose(): void
  repeatable: boolean
}

export class ExchangeSimulation {
  readonly random: SeededRandom
  readonly clock = new ManualClock()
  readonly #options: ExchangeOptions
  readonly #nodes = new Map<string, Node>()
  readonly #flying: Flying[] = []
  #sent: Sent[] = []
  #n = 0
  #isCalm = false
  flushes = 0
  readonly total = { crashes: 0, lost: 0, repeated: 0, handled: 0, dead: 0, replayed: 0 }
  /** Events that were revived in some lane: their order is not that of sending. */
  readonly revived = new Set<string>()
  failure: Error | undefined

  constructor(options: ExchangeOptions) {
    this.#options = options
    this.random = new SeededRandom(options.seed)
    for (const label of [...sources, ...receivers]) this.#nodes.set(label, new Node(this, label))
    for (const node of this.#nodes.values()) node.start()
  }

  node(label: string): Node {
    return this.#nodes.get(label)!
  }

  async run(): Promise<void> {
    for (let i = 0; i < (this.#options.steps ?? 150); i++) {
      this.#step()
      await settled()
      if (this.random.next() < this.#options.crashes) this.#any(this.#nodes).crash()
      if (this.failure) throw this.failure
    }
    await this.#calmDown()
    this.#verdict()
  }

  #any<T>(of: ReadonlyMap<string, T>): T {
    const all = [...of.values()]
    return all[this.random.below(all.length)]!
  }

  #step(): void {
    const what = this.random.below(100)
    if (what < 20) this.#send()
    else if (what < 45) this.#fly()
    else if (what < 60) this.#any(this.#nodes).flush()
    else if (what < 80) this.#any(this.#nodes).pump()
    else if (what < 90) this.#any(this.#nodes).answer()
    else if (what < 94) this.#pass(this.random.below(this.random.below(8) === 0 ? 4_000_000 : 6000))
    else if (what < 99) this.node(sources[this.random.below(sources.length)]!).replay()
    else this.#any(this.#nodes).endOne()
  }

  #pass(ms: number): void {
    this.clock.advance(ms)
    for (const node of this.#nodes.values()) node.tick()
  }

  #send(): void {
    const source = sources[this.random.below(sources.length)]!
    const type = types[this.random.below(types.length)]!
    this.#sent.push({ ...this.node(source).send(++this.#n, type), n: this.#n, type, source, committed: false })
  }

  /** One message arrives, is lost, or arrives twice: any of those on their way, so they overtake each other. */
  #fly(): void {
    const index = this.random.below(Math.max(1, this.#flying.length))
    const it = this.#flying[index]
    if (!it) return
    const luck = this.#isCalm ? 1 : this.random.next()
    if (luck < this.#options.losses) {
      this.#flying.splice(index, 1)
      this.total.lost++
      return it.lose()
    }
    // The second one comes whenever it comes.
    if (it.repeatable && luck < this.#options.losses * 2) this.total.repeated++
    else this.#flying.splice(index, 1)
    it.arrive()
  }

  launch(flying: Flying): void {
    this.#flying.push(flying)
  }

  /** @returns whether the object lives on */
  flushed(node: Node, commit: () => void): boolean {
    const crash = this.#options.crashAtFlush?.number === ++this.flushes ? this.#options.crashAtFlush.when : undefined
    if (crash === 'before') return (node.crash(), false)
    commit()
    for (const it of this.#sent) if (it.source === node.label) it.committed = true
    if (crash === 'after') return (node.crash(), false)
    return true
  }

  crashed(node: Node): void {
    this.total.crashes++
    this.#sent = this.#sent.filter((it) => it.committed || it.source !== node.label)
  }

  release(): (typeof releases)[number] {
    return this.#isCalm ? releases[0]! : releases[this.random.below(6) === 0 ? 1 : 0]!
  }

  /** No faults any more: every object goes on by its own alarm alone until none wants to be woken. */
  async #calmDown(): Promise<void> {
    this.#isCalm = true
    for (let round = 0; round < 20_000; round++) {
      if (this.failure) throw this.failure
      await settled()
      const nodes = [...this.#nodes.values()]
      for (const node of nodes) node.flush()
      await settled()
      for (const node of nodes) node.answer()
      if (this.#flying.length > 0) {
        this.#fly()
        continue
      }
      if (nodes.some((node) => node.isBusy)) continue
      for (const node of nodes) node.resumeAll()
      const wakes = nodes.map((node) => node.nextWakeMs() ?? Infinity)
      const soonest = Math.min(...wakes, ...nodes.map((node) => node.nextTimer))
      if (soonest === Infinity) return
      // An hour is the longest wait; more would be something that nobody remembers.
      if (soonest > this.clock.ms + 3_700_000) throw new Error(`everybody sleeps until ${soonest - this.clock.ms} ms from now`)
      this.clock.ms = Math.max(this.clock.ms, soonest)
      for (const [i, node] of nodes.entries()) {
        node.tick()
        // Asked before the clock moved: an alarm that was set stays set.
        if (wakes[i]! <= this.clock.ms) node.pump()
      }
    }
    throw new Error(
      `the objects never came to rest: ${JSON.stringify([...this.#nodes.values()].map((node) => [node.label, (node.nextWakeMs() ?? 0) - this.clock.ms, node.subscribed.views(), node.outbox.subscriptions()]))}`,
    )
  }

  #verdict(): void {
    for (const label of receivers) {
      const node = this.node(label)
      for (const { subscriptionId, source, handler } of node.subscribed.views()) {
        const from = this.node(source)
        const ordered = releases.flat().find(({ id }) => id === handler)!.ordered
        const dead = new Set(from.outbox.deadLetters({ limit: 10_000, handler: subscriptionId }).map(({ payload }) => Number(payload.text)))
        this.total.dead += dead.size
        const effects = node.effects(subscriptionId)
        this.total.handled += effects.length
        const times = new Map<number, number>()
        for (const n of effects) times.set(n, (times.get(n) ?? 0) + 1)
        for (const { n, owed, type } of this.#sent) {
          if (!owed.includes(subscriptionId)) continue
          const count = times.get(n) ?? 0
          if (count > 1) throw new Error(`${type} ${n} took effect ${count} times in ${label} ${handler}`)
          if (count === 0 && !dead.has(n)) throw new Error(`${type} ${n} was lost to ${label} ${handler}`)
        }
        const inOrder = effects.filter((n) => !this.revived.has(`${subscriptionId} ${n}`))
        if (ordered && inOrder.some((n, i) => i > 0 && n < inOrder[i - 1]!))
          throw new Error(`${label} ${handler} took effect out of order: ${inOrder.join(' ')}`)
        const known = new Set(this.#sent.filter(({ owed }) => owed.includes(subscriptionId)).map(({ n }) => n))
        const strange = effects.filter((n) => !known.has(n))
        if (strange.length > 0) throw new Error(`${label} ${handler} handled what was not sent to it: ${strange.join(' ')}`)
      }
    }
  }
}

interface Call {
  key: string
  n: number
  resolve(): void
  reject(thrown: unknown): void
  write(): void
}

/** One object of it. */
export class Node {
  readonly label: string
  readonly #world: ExchangeSimulation
  #store = new SqliteStore()
  outbox!: Outbox
  subscribed!: Subscribed
  inbox!: Inbox
  /** What waits for the end of the turn: messages, answers, syncs. */
  #gated: (() => void)[] = []
  #calls: Call[] = []
  #timers: { at: number; then: () => void }[] = []
  #attempts = new Map<string, number>()
  #pumps = 0
  #life = 0

  constructor(world: ExchangeSimulation, label: string) {
    this.#world = world
    this.label = label
    this.#store.sql('CREATE TABLE effects (subscription TEXT, n INTEGER)')
    this.#store.flush()
  }

  start(): void {
    const store = this.#store
    const { clock, random } = this.#world
    this.#gated = []
    this.#calls = []
    this.#timers = []
    this.#pumps = 0
    const life = ++this.#life
    const timer = (delayMs: number, then: () => void): (() => void) => {
      const it = { at: clock.now() + delayMs, then }
      this.#timers.push(it)
      return () => (this.#timers = this.#timers.filter((other) => other !== it))
    }
    this.outbox = new Outbox({
      store,
      clock,
      random,
      limits,
      source: this.label,
      deliver: async () => undefined,
      timer,
      sync: () => this.#gate(life),
      carry: (target, batch) => this.#call(life, target, (node) => node.inbox.receive(structuredClone(batch), this.label)),
    })
    this.subscribed = new Subscribed(this.outbox.subscriptionTables, limits, {
      clock,
      random,
      ask: (source, request) =>
        this.#call(life, source, (node) => node.outbox.put(structuredClone(request) as SubscriptionRequest, this.label)),
      end: (source, id) => this.#call(life, source, (node) => node.outbox.end(id, this.label)),
      ended: (id) => this.inbox.forget(id),
    })
    this.inbox = new Inbox(this.outbox.subscriptionTables, {
      clock,
      sync: () => this.#gate(life),
      timer,
      open: (batch, from) => this.#open(batch, from),
    })
    if (receivers.includes(this.label)) {
      const [noun, name] = this.label.split('/') as [string, string]
      for (const { source, pattern, id, ordered } of this.#world.release())
        this.subscribed.declare(sourceOf(source), pattern, { noun, name }, () => 0, {
          id,
          ordered,
          retries: { limit: attempts, delay: '1s' },
        })
    }
    this.outbox.settle()
    this.subscribed.settle()
  }

  #open(batch: EventBatch, from: string | undefined): ((event: { payload: unknown }, key: string) => unknown) | null | undefined {
    const handler = this.subscribed.handlerOf(batch, from)
    if (!handler) return handler
    const store = this.#store
    return ({ payload }, key) => {
      const n = payload as number
      const write = (): void => void store.sql('INSERT INTO effects VALUES (?, ?)', batch.subscription, n)
      const mood = (n * 7 + handler.id.length) % 12
      const tried = (this.#attempts.get(key) ?? 0) + 1
      this.#attempts.set(key, tried)
      if (this.#calls.some((call) => call.key === key)) throw (this.#world.failure ??= new Error(`${key} was begun beside itself`))
      if (handler.ordered && this.#calls.some((call) => call.key.endsWith(batch.subscription)))
        throw (this.#world.failure ??= new Error(`${key} was begun while another of its lane was under way`))
      if (mood === 0) {
        write()
        throw n % 2 ? new DotdoError('NEVER', 'never') : new Error('too much')
      }
      if (mood < 4 && tried < mood) throw new Error('flaky')
      if (mood < 8) return write()
      return new Promise<void>((resolve, reject) => this.#calls.push({ key, n, resolve, reject, write }))
    }
  }

  /** A handler that waited goes on: its write and its end are one turn. */
  answer(): void {
    const call = this.#calls[this.#world.random.below(Math.max(1, this.#calls.length))]
    if (!call) return
    this.#calls.splice(this.#calls.indexOf(call), 1)
    if (call.n % 5 === 0 && this.#world.random.below(3) === 0) return call.reject(new Error('flaky'))
    call.write()
    call.resolve()
  }

  /** A request to another object, whose answer comes back or not. */
  async #call<T>(life: number, to: EventSource | SubscriptionTarget, work: (node: Node) => T | Promise<T>): Promise<Awaited<T>> {
    await this.#gate(life)
    const world = this.#world
    const label = `${to.noun}/${to.name}`
    return await new Promise<Awaited<T>>((resolve, reject) => {
      const broken = (): void => {
        // Told at once, or never.
        if (world.random.below(3) > 0) reject(new DotdoError('OBJECT_UNREACHABLE', 'lost', { retryable: true }))
      }
      world.launch({
        to: label,
        repeatable: true,
        lose: broken,
        arrive: () => {
          const node = world.node(label)
          const theirs = node.#life
          const back = (end: () => void): void => {
            node.#gate(theirs).then(
              () => world.launch({ to: this.label, repeatable: false, lose: broken, arrive: () => life === this.#life && end() }),
              () => broken(),
            )
          }
          Promise.resolve()
            .then(() => work(node))
            .then(
              (value) => back(() => resolve(value as Awaited<T>)),
              (thrown: unknown) => back(() => reject(thrown)),
            )
        },
      })
    })
  }

  #gate(life: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (life === this.#life) this.#gated.push(resolve)
      else reject(new Error('this incarnation has crashed'))
    })
  }

  flush(): void {
    const gated = this.#gated.splice(0)
    if (!this.#world.flushed(this, () => this.#store.flush())) return
    for (const open of gated) open()
  }

  crash(): void {
    this.#world.crashed(this)
    this.#store.crash()
    this.#store = this.#store.reopen()
    this.start()
  }

  send(n: number, type: string): { owed: string[] } {
    const owed = this.outbox.subscriptions().filter(({ pattern }) => matches(pattern, type))
    this.outbox.send(type, n)
    return { owed: owed.map(({ subscriptionId }) => subscriptionId) }
  }

  pump(): void {
    const life = this.#life
    for (const pumped of [this.outbox.pump(), this.subscribed.pump()]) {
      this.#pumps++
      pumped.then(
        () => life === this.#life && this.#pumps--,
        (thrown: unknown) => life === this.#life && (this.#world.failure ??= thrown as Error),
      )
    }
  }

  tick(): void {
    const due = this.#timers.filter(({ at }) => at <= this.#world.clock.ms)
    this.#timers = this.#timers.filter((it) => !due.includes(it))
    for (const { then } of due) then()
  }

  replay(): void {
    const letters = this.outbox
      .deadLetters()
      .filter(({ handler }) => this.outbox.subscriptions().some((it) => `>${it.subscriptionId}` === handler))
    const letter = letters[this.#world.random.below(Math.max(1, letters.length))]
    if (!letter) return
    this.#world.total.replayed++
    this.#world.revived.add(`${letter.handler.slice(1)} ${letter.payload.text}`)
    this.outbox.replay(letter.id)
  }

  /** The receiver ends a subscription, which its next start asks for anew. */
  endOne(): void {
    const [first] = this.subscribed.views()
    if (first && this.#world.random.below(4) === 0) this.subscribed.unsubscribe(first.subscriptionId)
  }

  resumeAll(): void {
    for (const { subscriptionId, state } of this.outbox.subscriptions()) if (state === 'suspended') this.outbox.resume(subscriptionId)
  }

  nextWakeMs(): number | undefined {
    const soonest = Math.min(this.outbox.nextWakeMs() ?? Infinity, this.subscribed.nextWakeMs() ?? Infinity)
    return soonest === Infinity ? undefined : soonest
  }

  get nextTimer(): number {
    return Math.min(Infinity, ...this.#timers.map(({ at }) => at))
  }

  get isBusy(): boolean {
    return this.#gated.length > 0 || this.#calls.length > 0
  }

  effects(subscription: string): number[] {
    return this.#store.sql<{ n: number }>('SELECT n FROM effects WHERE subscription = ? ORDER BY rowid', subscription).map(({ n }) => n)
  }
}

function sourceOf(label: string): EventSource {
  const [noun, name] = label.split('/') as [string, string]
  return { noun, name }
}

export type { Receipt }
