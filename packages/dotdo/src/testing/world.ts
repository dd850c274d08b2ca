/**
 * The simulated platform: objects that live, sleep and die; calls between them; one clock; one alarm an object. It is what `object/` runs on in Node.
 *
 * Owns the clock, the events that are ready, the timers, and every object. Invariants, as the platform has them:
 * 1. One event at a time, and all promises that it makes ready before the next: a turn.
 * 2. What a turn wrote is on disk after a flush, with the alarm that it set. Nothing leaves an object before what it wrote until then is on disk.
 * 3. A crash loses what was not flushed and what had not left. A life that is over writes nothing, hears nothing and reaches nothing.
 * 4. Calls from one life to one object arrive in their order. Answers come in any order; a caller whose callee dies learns it.
 * 5. Until the start of an object has ended, nothing else comes to it.
 * 6. Everything is drawn from the seed: the same world with the same seed goes the same way. (`trace` tells.)
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { DatabaseSync } from 'node:sqlite'
import { plug } from '#platform'
import { bytePipe } from './byte-pipe.ts'
import { carry } from './carry.ts'
import { connectionLost, type Life } from './life.ts'
import { ObjectId, SimulatedObject } from './simulated-object.ts'
import type { SeededRandom } from './random.ts'
import { Stub } from './stub.ts'

/** A class that an app exports. */
export type ObjectClass = new (ctx: never, env: never) => object

/** Something that is ready to happen. */
export interface Task {
  /** Tasks of one lane happen in their order. */
  lane: string
  /** Whose turn it is; the outside's where absent. It does not happen when that life is over. */
  life?: Life | undefined
  /** What it is, for the trace. */
  kind: string
  run: () => void
}

/** What may go wrong, and in which order things go. Without it everything goes well, in the order in which it became ready. */
export interface Chance {
  random: SeededRandom
  /** Whether this life dies after the turn that has just ended: with what it has not flushed, or after a flush and before anything leaves. */
  dies?(life: Life, task: Task): 'before' | 'after' | undefined
  /** Whether a call is lost on its way there, or what came of it on its way back. */
  loses?(): 'call' | 'answer' | undefined
}

interface Timer {
  at: number
  seq: number
  life: Life | undefined
  then: () => void
}

/** What a world is made of. */
export interface WorldOptions {
  /** Epoch milliseconds at which it begins. */
  at: number
  random: SeededRandom
  chance?: Chance
  /** Events happen by themselves as soon as they are ready; else only {@link World.step} makes them happen. */
  runs: boolean
  /** The database of a new object. Default: an empty one in memory. */
  database?: (object: { noun: string; name: string }) => DatabaseSync
}

/** Code runs in the context of nobody, whoever made it ready. */
const root = AsyncLocalStorage.snapshot()
const lives = new AsyncLocalStorage<Life | undefined>()

/** The simulated platform; see the head of this file. */
export class World {
  now: number
  readonly random: SeededRandom
  readonly objects = new Map<string, SimulatedObject>()
  env: Readonly<Record<string, unknown>> = {}
  /** What the app exports: its classes, by noun. */
  classes: Readonly<Record<string, ObjectClass>> = {}
  /** Told after each turn, before it is flushed: whether the life dies now. */
  afterTurn: ((life: Life) => 'before' | 'after' | undefined) | undefined
  /** Whether storage has room for a statement of a life. Default: there always is. */
  hasRoom: ((life: Life, statement: string) => boolean) | undefined
  /** What happened, as one number: equal for equal histories. */
  trace = 0
  turns = 0
  crashes = 0
  readonly #chance: Chance | undefined
  readonly #runs: boolean
  /** The noun of which the ids of a renamed one are made: a rename keeps them. */
  readonly #keptAs = new Map<string, string>()
  #ready: Task[] = []
  #timers: Timer[] = []
  #seq = 0
  #running = false
  #touched = new Set<Life>()

  /** The database of a new object. */
  readonly database: (object: { noun: string; name: string }) => DatabaseSync

  constructor({ at, random, chance, runs, database = () => new DatabaseSync(':memory:') }: WorldOptions) {
    this.database = database
    this.now = at
    this.random = random
    this.#chance = chance
    this.#runs = runs
  }

