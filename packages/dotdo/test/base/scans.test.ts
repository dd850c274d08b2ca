/**
 * Every statement of the rooms that keep state is explained over their tables: none may read a whole table that grows, but those below, each with its reason.
 *
 * Statements are taken from the source, so that a new one is looked at from the day it is written. SQLite keeps no statistics of these tables, so that its
 * plan is the same for empty and for full ones; a last test fills one to see that this holds.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { SqlRow, Store } from '../../src/base/ports.ts'
import { migrate, type Migrations } from '../../src/base/migrations.ts'
import { subscriptionMigrations } from '../../src/events/subscription-tables.ts'
import { outboxMigrations } from '../../src/events/tables.ts'
import { list, readQuery, summarise, type Lists } from '../../src/fleet/lists.ts'
import { shardMigrations } from '../../src/fleet/tables.ts'
import { journalMigrations } from '../../src/journal/tables.ts'
import { groupsTable } from '../../src/schedule/bulk.ts'
import { migrations as scheduleMigrations } from '../../src/schedule/tables.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

const source = join(import.meta.dirname, '../../src')
const rooms = ['journal', 'schedule', 'events', 'fleet', 'object']

/** What may read a whole table, by a part of its text, and why that is bounded. */
const allowed: Readonly<Record<string, string>> = {
  'dotdo_sink_batches WHERE NOT EXISTS': 'a row a sink that is declared, once a start',
  'FROM dotdo_subscribed WHERE declared = 1': 'all of them are wanted, once a start, and an object holds a limited number',
  'FROM dotdo_subscribed ORDER BY': 'all of them are wanted, by people, and an object holds a limited number',
  'count(*) AS n FROM dotdo_subscribed': 'where one is added: an object holds a limited number',
  'FROM dotdo_subscriptions ORDER BY': 'all of them are wanted, once a start or by people, and an object holds a limited number',
  'dotdo_outbox ORDER BY seq DESC LIMIT': 'the newest, and no more of them than are wanted',
  '(SELECT 1 FROM dotdo_deliveries LIMIT ?)': 'no more of them than the limit',
  '(SELECT 1 FROM dotdo_dead_letters LIMIT ?)': 'no more of them than the limit',
  'dotdo_backfills WHERE status': 'few are kept of those that have ended, and few are under way',
  'SELECT * FROM dotdo_schedules': 'what is declared, all of it, once a start',
  'FROM dotdo_singletons WHERE woken_at < ?': 'a row a singleton that is declared',
  'SELECT key, target FROM dotdo_fleet_targets': 'a row an alert target of the app, once a start',
  'FROM dotdo_steps WHERE run = ? AND ordinal > ?  ORDER BY ordinal LIMIT': 'the first page of one run: the others are found by an index',
  'dotdo_fleet_alerts WHERE closed_at': 'a shard holds 10,000 alerts, and looks once a day for those that are over',
  'SELECT 1 FROM dotdo_fleet_marks LIMIT 1': 'the first there is',
  'FROM dotdo_fleet_feed': 'one row',
  'FROM dotdo_fleet_marks ORDER BY v':
    'what an object has not told: few but after an outage, and 30,000 at most. An index would be a second row for each mark',
  'FROM dotdo_fleet_marks WHERE v <= ?': 'the same',
  'count(*) AS n FROM dotdo_fleet_marks': 'the same, where a message was not taken',
  'SELECT 1 FROM dotdo_fleet_objects LIMIT 1': 'the first there is',
  'count(*) AS n FROM dotdo_fleet_schedules': 'a shard holds 100,000; once in an incarnation',
  'count(*) AS n FROM dotdo_fleet_runs': 'a shard holds 110,000; once in an incarnation',
  'dotdo_fleet_runs WHERE ended_at': 'the oldest, and no more of them than are too many: those that lie before them go on, and are few',
  'dotdo_fleet_objects o WHERE told_at': 'the objects of a shard, once a day',
  'SELECT object, id FROM dotdo_fleet_schedules': 'all of them are wanted, once for rules of the app that a deploy has changed',
  'UNION SELECT * FROM (SELECT run_id, seq': 'the newest of all, and no more of them than are wanted, beside those that have not ended',
}

