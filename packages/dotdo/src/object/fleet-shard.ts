/** One shard of the fleet's index, over the platform: what objects tell it, what it asks of them, and the targets of its alerts. */
import { RpcTarget } from 'capnweb'
import type { FleetRebuild, FleetSummary } from '../base/fleet-views.ts'
import type { Store } from '../base/ports.ts'
import { redactText } from '../base/redact.ts'
import type { LiveEventBody } from '../base/views.ts'
import { watchdogAt } from '../events/limits.ts'
import { Outbox } from '../events/outbox.ts'
import type { Sink } from '../events/sinks.ts'
import { textOf } from '../fleet/alert-text.ts'
import type { AlertPayload } from '../fleet/alerts.ts'
import type { FactBatch } from '../fleet/facts.ts'
import { defaultFleetLimits } from '../fleet/limits.ts'
import { list, summarise, type Asked, type Listed, type Lists } from '../fleet/lists.ts'
import { recipientOf, targetKey, type AlertTarget } from '../fleet/rules.ts'
import { Shard } from '../fleet/shard.ts'
import { objectLabel, type Origin } from '../rpc/origin.ts'
import { appRenames, appRetention, fleetOf } from './app.ts'
import { detached } from './context.ts'
import { Links } from './nouns.ts'
import { clock, linkPorts, random, sha256, sqlStore } from './platform.ts'
import { openSink } from './sinks.ts'
import { Wake } from './wake.ts'
import { endOfTurn, timer } from '#platform'

/** What stands behind the object `DotdoSystem/fleet <i>/<n>`, in each jurisdiction whose objects are in the index and outside of all. */
export class FleetShard {
  readonly #ctx: DurableObjectState
  readonly #store: Store
  readonly #links: Links
  readonly #outbox: Outbox
  readonly #shard: Shard
  readonly #wake: Wake
  readonly #targets = new Map<string, AlertTarget>()
  #pumping = false