  /**
   * Deploys an app: its classes are those of every life from now on, and whatever lives is reset. Puts this world in the place of the platform.
   * @param classes by noun
   * @param renamed what `renamed_classes` of a migration says. It holds for classes that were exported by the first name until now, and are by the second from now on.
   */
  deploy(
    classes: Readonly<Record<string, ObjectClass>>,
    env: Readonly<Record<string, unknown>>,
    renamed: Readonly<Record<string, string>> = {},
  ): void {
    for (const { life } of this.objects.values()) if (life) this.evict(life)
    const moved = new Map(Object.entries(renamed).filter(([from, to]) => from in this.classes && !(from in classes) && to in classes))
    const kept = new Map([...moved].map(([from, to]) => [to, this.#keptAs.get(from) ?? from]))
    for (const from of moved.keys()) this.#keptAs.delete(from)
    for (const [to, key] of kept) this.#keptAs.set(to, key)
    for (const object of this.objects.values()) object.noun = moved.get(object.noun) ?? object.noun
    this.classes = classes
    this.env = env
    plug({
      env,
      exports: Object.fromEntries(Object.keys(classes).map((noun) => [noun, this.namespace(noun)])),
      now: () => this.now,
      randomBytes: (length) => this.random.bytes(length),
      randomUUID: () => this.#uuid(),
      endOfTurn: (then) => this.endOfTurn(then),
      timer: (delayMs, then) => this.timer(delayMs, then),
      waitUntil: (work) => this.#waitUntil(work),
      fetch: (input: RequestInfo | URL, init?: RequestInit) => this.#fetch(new Request(input, init)),
      bytePipe,
    })
  }

  /** What answers requests to the outside. A request departs, and its answer arrives, as a call does. */
  outside: (request: Request) => Response | Promise<Response> = ({ url }) => {
    throw new TypeError(`fetch failed: nothing answers ${url} in a simulated world`)
  }

  #fetches = 0
  #fetch(request: Request): Promise<Response> {
    const life = this.here
    const number = this.#fetches++
    const { signal } = request
    return new Promise((resolve, reject) => {
      const stop = () => reject(signal.reason as Error)
      if (signal.aborted) return stop()
      // Whoever asks gives up at once; what it has asked for goes on.
      signal.addEventListener('abort', stop, { once: true })
      const answer = (how: () => void) => this.post({ lane: `fetched ${number}`, life, kind: 'fetched', run: how })
      const ask = async () => this.outside(request)
      const run = () =>
        void ask().then(
          (response) => answer(() => resolve(response)),
          (error: unknown) => answer(() => reject(error as Error)),
        )
      this.depart(life, () => this.post({ lane: `fetch ${number}`, kind: 'fetch', run }))
    })
  }

  #uuid(): string {
    const hex = Array.from(this.random.bytes(16), (byte) => byte.toString(16).padStart(2, '0')).join('')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
  }

  endOfTurn(then: () => void): () => void {
    const life = this.here
    const inContext = AsyncLocalStorage.snapshot()
    let isOn = true
    this.post({ lane: `turn ${life?.number ?? ''}`, life, kind: 'turn', run: () => isOn && inContext(then) })
    return () => void (isOn = false)
  }

  timer(delayMs: number, then: () => void): () => void {
    const inContext = AsyncLocalStorage.snapshot()
    const life = this.here
    const timer: Timer = { at: this.now + Math.max(0, delayMs), seq: this.#seq++, life, then: () => inContext(then) }
    this.#timers.push(timer)
    if (life) life.timers++
    return () => this.#cancel(timer)
  }

  #cancel(timer: Timer): void {
    const at = this.#timers.indexOf(timer)
    if (at < 0) return
    this.#timers.splice(at, 1)
    if (timer.life) timer.life.timers--
  }

  #waitUntil(work: Promise<unknown>): void {
    const life = this.here
    if (life) life.waitFor(work)
    // Of what the outside does not await it is told elsewhere.
    else work.catch(() => undefined)
  }

  /** The life whose code runs now. */
  get here(): Life | undefined {
    return lives.getStore()
  }

  /** Runs code of a life. */
  within<T>(life: Life, work: () => T): T {
    return lives.run(life, work)
  }

  // What happens.

