/** Lists of one shard, by pages, and the one list that pages of all shards are. Owns nothing. */
import { dayMs } from '../base/durations.ts'
import { DotdoError } from '../base/errors.ts'
import type { SqlRow, SqlValue, Store } from '../base/ports.ts'
import type {
  FleetAlert,
  FleetAlertQuery,
  FleetLetter,
  FleetObject,
  FleetPage,
  FleetQuery,
  FleetRun,
  FleetRunQuery,
  FleetSchedule,
  FleetScheduleQuery,
  FleetSummary,
  FleetTimeQuery,
  RunHead,
} from '../base/fleet-views.ts'
import type { DeadLetter, ScheduleView } from '../base/views.ts'
import { viewOf, type AlertRow } from './alerts.ts'

/** The lists that there are, with what each may be asked for and is made of. */
export interface Lists {
  runs: { query: FleetRunQuery; item: FleetRun }
  schedules: { query: FleetScheduleQuery; item: FleetSchedule }
  letters: { query: FleetTimeQuery; item: FleetLetter }
  alerts: { query: FleetAlertQuery; item: FleetAlert }
  objects: { query: FleetQuery; item: FleetObject }
}

/** Where an entry stands in its list: an instant, then texts that tell apart what has the same. */
export type Place = readonly [at: number, object: string, id: string]

/** What a shard answers: entries with their places, in order. */
export type Listed<Item> = { place: Place; item: Item }[]

const mostListed = 500

interface ListSpec {
  table: string
  at: string
  id: string
  /** The one that comes first has the smallest instant. */
  ascending?: true
  /** Its objects' names order it: the instant and the last text are the same for all. */
  byName?: true
  words: readonly string[]
  item(row: SqlRow): unknown
}

const specs: { readonly [Name in keyof Lists]: ListSpec } = {
  runs: {
    table: 'dotdo_fleet_runs',
    at: 'started_at',
    id: 'run_id',
    words: ['state', 'tag', 'kind', 'subject', 'since', 'until'],
    item: ({ object, fact }): FleetRun => ({ object: String(object), run: JSON.parse(String(fact)) as RunHead }),
  },
  schedules: {
    table: 'dotdo_fleet_schedules',
    at: 'coalesce(next_at, 9007199254740991)',
    id: 'id',
    ascending: true,
    words: ['state'],
    item: ({ object, fact, late_at: late, due_at: due }): FleetSchedule => ({
      object: String(object),
      schedule: JSON.parse(String(fact)) as ScheduleView,
      ...(due !== null && { dueAt: Number(due) }),
      ...(late !== null && { lateSince: Number(late) }),
    }),
  },
  letters: {
    table: 'dotdo_fleet_letters',
    at: 'died_at',
    id: 'id',
    words: ['since', 'until'],
    item: ({ object, fact }): FleetLetter => ({ object: String(object), letter: JSON.parse(String(fact)) as DeadLetter }),
  },
  alerts: {
    table: 'dotdo_fleet_alerts',
    at: 'opened_at',
    id: `printf('%016d', id)`,
    words: ['state', 'since', 'until'],
    item: (row): FleetAlert => viewOf(row as AlertRow),
  },
  objects: {
    table: 'dotdo_fleet_objects',
    // All in one place, so that their names alone order them.
    at: '0',
    id: `''`,
    ascending: true,
    byName: true,
    words: [],
    item: ({ object, told_at: toldAt, letters }): FleetObject => ({
      object: String(object),
      toldAt: Number(toldAt),
      letters: Number(letters),
    }),
  },
}

const states: { readonly [Name in keyof Lists]?: Readonly<Record<string, string>> } = {
  runs: {
    done: `status = 'done'`,
    ...Object.fromEntries(['running', 'failed', 'cancelled', 'held'].map((state) => [state, notDone(state)])),
  },
  schedules: { late: 'late_at IS NOT NULL', failing: 'failures > 0', paused: 'paused = 1' },
  alerts: { open: 'closed_at IS NULL', closed: 'closed_at IS NOT NULL' },
}

/** A state that is found by the index of those that are not done: only a statement that says so is answered by it. */
function notDone(state: string): string {
  return `status <> 'done' AND status = '${state}'`
}

/** A question, checked. */
export interface Asked<Name extends keyof Lists> {
  name: Name
  query: Lists[Name]['query']
  limit: number
  after?: Place
}

/**
 * Reads a question from outside.
 * @throws `FLEET_QUERY_INVALID` for what cannot be asked: a word that is not known would be ignored in silence
 */
export function readQuery<Name extends keyof Lists>(name: Name, given: unknown): Asked<Name> {
  const query = (given ?? {}) as Record<string, unknown>
  if (typeof query !== 'object') throw invalid(name, 'it is no object')
  const known = ['noun', 'object', 'limit', 'after', ...specs[name].words]
  for (const [word, value] of Object.entries(query)) {
    if (!known.includes(word)) throw invalid(name, `there is no ${JSON.stringify(word)}, only ${known.join(', ')}`)
    const isNumber = word === 'limit' || word === 'since' || word === 'until'
    if (value !== undefined && typeof value !== (isNumber ? 'number' : 'string'))
      throw invalid(name, `${word} is a ${isNumber ? 'number' : 'text'}`)
  }
  const { state, limit = 50, after } = query as { state?: string; limit?: number; after?: string }
  if (state !== undefined && !Object.hasOwn(states[name] ?? {}, state))
    throw invalid(name, `state is one of ${Object.keys(states[name] ?? {}).join(', ')}`)
  if (!Number.isInteger(limit) || limit < 1 || limit > mostListed) throw invalid(name, `limit is a whole number from 1 to ${mostListed}`)
  return { name, query, limit, ...(after !== undefined && { after: readPlace(name, after) }) }
}