  constructor(ctx: DurableObjectState, env: unknown, store: Store = sqlStore(ctx.storage)) {
    this.#ctx = ctx
    this.#store = store
    const { name = '', jurisdiction } = ctx.id as { name?: string; jurisdiction?: string }
    const label = objectLabel({ noun: 'DotdoSystem', name, ...(jurisdiction !== undefined && { jurisdiction }) })
    this.#links = new Links(linkPorts(label, (work) => ctx.waitUntil(work)))
    this.#outbox = new Outbox({
      store,
      clock,
      random,
      source: label,
      sync: () => ctx.storage.sync(),
      wake: () => this.#pumpSoon(),
      isObserved: () => false,
      observe: (event) => event.type === 'event.dead' && this.#died(event),
      // All of its handlers are sinks.
      deliver: () => Promise.resolve(),
      open: (sink) => openSink(sink, env, (noun, name, args) => this.#framework(`${noun}/${name}`, 'enqueue', args)),
    })
    this.#shard = new Shard({
      store,
      clock,
      rules: (fleetOf()?.rules ?? []).map((rule) =>
        rule.noun === undefined ? rule : { ...rule, noun: appRenames().firstNoun(rule.noun) },
      ),
      limits: { keepMs: appRetention().index },
      ask: (object) => within(defaultFleetLimits.askMs, this.#framework(object, 'fleetTell', [])),
      askAll: (object) => within(defaultFleetLimits.askMs, this.#framework(object, 'fleetRetell', [])),
      owe: (to, event, payload) => void this.#outbox.accept(`Alert.${event}`, byToday(event, payload), {}, label, [this.#handlerOf(to)]),
      wake: () => this.#wake?.changed(),
    })
    this.#wake = new Wake(ctx.storage, [
      () => this.#shard.nextWakeMs(),
      () => this.#outbox.nextPruneMs(),
      // What waits leaves when this turn has ended: the alarm is for the case that this does not live that long.
      () => {
        const at = this.#outbox.nextWakeMs()
        return at !== undefined && this.#pumping ? Math.max(at, watchdogAt(clock.now())) : at
      },
    ])
    for (const { key, target } of store.sql<{ key: string; target: string }>('SELECT key, target FROM dotdo_fleet_targets'))
      this.#declare(key, JSON.parse(target) as AlertTarget)
    this.#outbox.settle()
    this.#wake.changed()
  }

  /** What one caller may reach: whoever sends facts is known by its link. */
  mainFor({ caller }: Origin): RpcTarget {
    return new ShardTarget(this.#shard, this.#store, caller)
  }

  async alarm(): Promise<void> {
    this.#wake.fired()
    try {
      if (this.#outbox.prune().more) this.#wake.changed()
      await detached(() => Promise.all([this.#shard.due(), this.#outbox.pump()]))
    } finally {
      this.#wake.arm()
    }
  }

  #pumpSoon(): void {
    this.#wake?.changed()
    if (this.#pumping) return
    this.#pumping = true
    endOfTurn(() => {
      this.#pumping = false
      this.#ctx.waitUntil(detached(() => this.#outbox.pump()).then(() => this.#wake.changed()))
    })
  }

  /** The handler of a target: declared by the first alert that goes there, and by each later incarnation. */
  #handlerOf(to: AlertTarget): string {
    const key = `target-${sha256(targetKey(to)).slice(0, 24)}`
    if (!this.#targets.has(key)) {
      this.#store.sql('INSERT OR IGNORE INTO dotdo_fleet_targets (key, target) VALUES (?, ?)', key, JSON.stringify(to))
      this.#declare(key, to)
    }
    return key
  }

  /** Nobody looks at the letters of a shard: what could not be told stands in its alert, and in the log. */
  #died({ eventId, handler, error }: Extract<LiveEventBody, { type: 'event.delivered' | 'event.dead' }>): void {
    const { alertId, text } = (this.#outbox.event(eventId)?.payload ?? {}) as Partial<AlertPayload>
    const to = this.#targets.get(handler)
    if (alertId === undefined || !to || !error) return
    this.#shard.untold(alertId, to, error)
    console.error(redactText(`Nobody could be told at ${recipientOf(to)}: ${error.code ?? error.name}: ${error.message} It was: ${text}`))
  }

  #declare(key: string, to: AlertTarget): void {
    this.#targets.set(key, to)
    this.#outbox.subscribe('Alert.*', to as Sink, { id: key, ordered: false })
  }

  #framework(object: string, method: string, args: unknown[]): Promise<unknown> {
    const slash = object.indexOf('/')
    return detached(async () => await this.#links.link(object.slice(0, slash), object.slice(slash + 1)).framework(method, args))
  }
}

/** An alert with the name that its object has today. */
function byToday(event: 'failed' | 'late' | 'recovered', payload: AlertPayload): AlertPayload {
  const told = { ...payload, object: appRenames().labelNow(payload.object) }
  return told.object === payload.object ? payload : { ...told, text: textOf(event, told) }
}

/** A shard, for one caller. Clients never reach it: see `fleet-view.ts`. */
class ShardTarget extends RpcTarget {
  readonly #shard: Shard
  readonly #store: Store
  readonly #caller: string | undefined

  constructor(shard: Shard, store: Store, caller: string | undefined) {
    super()
    this.#shard = shard
    this.#store = store
    this.#caller = caller
  }

  receive(batch: FactBatch): void {
    this.#shard.receive(batch, this.#caller)
  }
  list<Name extends keyof Lists>(asked: Asked<Name>): Listed<Lists[Name]['item']> {
    return list(this.#store, asked)
  }
  summary(): FleetSummary {
    return summarise(this.#store, clock.now())
  }
  rebuild(objects: readonly string[]): FleetRebuild {
    return this.#shard.rebuild(objects)
  }
  rebuilding(): FleetRebuild | null {
    return this.#shard.rebuilding ?? null
  }
}

/** The outcome of `work`, or an error when that takes too long: it may be the answer that never comes. */
async function within(ms: number, work: PromiseLike<unknown>): Promise<void> {
  let cancel = (): void => {}
  const late = new Promise<never>((_, reject) => {
    cancel = timer(ms, () => reject(new Error(`no answer within ${ms / 1000} s`)))
  })
  try {
    await Promise.race([work, late])
  } finally {
    cancel()
  }
}
