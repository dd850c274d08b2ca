/**
 * Owns nothing: reads, for people, what {@link OutboxTables} keeps, and takes away what has been kept long enough. No list carries whole
 * payloads: a hundred of them would be 100 MB.
 */
import { decodeValue } from '../base/codec.ts'
import { DotdoError, type ErrorRecord } from '../base/errors.ts'
import type { Store } from '../base/ports.ts'
import type { DeadLetter, EventView } from '../base/views.ts'
import { pruneBatch, type OutboxLimits } from './limits.ts'
import { assertPattern } from './pattern.ts'
import { previewLength, previewOf } from './payload.ts'

/** What one `prune` took away. */
export interface Pruned {
  /** Ended events. */
  events: number
  /** Dead letters: events that their handlers now never get. */
  deadLetters: number
  /** Whether there is more to take: call it again. */
  more: boolean
}

const preview = `substr(payload, 1, ${previewLength + 1}) AS preview, length(CAST(payload AS BLOB)) AS size`

type DeadRow = {
  handler: string
  attempts: number
  error: string
  died_at: number
  id: string
  type: string
  sent_at: number
  preview: string
  size: number
}

/** Which dead letters. */
export interface DeadLetterFilter {
  /** At most so many. Default 100. */
  limit?: number
  /** Those behind this one in the list: the last of the page before. */
  before?: string
  /** Those of one handler, or of one subscription: `sub_…`. */
  handler?: string
  /** Those whose type a pattern means: `Order.*`. */
  type?: string
}

/**
 * The dead letters, the latest first.
 * @throws `INVALID_EVENT_TYPE` for a type that is no pattern; `DEAD_LETTER_UNKNOWN` when `before` is not there any more
 */
export function listDeadLetters(store: Store, { limit = 100, before, handler, type }: DeadLetterFilter): DeadLetter[] {
  if (type !== undefined) assertPattern(type)
  const [noun = '*', verb = '*'] = type?.split('.') ?? []
  const start = before === undefined ? undefined : placeOfLetter(store, before)
  const rows = store.sql<DeadRow>(
    `SELECT handler, attempts, error, died_at, id, type, sent_at, ${preview} FROM dotdo_dead_letters JOIN dotdo_outbox USING (seq)
     WHERE (? IS NULL OR handler = ?) AND (died_at, seq, handler) < (?, ?, ?) AND type GLOB ?
     ORDER BY died_at DESC, seq DESC, handler DESC LIMIT (? + 0)`,
    handler ?? null,
    handler?.startsWith('sub_') ? `>${handler}` : (handler ?? null),
    start?.died_at ?? Number.MAX_SAFE_INTEGER,
    start?.seq ?? 0,
    start?.handler ?? '',
    `${noun}.${verb}`,
    limit,
  )
  return rows.map((row) => ({
    id: `${row.id}:${row.handler}`,
    eventId: row.id,
    eventType: row.type,
    handler: row.handler,
    attempts: row.attempts,
    error: decodeValue(row.error) as ErrorRecord,
    sentAt: row.sent_at,
    diedAt: row.died_at,
    payload: previewOf(row.preview, row.size),
  }))
}

function placeOfLetter(store: Store, id: string): { died_at: number; seq: number; handler: string } {
  const place = findDeadLetter(store, id)
  if (!place) throw deadLetterUnknown(id)
  const row = store.sql<{ died_at: number }>(
    'SELECT died_at FROM dotdo_dead_letters WHERE seq = ? AND handler = ?',
    place.seq,
    place.handler,
  )
  return { ...place, died_at: row[0]!.died_at }
}

/** `DEAD_LETTER_UNKNOWN` */
export function deadLetterUnknown(id: string): DotdoError {
  return new DotdoError(
    'DEAD_LETTER_UNKNOWN',
    `There is no dead letter ${JSON.stringify(String(id).slice(0, 300))}: it was replayed, discarded or kept no longer, or the id is not one that deadLetters() lists.`,
    { data: { id: String(id).slice(0, 300) } },
  )
}

/** Where a dead letter is, by its id. */
export function findDeadLetter(store: Store, id: string): { seq: number; handler: string } | undefined {
  // An event's id has no colon; a handler's may.
  const colon = id.indexOf(':')
  return store.sql<{ seq: number; handler: string }>(
    'SELECT seq, handler FROM dotdo_outbox JOIN dotdo_dead_letters USING (seq) WHERE id = ? AND handler = ?',
    id.slice(0, colon),
    id.slice(colon + 1),
  )[0]
}

