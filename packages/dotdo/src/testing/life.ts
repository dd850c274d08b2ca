/**
 * One life of an object: from the call or alarm that brought it into memory until it is evicted or dies. Owns what a Worker sees as `ctx`, and what
 * the life has not sent yet.
 */
import { carry, carryError } from './carry.ts'
import type { SimulatedObject } from './simulated-object.ts'
import { SqliteStore } from './sqlite-store.ts'
import { storageOver } from './storage.ts'
import type { ObjectClass, World } from './world.ts'

/** A native call at its receiver. */
export interface Call {
  method: string
  args: unknown[]
  resolve(value: unknown): void
  reject(error: unknown): void
}

/** The platform's own word for a callee that is gone. */
export function connectionLost(): Error {
  return Object.assign(new Error('Network connection lost.'), { isLoss: true })
}

/** One life; see the head of this file. */
export class Life {
  readonly object: SimulatedObject
  readonly world: World
  readonly number: string
  readonly store: SqliteStore
  /** What waits for a flush to leave. */
  held: (() => void)[] = []
  isOver = false
  isFlushing = false
  timers = 0
  /** Promises that it has asked to be kept alive for. */
  waiting = 0
  /** The user's class around it. */
  facade: object | undefined
  /** Calls that have come and are not answered. */
  readonly calls = new Set<Call>()
  /** Calls that came while it started. */
  #atTheDoor: Call[] = []
  #starting = 0
  #alarm: number | null
  #alarmIsNew = false

  constructor(object: SimulatedObject) {
    this.object = object
    this.world = object.world
    this.number = `${object.label}#${object.lives}`
    this.store = object.store = object.store.reopen()
    this.#alarm = object.isWaking ? null : object.alarm
    this.store.dirtied = () => this.world.wrote(this)
    if (this.world.hasRoom) this.store.hasRoom = (statement) => this.world.hasRoom!(this, statement)
    this.store.broke = (error) => this.#reset(error)
  }

  /** Runs the constructor of the class. */
  begin(Class: ObjectClass): void {
    this.facade = this.world.within(this, () => new Class(this.#ctx() as never, this.world.env as never))
  }

  #ctx(): object {
    const life = this
    const storage = storageOver(this.store, {
      flushed: () =>
        new Promise((resolve) =>
          this.world.depart(this, () => this.world.post({ lane: `sync ${this.number}`, life, kind: 'sync', run: resolve })),
        ),
      get alarm() {
        return life.#alarm
      },
      set alarm(at) {
        life.#alarm = at
        life.#alarmIsNew = true
        // An alarm is written like a row.
        life.store.touch()
      },
    })
    return {
      id: this.object.id,
      storage,
      waitUntil: (work: Promise<unknown>) => this.waitFor(work),
      blockConcurrencyWhile: <T>(work: () => Promise<T>) => this.#start(work),
      abort: () => this.world.crash(this),
      getWebSockets: () => [],
      setWebSocketAutoResponse: () => {},
    }
  }

  /** Keeps it in memory until `work` has settled. */
  waitFor(work: Promise<unknown>): void {
    this.waiting++
    const done = () => void this.waiting--
    Promise.resolve(work).then(done, done)
  }

  #start<T>(work: () => Promise<T>): Promise<T> {
    this.#starting++
    const started = work()
    started.then(
      () => {
        if (--this.#starting > 0 || this.isOver) return
        for (const call of this.#atTheDoor.splice(0)) this.#make(call)
      },
      // An object whose start failed is reset, and whoever waited is told why.
      (error: unknown) => this.#reset(error),
    )
    return started
  }

  #reset(error: unknown): void {
    if (this.isOver) return
    this.#fault = carryError(error)
    const waiting = [...this.#atTheDoor, ...this.calls]
    this.#atTheDoor = []
    this.calls.clear()
    this.world.crash(this)
    for (const call of waiting) call.reject(this.#fault)
  }

  /** What has reset it. */
  #fault: unknown
  /** A call has arrived. */
  receive(call: Call): void {
    // Its constructor may have reset it.
    if (this.isOver) call.reject(this.#fault ?? connectionLost())
    else if (this.#starting > 0) this.#atTheDoor.push(call)
    else this.#make(call)
  }

  #make(call: Call): void {
    this.calls.add(call)
    const answer = (how: () => void) => {
      if (!this.calls.has(call)) return
      this.world.depart(this, () => {
        if (this.calls.delete(call)) how()
      })
    }
    const failed = (error: unknown) => answer(() => call.reject(carryError(error)))
    const give = (value: unknown) => {
      let sent: unknown
      try {
        sent = carry(value)
      } catch (error) {
        return failed(error)
      }
      answer(() => call.resolve(sent))
    }
    const facade = this.facade as Record<string, ((...args: unknown[]) => unknown) | undefined>
    const method = facade[call.method]
    if (typeof method !== 'function') return failed(new TypeError(`The RPC receiver does not implement the method "${call.method}".`))
    this.world.within(this, () => {
      try {
        Promise.resolve(method.apply(facade, call.args)).then(give, failed)
      } catch (error) {
        failed(error)
      }
    })
  }

  /** Its alarm fires: there is none now, until one is set. */
  alarmFires(): void {
    this.#alarm = null
  }

  /** What was written until now is on disk, and the alarm with it. */
  flush(): void {
    this.store.flush()
    if (!this.#alarmIsNew) return
    this.#alarmIsNew = false
    this.object.setAlarm(this.#alarm)
  }

  /** What waited for the flush leaves. */
  release(): void {
    for (const leave of this.held.splice(0)) leave()
  }

  /** Whether nothing would be lost if it were gone. */
  get isIdle(): boolean {
    return (
      this.calls.size === 0 &&
      this.waiting === 0 &&
      this.timers === 0 &&
      this.#starting === 0 &&
      !this.store.isDirty &&
      this.held.length === 0
    )
  }

  /** Ends it: see {@link World.crash}. */
  end(): void {
    if (this.isOver) return
    this.isOver = true
    this.store.crash()
    this.object.store = this.store.reopen()
    if (this.object.life === this) this.object.life = undefined
    const lost = [...this.calls, ...this.#atTheDoor]
    this.calls.clear()
    this.held = []
    for (const call of lost) call.reject(connectionLost())
  }
}
