/** What one object tells the index of the fleet: the feed's ports over its rooms, and what the index may ask of it. */
import { redactText } from '../base/redact.ts'
import type { DeadLetter } from '../base/views.ts'
import { shardName, shardOf, type FactBatch } from '../fleet/facts.ts'
import { Feed, type Standing } from '../fleet/feed.ts'
import { lettersTold } from '../fleet/limits.ts'
import type { FrameworkMethods } from '../rpc/conversation.ts'
import { fleetOf } from './app.ts'
import { detached } from './context.ts'
import type { ObjectHost } from './host.ts'
import { isOwnNoun } from './nouns.ts'
import { clock, random } from './platform.ts'
import { timer } from '#platform'

/** Characters of a dead letter's payload that the index has. */
const payloadShown = 200
/** Dead letters of one object are counted up to so many. */
const mostCounted = 10_000

/**
 * The feed of an object; `undefined` where the app has no index, or none in the jurisdiction where the object has to stay. What an object of a jurisdiction
 * tells goes to a shard there.
 */
export function feedOf(host: ObjectHost): Feed | undefined {
  const fleet = fleetOf()
  if (!fleet || !isOwnNoun('DotdoSystem')) return undefined
  const { label, knownAs, store, journal, scheduler, outbox, jurisdiction } = host
  if (jurisdiction !== undefined && !fleet.jurisdictions.includes(jurisdiction)) {
    console.warn(`${label} is not in the index of the fleet: ${noShards(jurisdiction)}`)
    return undefined
  }
  return new Feed({
    store,
    clock,
    random,
    object: knownAs,
    shards: fleet.shards,
    rules: () => JSON.stringify(host.alerts.rules),
    hasAnything: () => journal.newest(1).length > 0 || outbox.countLetters(1) > 0 || scheduler.ids().length > 0,
    *all(runs) {
      for (const id of scheduler.ids()) yield ['schedule', id]
      for (const id of journal.newest(runs)) yield ['run', id]
    },
    read: (kind, ids) => {
      if (kind === 'alerts') return [{ kind, id: '', value: host.alerts.rules }]
      if (kind === 'letters') return [{ kind, id: '', value: lettersOf(host) }]
      if (kind === 'run') return withAll(kind, ids, new Map(journal.heads(ids).map((head) => [head.runId, head])))
      return withAll(kind, ids, new Map(scheduler.glances(ids).map((view) => [view.scheduleId, view])))
    },
    send: async (batch, shards) => {
      const shard = shardName(shardOf(knownAs, shards), shards)
      // On behalf of nobody: whoever's call has changed something has nothing to do with it.
      await detached(() =>
        (host.links.user('DotdoSystem', shard, jurisdiction) as unknown as { receive(batch: FactBatch): Promise<void> }).receive(batch),
      )
    },
    soon: (work) => queueMicrotask(() => host.transactions.whenNone(work)),
    later: (delayMs, work) => void detached(() => timer(delayMs, work)),
    wake: () => {
      const at = host.feed?.nextWakeMs()
      if (at === undefined) host.wake?.changed()
      else host.wake?.by(at)
    },
    failed: (error) =>
      console.warn(
        redactText(
          `${label}: the index of the fleet was not told, and is tried again: ${error instanceof Error ? error.message : String(error)}`,
        ),
      ),
  })
}

/** Why an object of a jurisdiction is not in the index, and what to do. */
export function noShards(jurisdiction: string): string {
  return `The index has no shards in '${jurisdiction}'. To have the objects there in it, name it: serve({ fleet: { jurisdictions: ['${jurisdiction}'] } }).`
}

/** What the index asks of an object, by the names that they have behind the framework's prefix. */
export function fleetMethods({ feed }: ObjectHost): FrameworkMethods {
  return {
    /** Tell what you have not told: answered when it is there. Being asked has woken the object, which does what is due. */
    fleetTell: (): Promise<void> => Promise.resolve(feed?.tell()),
    /** Tell everything anew, in your own time. */
    fleetRetell: (): void => feed?.retell(),
  }
}

function withAll<Kind extends 'run' | 'schedule', Value>(
  kind: Kind,
  ids: readonly string[],
  found: ReadonlyMap<string, Value>,
): Standing[] {
  return ids.map((id) => {
    const value = found.get(id)
    return { kind, id, ...(value !== undefined && { value }) } as unknown as Standing
  })
}

function lettersOf({ outbox }: ObjectHost): { total: number; newest: DeadLetter[] } {
  const newest = outbox.deadLetters({ limit: lettersTold }).map(({ payload, error, ...letter }) => ({
    ...letter,
    error: { name: error.name, message: error.message.slice(0, 500), ...(error.code !== undefined && { code: error.code }) },
    payload: { ...payload, text: payload.text.slice(0, payloadShown) },
  }))
  return { total: newest.length < lettersTold ? newest.length : outbox.countLetters(mostCounted), newest }
}