type EventRow = {
  id: string
  type: string
  key: string | null
  source: string
  sent_at: number
  open: number | null
  ended_at: number | null
  dead: number
  preview: string
  size: number
}

/** What was sent, the latest first. */
export function listEvents(store: Store, limit: number): EventView[] {
  const rows = store.sql<EventRow>(
    `SELECT id, type, key, source, sent_at, open, ended_at, ${preview},
       (SELECT count(*) FROM dotdo_dead_letters WHERE dotdo_dead_letters.seq = dotdo_outbox.seq) AS dead
     FROM dotdo_outbox ORDER BY seq DESC LIMIT (? + 0)`,
    limit,
  )
  return rows.map((row) => ({
    eventId: row.id,
    eventType: row.type,
    sentAt: row.sent_at,
    source: row.source,
    ...(row.key !== null && { key: row.key }),
    waiting: (row.open ?? 0) - row.dead,
    dead: row.dead,
    ...(row.ended_at !== null && { endedAt: row.ended_at }),
    payload: previewOf(row.preview, row.size),
  }))
}

/**
 * Takes away what has been kept as long, or as much of it, as the limits say: at most 500 rows of each kind. What waits, and events
 * that have dead letters, are never taken.
 *
 * @param discard takes one dead letter away, and closes its event when that was the last
 */
export function prune(store: Store, limits: OutboxLimits, now: number, discard: (handler: string, seq: number) => void): Pruned {
  return store.transaction(() => {
    const letters = store.sql<{ handler: string; seq: number }>(
      'SELECT handler, seq FROM dotdo_dead_letters WHERE died_at <= ? ORDER BY died_at LIMIT (? + 0)',
      Math.max(now - limits.keepDeadLettersMs, beyond(store, 'died_at', 'dotdo_dead_letters', 'true', limits.keepDeadLetters)),
      pruneBatch,
    )
    for (const letter of letters) discard(letter.handler, letter.seq)
    const unkeyed = 'ended_at IS NOT NULL AND key IS NULL'
    const events = [
      drop(store, unkeyed, Math.max(now - limits.keepEventsMs, beyond(store, 'ended_at', 'dotdo_outbox', unkeyed, limits.keepEvents))),
      drop(store, 'ended_at IS NOT NULL AND key IS NOT NULL', now - limits.keepKeysMs),
    ]
    return { events: events[0]! + events[1]!, deadLetters: letters.length, more: [letters.length, ...events].includes(pruneBatch) }
  })
}

/** When the first of what is kept will have been kept for as long as the limits say; null where nothing is. */
export function nextPruneMs(store: Store, limits: OutboxLimits): number | null {
  const row = store.sql<{ letters: number | null; events: number | null; keyed: number | null }>(
    `SELECT (SELECT min(died_at) FROM dotdo_dead_letters) AS letters,
      (SELECT min(ended_at) FROM dotdo_outbox WHERE ended_at IS NOT NULL AND key IS NULL) AS events,
      (SELECT min(ended_at) FROM dotdo_outbox WHERE ended_at IS NOT NULL AND key IS NOT NULL) AS keyed`,
  )[0]!
  const instants = [
    row.letters && row.letters + limits.keepDeadLettersMs,
    row.events && row.events + limits.keepEventsMs,
    row.keyed && row.keyed + limits.keepKeysMs,
  ]
  const known = instants.filter((it) => it !== null)
  return known.length === 0 ? null : Math.min(...known)
}

/** Until when rows go, so that the newest `keep` stay. Rows of the same millisecond stay together: rather a few too many than one too few. */
function beyond(store: Store, column: string, table: string, where: string, keep: number): number {
  return (
    Number(
      store.sql(`SELECT ${column} AS at FROM ${table} WHERE ${where} ORDER BY ${column} DESC LIMIT 1 OFFSET ?`, keep - 1)[0]?.at ??
        -Infinity,
    ) - 1
  )
}

function drop(store: Store, where: string, until: number): number {
  return store.sql(
    `DELETE FROM dotdo_outbox WHERE seq IN (SELECT seq FROM dotdo_outbox WHERE ${where} AND ended_at <= ? ORDER BY ended_at LIMIT (? + 0)) RETURNING seq`,
    until,
    pruneBatch,
  ).length
}
