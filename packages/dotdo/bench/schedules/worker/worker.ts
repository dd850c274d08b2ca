/** What the schedules bench runs in workerd: an object of 10,000 schedules, and one of as many rows, as one would write them by hand. */
import { DurableObject, exports } from 'cloudflare:workers'
import type { Clock, Store } from '../../../src/base/ports.ts'
import { random, sqlStore } from '../../../src/object/platform.ts'
import { createEvery } from '../../../src/schedule/every.ts'
import type { Firing } from '../../../src/schedule/firing.ts'
import { defaultPolicies } from '../../../src/schedule/policies.ts'
import { storeRecurrence } from '../../../src/schedule/recurrence.ts'
import { Scheduler } from '../../../src/schedule/scheduler.ts'

const count = 10_000
const hourMs = 3_600_000

/** The scheduler over an object's own storage. Runs are calls of their handlers that end when they begin: what a run adds is measured beside it. */
export class Clockwork extends DurableObject {
  readonly #clock: Clock & { at: number } = { at: Date.UTC(2026, 0, 1, 0, 30), now: () => this.#clock.at }
  #statements = 0
  #handled = 0
  #scheduler: Scheduler | undefined

  /** Declares 10,000 as an `init` does: hourly, at quarters, and daily at 96 times in 3 zones, as tenants have them. */
  declare(): void {
    const own = sqlStore(this.ctx.storage)
    const sql = ((...call: Parameters<Store['sql']>) => (this.#statements++, own.sql(...call))) as Store['sql']
    const runs = {
      start: ({ handler, scheduledAt, window }: Firing): void => void handler({ scheduledAt, window }),
      statuses: (ids: readonly string[]) => new Map(ids.map((id) => [id, 'done' as const])),
      cancel: () => undefined,
      list: () => [],
    }
    this.#scheduler = new Scheduler({ store: { ...own, sql }, clock: this.#clock, random, runs })
    const every = createEvery(this.#scheduler.declare.bind(this.#scheduler))
    const zones = ['UTC', 'America/New_York', 'Europe/Berlin']
    const handler = (): void => void this.#handled++
    for (let index = 0; index < count; index++) {
      const id = `tenant-${index}`
      if (index % 3 === 0) every.hour(handler, { id })
      else if (index % 3 === 1) every(15).minutes(handler, { id })
      else {
        const time = `${String(index % 24).padStart(2, '0')}:${String((index % 4) * 15).padStart(2, '0')}`
        every.day.in(zones[index % zones.length]!).at(time)(handler, { id })
      }
    }
    this.#scheduler.settle()
  }

  /** A day later each of them is due. */
  due(): void {
    this.#clock.at += 25 * hourMs
    const scheduler = this.#scheduler!
    while (scheduler.nextWakeMs()! <= this.#clock.at) scheduler.due()
    if (this.#handled !== count) throw new Error(`${this.#handled} of ${count} were fired`)
  }

  /** Nothing is due before the next quarter: how many statements a look takes. */
  idle(): number {
    const before = this.#statements
    this.#clock.at++
    this.#scheduler!.due()
    return this.#statements - before
  }
}

/** As many bare rows. */
export class Bare extends DurableObject {
  /** One statement each: with what a schedule's row says of it, and an index on the instant, without which nobody knows which is due. */
  declare(): void {
    const { sql } = this.ctx.storage
    sql.exec('CREATE TABLE bare (id TEXT PRIMARY KEY, recurrence TEXT, pattern TEXT, policies TEXT, next_at INTEGER) WITHOUT ROWID')
    sql.exec('CREATE INDEX bare_next ON bare (next_at)')
    const recurrence = storeRecurrence({
      kind: 'cron',
      pattern: '0 2 * * *',
      timeZone: 'Europe/Berlin',
      gap: 'fire-after',
      overlap: 'first',
    })
    const policies = JSON.stringify(defaultPolicies)
    for (let index = 0; index < count; index++)
      sql.exec('INSERT INTO bare VALUES (?, ?, ?, ?, ?)', `tenant-${index}`, recurrence, 'every day at 02:00', policies, index)
  }

  /** The handlers, and one row update each. */
  due(): void {
    let handled = 0
    for (let index = 0; index < count; index++) {
      handled++
      this.ctx.storage.sql.exec('UPDATE bare SET next_at = ? WHERE id = ?', 1e12 + handled, `tenant-${index}`)
    }
  }
}

/** The Worker's own classes need no binding. */
const own = exports as unknown as Record<string, DurableObjectNamespace>

export default {
  /** `/<Clockwork or Bare>/<name>/<method>`: does it, and answers when it is on disk, with what it gave. */
  async fetch(request: Request): Promise<Response> {
    const [, noun = '', name = '', method = ''] = new URL(request.url).pathname.split('/')
    const object = own[noun]!.getByName(name) as unknown as Record<string, () => Promise<unknown>>
    return new Response(String(await object[method]!()))
  },
}