  /** Something is ready to happen. */
  post(task: Task): void {
    if (task.life?.isOver) return
    this.#ready.push(task)
    if (this.#runs && !this.#running) this.#goOn()
  }

  /** What a life sends out: leaves when what it has written is on disk. */
  depart(life: Life | undefined, leave: () => void): void {
    if (!life) return leave()
    if (life.isOver) return
    if (life.store.isDirty || life.held.length > 0) life.held.push(leave)
    else leave()
  }

  /** A life has written something. */
  wrote(life: Life): void {
    this.#touched.add(life)
    if (this.#runs && !this.#running) this.#goOn()
  }

  #goOn(): void {
    this.#running = true
    const run = async () => {
      while (this.#ready.length > 0 || this.#touched.size > 0) await this.step()
      this.#running = false
    }
    root(() => setImmediate(() => void run()))
  }

  /** Whether nothing is ready to happen before time passes. */
  get isStill(): boolean {
    return this.#ready.length === 0 && this.#touched.size === 0 && !this.#running
  }

  /** One event and its turn. Gives whether there was one. */
  async step(): Promise<boolean> {
    const task = this.#next()
    if (task) {
      this.turns++
      this.#note(task)
      root(() => (task.life ? lives.run(task.life, task.run) : task.run()))
    }
    await this.#promises()
    for (const life of this.#touched) this.#endTurn(life, task)
    if (task?.life && !task.life.isOver) this.#afterwards(task.life, task)
    return task !== undefined
  }

  /**
   * All promises that are ready have run. Where events are drawn, nothing is done that Node's own loop would have to come back for, and so it need not go
   * round: that costs more than most turns.
   */
  #promises(): Promise<void> {
    return new Promise((resolve) => void (this.#chance ? process.nextTick(resolve) : setImmediate(resolve)))
  }

  #next(): Task | undefined {
    for (;;) {
      const at = this.#pick()
      const task = this.#ready[at]
      if (!task) return undefined
      this.#ready.splice(at, 1)
      if (!task.life?.isOver) return task
    }
  }

  /** In the order in which they became ready; or drawn, but that a lane keeps its order. */
  #pick(): number {
    if (!this.#chance || this.#ready.length < 2) return 0
    const at = this.#chance.random.below(this.#ready.length)
    return this.#ready.findIndex(({ lane }) => lane === this.#ready[at]!.lane)
  }

  #note({ kind, lane }: Task): void {
    this.say(`${this.now} ${kind} ${lane}`)
  }

  /** Makes something part of the trace. */
  say(what: string): void {
    let hash = this.trace
    for (let i = 0; i < what.length; i++) hash = (Math.imul(hash, 31) + what.charCodeAt(i)) | 0
    this.trace = hash
    this.told?.(what)
  }

  /** Told of every event, for whoever looks into a failure. */
  told: ((what: string) => void) | undefined

  /** What a life wrote goes to disk: at once, or in a turn of its own while others go on. */
  #endTurn(life: Life, task: Task | undefined): void {
    this.#touched.delete(life)
    if (life.isOver) return
    if (!this.#chance) {
      const dies = this.afterTurn?.(life)
      if (dies === 'before') return this.crash(life)
      life.flush()
      if (dies === 'after') return this.crash(life)
      return life.release()
    }
    if (life.isFlushing) return
    life.isFlushing = true
    const flush = () => {
      life.isFlushing = false
      const dies = this.#chance?.dies?.(life, task ?? nothing)
      if (dies === 'before') return this.crash(life)
      life.flush()
      if (dies === 'after') return this.crash(life)
      life.release()
    }
    this.post({ lane: `flush ${life.number}`, life, kind: 'flush', run: flush })
  }

  #afterwards(life: Life, task: Task): void {
    if (this.#chance?.dies && task.kind !== 'flush' && this.#chance.dies(life, task) === 'before') this.crash(life)
  }

  /** A life ends at once: what it has not flushed is gone, and whoever waits for an answer of it learns that there is none. */
  crash(life: Life): void {
    if (life.isOver) return
    this.crashes++
    this.say(`crash ${life.object.label}`)
    this.#end(life)
  }

  /** A life ends because nobody needs it: nothing of what was written is lost. */
  evict(life: Life): void {
    if (life.isOver) return
    life.flush()
    this.say(`evict ${life.object.label}`)
    this.#end(life)
  }

  /** Ends everything: nothing happens in it any more. */
  close(): void {
    for (const { life } of this.objects.values()) if (life) this.#end(life)
    this.#ready = []
    this.#timers = []
    for (const object of this.objects.values()) object.alarm = null
  }

  #end(life: Life): void {
    this.#timers = this.#timers.filter((timer) => timer.life !== life)
    this.#touched.delete(life)
    life.end()
  }