/** What stands for the parts of statements that are made as the code runs: each a text, or several that are all looked at. */
const parts: Readonly<Record<string, readonly string[]>> = {
  columns: ['*'],
  preview: ['1 AS preview'],
  assignments: ['failures = 0'],
  retiredKept: ['5'],
  endedKept: ['5'],
  indexed: ['', 'AND ordinal >= 1000'],
  inOrder: ['ordinal >= 1000'],
  most: ['SELECT MAX(ordinal) + 1 AS n FROM dotdo_steps WHERE run = ?'],
  waiting: [`(status = 'held' OR (status = 'parked' AND wake_at IS NULL))`],
  condition: ['seq <= ?', 'at < ?'],
  skipped: [
    'SELECT coalesce(skipped_at, 0) AS at FROM dotdo_inbox_events WHERE skipped IS NOT NULL ORDER BY coalesce(skipped_at, 0) LIMIT 1',
  ],
  gone: ['SELECT object FROM dotdo_singletons WHERE woken_at < ? LIMIT 100'],
  where: ['ended_at IS NOT NULL AND key IS NULL', 'ended_at IS NOT NULL AND key IS NOT NULL'],
  table: ['dotdo_outbox'],
  column: ['ended_at'],
  status: ['running', 'parked', 'held', 'undoing'],
  openRuns: [
    ['running', 'parked', 'held', 'undoing']
      .map((status) => `SELECT seq, run_id, started_at FROM dotdo_runs WHERE status = '${status}'`)
      .join(' UNION ALL '),
  ],
  from: [`FROM (SELECT value ->> 0 AS schedule, value -> 1 AS runs, value ->> 2 AS done, value ->> 3 AS failed FROM json_each(?)) AS told`],
  laid: [groupsTable('laid', ['start_at', 'end_at', 'state', 'suffix', 'run', 'backfill', 'again'])],
  told: [groupsTable('told', ['next_at', 'wake_at', 'last_scheduled_at', 'covered_to', 'firings', 'fired_at', 'suffix', 'is_open'])],
  isOpen: ['EXISTS (SELECT 1 FROM json_each(told.runs) WHERE value = open_run)'],
}

interface Statement {
  place: string
  text: string
}

