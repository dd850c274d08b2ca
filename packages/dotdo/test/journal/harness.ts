import { AsyncLocalStorage } from 'node:async_hooks'
import type { Store } from '../../src/base/ports.ts'
import type { LiveEventBody, RunTarget } from '../../src/base/views.ts'
import type { Execution } from '../../src/journal/execution.ts'
import { Journal } from '../../src/journal/journal.ts'
import type { JournalLimits, JournalPorts } from '../../src/journal/ports.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

/** The code of an object under test: what a target's name runs. */
export type Handler = (execution: Execution, ...args: never[]) => unknown

/** A method of that name, as a run's target. */
export function method(name: string): RunTarget {
  return { kind: 'method', name }
}

/** All microtasks that are there, and those they make. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** An object with a journal, a clock that moves when told to, and a way to die and come back. */
export class TestObject {
  readonly clock = new ManualClock()
  readonly handlers: Record<string, Handler>
  readonly limits: Partial<JournalLimits>
  events: LiveEventBody[] = []
  store = new SqliteStore()
  syncs = 0
  wakes = 0
  /** Holds a flush back: gets its number, from 1 on. */
  syncGate: (sync: number) => Promise<void> | undefined = () => undefined
  journal: Journal
  /** What the code inside of a step's function sees as its execution. */
  readonly context = new AsyncLocalStorage<Execution>()
  #timers: { at: number; fire: () => void }[] = []
  #received = 0
  /** What the next incarnation has: the version of the code, what a deploy does, a bucket for results. */
  deploy: Pick<Partial<JournalPorts>, 'codeVersion' | 'deployPolicy' | 'bucket'> = {}

  constructor(handlers: Record<string, Handler>, limits: Partial<JournalLimits> = {}) {
    this.handlers = handlers
    this.limits = limits
    this.journal = this.#boot()
  }

  /** Starts and launches a run of `name`. */
  call(name: string, args: unknown[] = [], runId?: string): Promise<unknown> {
    const { runId: id } = this.journal.start({ target: method(name), args, ...(runId !== undefined && { runId }) })
    return this.journal.launch(id)
  }

  /** The same for a run that will not live to see its end: how it ends is read from its row. */
  begin(name: string, args: unknown[] = [], runId = 'r'): void {
    // A dead incarnation's writes fail, and nobody is left to hear of it.
    this.call(name, args, runId).catch(() => undefined)
  }

  /** The innermost execution: the step's scope inside of a step. */
  get here(): Execution {
    const execution = this.context.getStore()
    if (!execution) throw new Error('not inside of a run')
    return execution
  }

  /** The object dies with what was not flushed, and a new incarnation comes up, its runs not yet taken up. */
  crash(): void {
    this.store.crash()
    this.#timers = []
    this.store = this.store.reopen()
    this.journal = this.#boot()
    this.journal.recover()
  }

  /** Moves the clock and lets what was waiting for it run. */
  async advance(ms: number): Promise<void> {
    const end = this.clock.now() + ms
    await settle()
    for (;;) {
      const next = this.#timers.filter((timer) => timer.at <= end).toSorted((a, b) => a.at - b.at)[0]
      const alarm = this.journal.nextWakeMs()
      if (alarm !== null && alarm <= end && alarm < (next?.at ?? Infinity)) {
        this.clock.ms = Math.max(this.clock.ms, alarm)
        void this.journal.resumeDue()
        await settle()
        continue
      }
      if (!next) break
      this.#timers.splice(this.#timers.indexOf(next), 1)
      this.clock.ms = Math.max(this.clock.ms, next.at)
      next.fire()
      await settle()
    }
    this.clock.ms = end
    await settle()
  }

  /** The object is evicted: what was flushed is there, and nothing of it is in memory until something wakes it. */
  evict(): void {
    this.store.flush()
    this.crash()
  }

  /** An event comes in. */
  receive(type: string, payload: unknown, id = `evt-${++this.#received}`): void {
    this.journal.signal({ id, type, payload, sentAt: this.clock.now() })
  }

  /** Timers that nothing has stopped. */
  get timers(): number {
    return this.#timers.length
  }

  #boot(): Journal {
    const { store } = this
    // Field initialisers run before the first boot, so there is always one.
    const deploy = this.deploy
    const ports: JournalPorts = {
      store: store as Store,
      clock: this.clock,
      random: new SeededRandom(7),
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          const timer = { at: this.clock.now() + ms, fire: resolve }
          this.#timers.push(timer)
          signal.addEventListener('abort', () => {
            const at = this.#timers.indexOf(timer)
            if (at >= 0) this.#timers.splice(at, 1)
            reject(signal.reason instanceof Error ? signal.reason : new Error('stopped'))
          })
        }),
      sync: async () => {
        store.flush()
        await this.syncGate(++this.syncs)
      },
      execute: async ({ target, args }, execution) => {
        const name = target.kind === 'method' ? target.name : target.kind === 'schedule' ? target.id : target.handler
        const handler = this.handlers[name]
        if (!handler) throw new Error(`no handler ${name}`)
        return this.context.run(execution, () => handler(execution, ...(args as never[])))
      },
      enter: (execution, work) => this.context.run(execution, work),
      observe: (event) => this.events.push(event),
      wake: () => this.wakes++,
      ...deploy,
    }
    return new Journal(ports, this.limits)
  }
}

/** All that an async iterable yields. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