  /** The soonest instant at which something happens by itself: a timer or an alarm. */
  get nextAt(): number | undefined {
    let soonest: number | undefined
    for (const { at } of this.#timers) if (soonest === undefined || at < soonest) soonest = at
    for (const { dueAt } of this.objects.values()) if (dueAt !== undefined && (soonest === undefined || dueAt < soonest)) soonest = dueAt
    return soonest
  }

  /** Makes what is due by now ready, in the order of its instants. */
  due(): void {
    const due = this.#timers.filter(({ at }) => at <= this.now).toSorted((a, b) => a.at - b.at || a.seq - b.seq)
    for (const timer of due) {
      this.#cancel(timer)
      this.post({ lane: `timer ${timer.seq}`, life: timer.life, kind: 'timer', run: timer.then })
    }
    for (const object of this.objects.values()) if (object.dueAt !== undefined && object.dueAt <= this.now) object.wake()
  }

  /** Moves the clock to an instant and makes ready what is due by then. */
  moveTo(at: number): void {
    this.now = Math.max(this.now, at)
    this.due()
  }

  /** The clock is set, forward or back. What waits for so long waits as long; what waits for an instant, for that instant. */
  jump(ms: number): void {
    this.now += ms
    for (const timer of this.#timers) timer.at += ms
    this.due()
  }

  // Where objects are found.

  /** The object of a noun and a name. */
  object(noun: string, name: string, jurisdiction?: string): SimulatedObject {
    return this.#objectOf(this.#keyOf(noun), name, jurisdiction)
  }

  /** @param key of its namespace: the first noun that its class had */
  #objectOf(key: string, name: string, jurisdiction: string | undefined): SimulatedObject {
    const id = new ObjectId(key, name, jurisdiction)
    let object = this.objects.get(id.toString())
    if (!object) {
      const [noun = key] = [...this.#keptAs].find(([, kept]) => kept === key) ?? []
      this.objects.set(id.toString(), (object = new SimulatedObject(this, noun, id)))
    }
    return object
  }

  #keyOf(noun: string): string {
    return this.#keptAs.get(noun) ?? noun
  }

  /** A namespace of objects, as a Worker's `exports` and bindings have them. */
  namespace(noun: string): object {
    // What held a namespace before its class was renamed holds it still.
    return this.#namespaceOf(this.#keyOf(noun), undefined)
  }

  #namespaceOf(key: string, jurisdiction: string | undefined): object {
    const idFromName = (name: string) => new ObjectId(key, name, jurisdiction)
    const get = ({ name }: { name?: string }) => this.#stubOf(key, name!, jurisdiction)
    return {
      [Symbol.toStringTag]: 'DurableObjectNamespace',
      idFromName,
      get,
      getByName: (name: string) => this.#stubOf(key, name, jurisdiction),
      jurisdiction: (other: string) => this.#namespaceOf(key, other),
    }
  }

  stub(noun: string, name: string, jurisdiction?: string): Stub {
    return this.#stubOf(this.#keyOf(noun), name, jurisdiction)
  }

  #stubOf(key: string, name: string, jurisdiction: string | undefined): Stub {
    const object = this.#objectOf(key, name, jurisdiction)
    return new Stub({ id: object.id as unknown as DurableObjectId, call: (method, args) => this.#call(object, method, args) })
  }

  #calls = 0
  /** Calls of the outside that have no answer yet: which object each asks, and how it is given up. */
  readonly asked = new Map<number, { label: string; reject: (error: Error) => void }>()
  /** Told of each of them. */
  asks: (() => void) | undefined

  /** A native call: its arguments leave the caller, arrive, and what comes of them comes back. */
  #call(object: SimulatedObject, method: string, args: unknown[]): Promise<unknown> {
    const from = this.here
    const number = this.#calls++
    return new Promise((resolve, reject) => {
      const settle = (how: () => void) => {
        this.asked.delete(number)
        this.post({ lane: `answer ${number}`, life: from, kind: 'answer', run: how })
      }
      if (!from) {
        this.asked.set(number, { label: object.label, reject })
        this.asks?.()
      }
      const call = {
        method,
        // A request is carried as it is: it is a stream with a head.
        args: method === 'fetch' ? args : carry(args),
        resolve: (value: unknown) => settle(() => resolve(value)),
        reject: (error: unknown) => settle(() => reject(error as Error)),
      }
      this.depart(from, () => {
        const lane = `${from?.number ?? ''}>${object.label}`
        this.post({
          lane,
          kind: `call ${method}`,
          run: () => {
            const loses = this.#chance?.loses?.()
            const lost = () => call.reject(connectionLost())
            if (loses === 'call') lost()
            else object.receive(loses === 'answer' ? { ...call, resolve: lost } : call)
          },
        })
      })
    })
  }
}

const nothing: Task = { lane: '', kind: '', run: () => {} }