/** The statements of a file, with all that may stand in them. Those that only add rows by value look for nothing. */
function statementsOf(file: string): Statement[] {
  const code = readFileSync(join(source, file), 'utf8')
  const found: Statement[] = []
  for (const [, , text = ''] of code.matchAll(/(['"`])((?:SELECT|UPDATE|DELETE|WITH|INSERT)\b[\s\S]*?)\1/g)) {
    if (!/dotdo_|\$\{/.test(text) || (text.startsWith('INSERT') && !text.includes('SELECT'))) continue
    for (const whole of wholesOf(text)) found.push({ place: file, text: whole })
  }
  return found
}

function wholesOf(text: string): string[] {
  const [hole, name = ''] = /\$\{([^{}]+(?:\{[^{}]*\}[^{}]*)*)\}/.exec(text) ?? []
  if (hole === undefined) return [text.replace(/\s*\n\s*/g, ' ').replaceAll('(? + 0)', '?')]
  const given = parts[name]
  if (!given) throw new Error(`Say in this test what stands for ${hole} in: ${text}`)
  return given.flatMap((part) => wholesOf(text.replace(hole, () => part)))
}

function filesOf(room: string): string[] {
  return readdirSync(join(source, room))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(room, name))
}

/** All tables of an object, and the framework's own. */
function tables(): SqliteStore {
  const store = new SqliteStore()
  const all: Record<string, Migrations> = {
    journal: journalMigrations,
    schedule: scheduleMigrations,
    events: outboxMigrations,
    subscriptions: subscriptionMigrations,
    fleet: shardMigrations,
  }
  for (const [room, migrations] of Object.entries(all)) migrate(store, room, migrations)
  // Those that are made where they are used.
  for (const room of rooms)
    for (const file of filesOf(room))
      for (const [, , text = ''] of readFileSync(join(source, file), 'utf8').matchAll(
        /(['"`])(CREATE (?:UNIQUE )?(?:TABLE|INDEX) dotdo_[\s\S]*?)\1/g,
      )) {
        const [, name = ''] = /(?:TABLE|INDEX) (\w+)/.exec(text) ?? []
        if (store.sql('SELECT 1 FROM sqlite_master WHERE name = ?', name).length === 0) store.sql(text)
      }
  return store
}

/** What of a plan reads a whole table: its lines that do. */
function scansOf(store: SqliteStore, text: string): string[] {
  const places = text.replace(/'[^']*'/g, '').split('?').length - 1
  const rows = store.sql<{ detail: string }>(`EXPLAIN QUERY PLAN ${text}`, ...Array.from({ length: places }, () => null))
  const plan = rows.map(({ detail }) => detail)
  const isTable = (name: string): boolean =>
    store.sql('SELECT 1 FROM sqlite_master WHERE name = ?', name).length > 0 || new RegExp(`dotdo_\\w+ (?:AS )?${name}\\b`).test(text)
  const scans = plan.filter((line) => {
    const [, kind, name = '', index] = /^(SCAN|SEARCH) (\w+)(?: USING (?:COVERING )?INDEX (\w+))?/.exec(line) ?? []
    if (!kind || !isTable(name) || line.includes('(')) return false
    // The least or the greatest of what an index begins with is one look-up; of anything else, every row is read.
    if (kind === 'SEARCH') return !isFirstOf(store, name, index, /\b(?:min|max)\((\w+)\)/gi, text)
    // A partial index has few rows: that is what it is for.
    return index === undefined || !/ WHERE /.test(definitionOf(store, index))
  })
  // All rows that are found are read and sorted, however few are wanted.
  return /\bLIMIT\b/.test(text) ? [...scans, ...plan.filter((line) => line === 'USE TEMP B-TREE FOR ORDER BY')] : scans
}

function definitionOf(store: SqliteStore, name: string): string {
  return String(store.sql('SELECT sql FROM sqlite_master WHERE name = ?', name)[0]?.sql ?? '')
}

function isFirstOf(store: SqliteStore, table: string, index: string | undefined, least: RegExp, text: string): boolean {
  const asked = [...text.matchAll(least)].map(([, column]) => column)
  const first =
    index === undefined
      ? /(\w+) INTEGER PRIMARY KEY/.exec(definitionOf(store, table))?.[1]
      : /\((\w+)/.exec(definitionOf(store, index))?.[1]
  return asked.includes(first)
}

// What brings tables to their next version reads them whole, once.
const statements = rooms.flatMap((room) =>
  filesOf(room)
    .filter((file) => file !== join('journal', 'tables.ts') && file !== join('fleet', 'lists.ts'))
    .flatMap(statementsOf),
)

/** What the fleet's lists ask, by every set of words that they may be asked with, from the beginning and from a place on; and what its numbers are of. */
function listStatements(): Statement[] {
  const found: Statement[] = []
  const store: Store = {
    sql: <Row extends SqlRow>(text: string) => (
      found.push({ place: join('fleet', 'lists.ts'), text: text.replace(/\s*\n\s*/g, ' ').replaceAll('(? + 0)', '?') }),
      text.startsWith('SELECT *') ? [] : [{ n: 0 } as unknown as Row]
    ),
    transaction: (work) => work(),
  }
  const place = JSON.stringify([1, 'A/b', 'c'])
  const words: Record<string, unknown> = {
    noun: 'A',
    object: 'A/b',
    state: undefined,
    tag: 't',
    kind: 'method',
    subject: 's',
    since: 1,
    until: 2,
    after: place,
  }
  const ways: [keyof Lists, string[], string[]][] = [
    [
      'runs',
      ['noun', 'object', 'state', 'tag', 'kind', 'subject', 'since', 'until', 'after'],
      ['running', 'done', 'failed', 'cancelled', 'held'],
    ],
    ['schedules', ['noun', 'object', 'state', 'after'], ['late', 'failing', 'paused']],
    ['letters', ['noun', 'object', 'since', 'until', 'after'], ['']],
    ['alerts', ['noun', 'object', 'state', 'since', 'until', 'after'], ['open', 'closed']],
    ['objects', ['noun', 'object', 'after'], ['']],
  ]
  for (const [name, known, states] of ways)
    for (let set = 0; set < 2 ** known.length; set++)
      for (const state of states) {
        const query = Object.fromEntries(
          known.flatMap((word, i) => (set & (1 << i) ? [[word, word === 'state' ? state : words[word]]] : [])),
        )
        list(store, readQuery(name, query))
      }
  summarise(store, 0)
  return [...new Map(found.map((it) => [it.text, it])).values()]
}

describe('the statements of the rooms', () => {
  const store = tables()

  test('are found in the source', () => {
    expect(statements.length).toBeGreaterThan(180)
  })

  test('read no table whole that grows', () => {
    const scans = statements.flatMap(({ place, text }) => {
      if (Object.keys(allowed).some((part) => text.includes(part))) return []
      const found = scansOf(store, text)
      return found.length > 0 ? [`${place}: ${text}\n  ${found.join('\n  ')}`] : []
    })
    expect(scans).toEqual([])
  })

  test('of lists read one only in its order, until a page is full', () => {
    // What a shard holds is bounded, and none of these ways has an index in the order of the list.
    const sorted = (text: string) => /\bobject = \?|\brow IN \(|closed_at IS NULL/.test(text)
    const found = listStatements().flatMap(({ text }) =>
      scansOf(store, text)
        .filter((line) => !(sorted(text) && line.startsWith('USE TEMP B-TREE')))
        .filter((line) => !/ORDER BY/.test(text) || !(/^SCAN \w+ USING INDEX/.test(line) || /ORDER BY object LIMIT/.test(text)))
        .map((line) => `${line}: ${text}`),
    )
    // The numbers of a shard: those that count all read an index, and no rows.
    expect(found.map((it) => it.split(':')[0])).toEqual([
      'SCAN dotdo_fleet_objects',
      'SCAN dotdo_fleet_runs USING COVERING INDEX dotdo_fleet_runs_started',
      'SCAN dotdo_fleet_schedules USING COVERING INDEX dotdo_fleet_schedules_next',
      'SCAN dotdo_fleet_objects',
    ])
  })

  test('of lists find by an index what is few: what is not done, late, failing, paused or open', () => {
    const planOf = (text: string) =>
      store.sql<{ detail: string }>(`EXPLAIN QUERY PLAN ${text.replaceAll('?', '1')}`).map(({ detail }) => detail)
    const few: [RegExp, string][] = [
      [/^SELECT \*.*dotdo_fleet_runs WHERE status <> 'done' AND status = '\w+' ORDER/, 'dotdo_fleet_runs_status'],
      [/^SELECT \*.*dotdo_fleet_schedules WHERE late_at IS NOT NULL ORDER/, 'dotdo_fleet_schedules_late'],
      [/^SELECT \*.*dotdo_fleet_schedules WHERE failures > 0 ORDER/, 'dotdo_fleet_schedules_failing'],
      [/^SELECT \*.*dotdo_fleet_schedules WHERE paused = 1 ORDER/, 'dotdo_fleet_schedules_paused'],
      [/^SELECT count.*dotdo_fleet_runs WHERE status <> 'done'/, 'dotdo_fleet_runs_status'],
      [/^SELECT count.*dotdo_fleet_schedules WHERE late_at/, 'dotdo_fleet_schedules_late'],
      [/^SELECT count.*dotdo_fleet_alerts WHERE closed_at IS NULL/, 'dotdo_fleet_alerts_open'],
    ]
    const all = listStatements()
    for (const [which, index] of few) {
      const some = all.filter(({ text }) => which.test(text))
      expect([which.source, some.length]).not.toEqual([which.source, 0])
      for (const { text } of some) expect(planOf(text).join(), text).toContain(`INDEX ${index}`)
    }
  })

  test('that may read one whole are there, and do', () => {
    const needless = Object.keys(allowed).filter(
      (part) => !statements.some(({ text }) => text.includes(part) && scansOf(store, text).length > 0),
    )
    expect(needless).toEqual([])
  })

  test('would be found: a table without its index is read whole', () => {
    const text = statements.find((it) => it.text.includes("state IN ('asking', 'ending') ORDER BY due_at"))!.text
    expect(scansOf(store, text)).toEqual([])
    const bare = tables()
    bare.sql('DROP INDEX dotdo_subscribed_due')
    expect(scansOf(bare, text)).toEqual(['SCAN dotdo_subscribed', 'USE TEMP B-TREE FOR ORDER BY'])
    expect(scansOf(bare, 'SELECT min(started_at) FROM dotdo_runs')).toHaveLength(1)
    expect(scansOf(bare, 'SELECT max(seq) FROM dotdo_runs')).toEqual([])
  })

  test('have the same plan over full tables', () => {
    const full = tables()
    full.sql(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
      INSERT INTO dotdo_steps (run, step_id, ordinal, status, attempt, started_at) SELECT i % 3, 'step ' || i, i / 3, 'done', 1, i FROM n`)
    full.sql(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
      INSERT INTO dotdo_runs (run_id, target, status, attempt, args, started_at, ended_at) SELECT 'run ' || i, '{}', 'done', 1, '[]', i, i FROM n`)
    for (const { text } of statements.filter(({ place }) => place.startsWith('journal')))
      expect(scansOf(full, text), text).toEqual(scansOf(store, text))
  })
})
