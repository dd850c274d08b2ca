/**
 * What happens in one object, from what is stored to what is told live, each thing once.
 *
 * Owns the subscription, the keys of what was told, and the events that came while the store was read. Invariants: (1) what the store has is told
 * before what comes after it, in the order of time; (2) nothing that has a key is told twice, while its key is among the newest
 * {@link mostKeys}; (3) where live events were missed, the store is read again, and what it has since is told.
 */
import type { AnyApp, AppStub } from '../client/connect.ts'
import type { LiveEvent } from '../base/views.ts'
import type { ObjectName } from './arguments.ts'
import { lostReason, notReached } from './failure.ts'
import { entriesOf, entryOf, keyOf, type LogEntry } from './log-entries.ts'
import { inspect, nameOf } from './objects.ts'

const mostKeys = 10_000

/** Who is told, and what of. */
export interface Follower {
  /** Runs that are read for what happened before, newest first. */
  runs: number
  /** Nothing before this instant is told; epoch milliseconds. */
  since: number
  entry: (entry: LogEntry) => void
  /** The connection was lost, and is tried again after `retryMs`; or it stands again. */
  lost?: (reason: string, retryMs: number) => void
  resumed?: () => void
  /** It cannot go on. */
  failed: (error: unknown) => void
}

/** Follows an object until it is closed. `ready` resolves when everything stored was told and events follow. */
export function follow(app: AppStub<AnyApp>, object: ObjectName, follower: Follower): { ready: Promise<void>; close: () => void } {
  const { promise: ready, resolve } = Promise.withResolvers<void>()
  const seen = new Set<string>()
  let waiting: LiveEvent[] | undefined = []
  let since = follower.since
  let isReady = false
  const tell = (entry: LogEntry) => {
    since = Math.max(since, entry.at)
    // Progress is told again and again, and is never stored.
    if (entry.type !== 'step.progress') {
      const key = keyOf(entry)
      if (seen.has(key)) return
      seen.add(key)
      if (seen.size > mostKeys) seen.delete(seen.values().next().value!)
    }
    follower.entry(entry)
  }
  const read = async () => {
    waiting ??= []
    const stored = await history(app, object, follower.runs)
    for (const entry of stored) if (entry.at >= since) tell(entry)
    const live = waiting
    waiting = undefined
    for (const event of live) tell(entryOf(nameOf(object), event))
    isReady = true
    resolve()
  }
  const subscription = app.watch(object.noun, object.name, {
    refresh: () => void read().catch(follower.failed),
    event: (event) => (waiting ? void waiting.push(event) : tell(entryOf(nameOf(object), event))),
    // What was never reached is not tried for ever.
    lost: (reason, retryMs) => (isReady ? follower.lost?.(lostReason(reason), retryMs) : follower.failed(notReached(reason))),
    resumed: () => follower.resumed?.(),
    ended: follower.failed,
  })
  return { ready, close: () => subscription.close() }
}

/** What the newest runs of an object, and its newest events, have left in the store, in the order of time. */
export async function history(app: AppStub<AnyApp>, object: ObjectName, runs: number): Promise<LogEntry[]> {
  return await inspect(app, object, async (inspector) => {
    const name = nameOf(object)
    const [list, sent, dead] = await Promise.all([
      inspector.runs({ limit: runs }),
      inspector.events({ limit: runs }),
      inspector.deadLetters({ limit: runs }),
    ])
    const whole = await Promise.all(list.map(({ runId }) => inspector.run(runId)))
    const entries = [
      ...whole.flatMap((run) => entriesOf(name, run)),
      ...sent.map(({ eventId, eventType, sentAt }): LogEntry => ({ at: sentAt, object: name, type: 'event.sent', eventId, eventType })),
      ...dead.map(({ eventId, eventType, handler, diedAt, error }): LogEntry => ({
        at: diedAt,
        object: name,
        type: 'event.dead',
        eventId,
        eventType,
        handler,
        error,
      })),
    ]
    return entries.sort((a, b) => a.at - b.at)
  })
}