/** A page of one shard: one entry more than asked for tells that there are more. */
export function list<Name extends keyof Lists>(store: Store, { name, query, limit, after }: Asked<Name>): Listed<Lists[Name]['item']> {
  const { table, at, id, ascending, byName } = specs[name]
  const { noun, object, state, tag, kind, subject, since, until } = query as FleetRunQuery
  const where: string[] = []
  const values: SqlValue[] = []
  const add = (condition: string, ...some: SqlValue[]) => (where.push(condition), values.push(...some))
  if (object !== undefined) add('object = ?', object)
  if (noun !== undefined) add('noun = ?', noun)
  if (state !== undefined) add(states[name]![state]!)
  if (kind !== undefined) add('kind = ?', kind)
  if (subject !== undefined) add('subject = ?', subject)
  if (since !== undefined) add(`${at} >= ?`, since)
  if (until !== undefined) add(`${at} < ?`, until)
  if (tag !== undefined) {
    const [tagSince, tagUntil] = [since ?? 0, Math.min(until ?? Number.MAX_SAFE_INTEGER, (after?.[0] ?? Number.MAX_SAFE_INTEGER - 1) + 1)]
    add(
      'row IN (SELECT row FROM dotdo_fleet_tags WHERE tag = ? AND started_at >= ? AND started_at < ? ORDER BY started_at DESC)',
      tag,
      tagSince,
      tagUntil,
    )
  }
  const [order, sign] = ascending ? ['ASC', '>'] : ['DESC', '<']
  if (after && byName) add('object > ?', after[1])
  // The instant on its own as well, so that its index is used.
  else if (after) add(`${at} ${sign}= ? AND (${at}, object, ${id}) ${sign} (?, ?, ?)`, after[0], ...after)
  const rows = store.sql<SqlRow>(
    `SELECT *, ${at} AS place_at, ${id} AS place_id FROM ${table} ${where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''}
     ORDER BY ${byName ? 'object' : `${at} ${order}, object ${order}, ${id} ${order}`} LIMIT (? + 0)`,
    ...values,
    limit + 1,
  )
  return rows.map((row) => ({
    place: [Number(row['place_at']), String(row['object']), String(row['place_id'])],
    // The specification of the list makes its items.
    item: specs[name].item(row) as Lists[Name]['item'],
  }))
}

/** The page that the pages of all shards are together. An entry that two shards have is there once: the shard that has it later in `pages` goes before. */
export function merge<Name extends keyof Lists>(
  name: Name,
  limit: number,
  pages: readonly Listed<Lists[Name]['item']>[],
): FleetPage<Lists[Name]['item']> {
  const sign = specs[name].ascending ? 1 : -1
  const all = pages.flat().sort((a, b) => sign * compare(a.place, b.place))
  const items = all.slice(0, limit)
  const last = items.at(-1)
  return { items: items.map(({ item }) => item), ...(all.length > limit && last && { next: JSON.stringify(last.place) }) }
}

/** Numbers of one shard. */
export function summarise(store: Store, now: number): FleetSummary {
  const count = (from: string, ...values: SqlValue[]) => Number(store.sql(`SELECT count(*) AS n FROM dotdo_fleet_${from}`, ...values)[0]!.n)
  return {
    objects: count('objects'),
    runs: count('runs'),
    running: count(`runs WHERE ${notDone('running')}`),
    held: count(`runs WHERE ${notDone('held')}`),
    failed: count(`runs WHERE ${notDone('failed')} AND started_at > ?`, now - dayMs),
    schedules: count('schedules'),
    late: count('schedules WHERE late_at IS NOT NULL'),
    letters: Number(store.sql('SELECT coalesce(sum(letters), 0) AS n FROM dotdo_fleet_objects')[0]!.n),
    alerts: count('alerts WHERE closed_at IS NULL'),
  }
}

/** The numbers of all shards. */
export function sum(all: readonly FleetSummary[]): FleetSummary {
  const total: FleetSummary = { objects: 0, runs: 0, running: 0, held: 0, failed: 0, schedules: 0, late: 0, letters: 0, alerts: 0 }
  for (const one of all) for (const name of Object.keys(total) as (keyof FleetSummary)[]) total[name] += one[name]
  return total
}

/** As SQLite compares them: texts by their code points. */
function compare(a: Place, b: Place): number {
  if (a[0] !== b[0]) return a[0] - b[0]
  return compareText(a[1], b[1]) || compareText(a[2], b[2])
}

function compareText(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)]
  for (let i = 0; i < Math.min(left.length, right.length); i++)
    if (left[i] !== right[i]) return left[i]!.codePointAt(0)! - right[i]!.codePointAt(0)!
  return left.length - right.length
}

function readPlace(name: string, text: string): Place {
  try {
    const place: unknown = JSON.parse(text)
    if (
      Array.isArray(place) &&
      place.length === 3 &&
      typeof place[0] === 'number' &&
      typeof place[1] === 'string' &&
      typeof place[2] === 'string'
    )
      return place as unknown as Place
  } catch {
    // What is no JSON is refused with what is no place.
  }
  throw invalid(name, 'after is what the page before gave as next')
}

function invalid(name: string, reason: string): DotdoError {
  return new DotdoError('FLEET_QUERY_INVALID', `The ${name} of the fleet cannot be asked for like this: ${reason}.`, {
    data: { list: name, reason },
  })
}
