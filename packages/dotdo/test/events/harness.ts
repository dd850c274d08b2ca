import type { Attempt, SentEvent } from '../../src/events/event.ts'
import type { DeclaredHandler } from '../../src/events/handlers.ts'
import type { OutboxLimits } from '../../src/events/limits.ts'
import { Outbox } from '../../src/events/outbox.ts'
import type { OpenSink, Sink } from '../../src/events/sinks.ts'
import type { LiveEventBody } from '../../src/base/views.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

/** An object with an outbox, whose handlers are simply called. It notes what was observed, synced and woken. */
export class Bench {
  store: SqliteStore
  clock: ManualClock
  random: SeededRandom
  outbox: Outbox
  seen: LiveEventBody[] = []
  attempts: { runId: string; number: number }[] = []
  syncs = 0
  wakes = 0
  /** Stands in for the adapter's call of the handler. */
  deliver = (event: SentEvent, handler: DeclaredHandler, _attempt: Attempt): unknown => handler.fn(event.payload, event)

  constructor(
    options: {
      store?: SqliteStore
      clock?: ManualClock
      random?: SeededRandom
      limits?: Partial<OutboxLimits>
      open?: (sink: Sink) => OpenSink
    } = {},
  ) {
    this.store = options.store ?? new SqliteStore()
    this.clock = options.clock ?? new ManualClock()
    this.random = options.random ?? new SeededRandom(7)
    this.outbox = new Outbox({
      store: this.store,
      clock: this.clock,
      random: this.random,
      source: 'Pipeline/main',
      ...(options.limits && { limits: options.limits }),
      ...(options.open && { open: options.open }),
      deliver: async (event, handler, attempt) => {
        this.attempts.push(attempt)
        await this.deliver(event, handler, attempt)
      },
      sync: async () => {
        this.syncs++
        this.store.flush()
      },
      observe: (event) => this.seen.push(event),
      wake: () => this.wakes++,
    })
  }

  /** The same object after a restart, with nothing declared yet. */
  restart(limits?: Partial<OutboxLimits>): Bench {
    return new Bench({ store: this.store.reopen(), clock: this.clock, random: this.random, ...(limits && { limits }) })
  }

  /** Pumps, and lets time pass to the next wake, until nothing waits. */
  async drain(rounds = 1000): Promise<void> {
    for (let i = 0; i < rounds; i++) {
      const at = this.outbox.nextWakeMs()
      if (at === undefined) return
      this.clock.ms = Math.max(this.clock.ms, at)
      await this.outbox.pump()
    }
    throw new Error('the outbox never came to rest')
  }
}

/** Lets everything that is ready to run, run. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

/** A promise that is settled by hand. */
export function gate(): { opened: Promise<void>; open: () => void; fail: (thrown: unknown) => void } {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  return { opened: promise, open: () => resolve(), fail: reject }
}

/** What `work` throws; a `work` that throws nothing fails the test. */
export function thrown(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
