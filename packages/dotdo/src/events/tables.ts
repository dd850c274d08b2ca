/**
 * Owns: the three tables of the outbox, and every statement over them. No policy: what is due, tried again or dead is decided by its callers.
 *
 * T1. An event's `open` is the number of its rows in `dotdo_deliveries` and `dotdo_dead_letters` together. `ended_at` is set when, and only
 *     when, it is 0. So an event with a dead letter has not ended, and its payload is there to be replayed.
 * T2. `open` is NULL while the event has not been matched with handlers, which happens to events sent before `settle()`.
 * T3. A (handler, event) stands in at most one of the two tables.
 * T4. `seq` is the order of sending and is never given out again.
 */
import { decodeValue, encodeValue } from '../base/codec.ts'
import type { ErrorRecord } from '../base/errors.ts'
import { migrate, type Migrations } from '../base/migrations.ts'
import type { Store } from '../base/ports.ts'
import type { SentEvent } from './event.ts'

/** The definitions, version by version. Entries are only ever added. */
export const outboxMigrations: Migrations = [
  [
    `CREATE TABLE dotdo_outbox (
      seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, payload TEXT NOT NULL, key TEXT,
      source TEXT NOT NULL, sent_at INTEGER NOT NULL, open INTEGER, ended_at INTEGER)`,
    'CREATE UNIQUE INDEX dotdo_outbox_key ON dotdo_outbox (key) WHERE key IS NOT NULL',
    'CREATE INDEX dotdo_outbox_unmatched ON dotdo_outbox (seq) WHERE open IS NULL',
    'CREATE INDEX dotdo_outbox_ended ON dotdo_outbox (ended_at) WHERE ended_at IS NOT NULL AND key IS NULL',
    'CREATE INDEX dotdo_outbox_ended_keys ON dotdo_outbox (ended_at) WHERE ended_at IS NOT NULL AND key IS NOT NULL',
    // due_at is 0 until a first attempt has failed, so the index of waits holds only what waits, and a send that goes well never writes to it.
    `CREATE TABLE dotdo_deliveries (
      handler TEXT NOT NULL, seq INTEGER NOT NULL, attempts INTEGER NOT NULL, due_at INTEGER NOT NULL,
      PRIMARY KEY (handler, seq)) WITHOUT ROWID`,
    'CREATE INDEX dotdo_deliveries_due ON dotdo_deliveries (handler, due_at) WHERE due_at > 0',
    `CREATE TABLE dotdo_dead_letters (
      seq INTEGER NOT NULL, handler TEXT NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL, died_at INTEGER NOT NULL,
      PRIMARY KEY (seq, handler)) WITHOUT ROWID`,
    'CREATE INDEX dotdo_dead_letters_died ON dotdo_dead_letters (died_at)',
  ],
  [
    // How often it was taken back from the dead letters, and whether its receiver was told that it died.
    'ALTER TABLE dotdo_deliveries ADD COLUMN revived INTEGER NOT NULL DEFAULT 0',
    'ALTER TABLE dotdo_dead_letters ADD COLUMN revived INTEGER NOT NULL DEFAULT 0',
    'ALTER TABLE dotdo_dead_letters ADD COLUMN told INTEGER NOT NULL DEFAULT 0',
    'CREATE INDEX dotdo_dead_letters_of ON dotdo_dead_letters (handler, told, seq)',
  ],
  [
    // An event and what it is owed to, `lanes` as a JSON list, in one statement: a send is otherwise two, in a transaction of their own, and takes twice as long.
    `CREATE VIEW dotdo_sends AS SELECT id, type, payload, key, source, sent_at, NULL AS lanes FROM dotdo_outbox`,
    `CREATE TRIGGER dotdo_sends_insert INSTEAD OF INSERT ON dotdo_sends BEGIN
      INSERT INTO dotdo_outbox (id, type, payload, key, source, sent_at, open)
        VALUES (NEW.id, NEW.type, NEW.payload, NEW.key, NEW.source, NEW.sent_at, json_array_length(NEW.lanes));
      INSERT INTO dotdo_deliveries (handler, seq, attempts, due_at) SELECT value, last_insert_rowid(), 0, 0 FROM json_each(NEW.lanes);
    END`,
  ],
]

/** A delivery that has not ended. */
export type Waiting = { seq: number; attempts: number; due_at: number }

/** A delivery with its event, as a batch takes it; `payload` in its stored form. */
export type Loaded = {
  seq: number
  attempts: number
  revived: number
  id: string
  type: string
  payload: string
  key: string | null
  source: string
  sent_at: number
}

/** Which deliveries of a lane a batch may take: all that are due from the oldest above a seq on, or, without order, those below one that are not under way. */
export interface Look {
  readonly ordered: boolean
  readonly passed: ReadonlySet<number>
  readonly above: number
  readonly below: number
}

/** An event before it is stored; `payload` in its stored form. */
export interface NewEvent {
  id: string
  type: string
  payload: string
  key: string | undefined
  source: string
  sentAt: number
}

/** The outbox of one object, as rows. Opening it brings its tables to the newest version; throws `STATE_TOO_NEW`. */
export class OutboxTables {
  readonly store: Store
  /** There was no dead letter when one was last looked for, and none since. Only {@link bury} makes any. */
  #noLetters = false

  constructor(store: Store) {
    this.store = store
    migrate(store, 'events', outboxMigrations)
  }

  lastSeq(): number {
    return Number(this.store.sql('SELECT max(seq) AS seq FROM dotdo_outbox')[0]?.seq ?? 0)
  }

  seqOf(id: string): number | undefined {
    return this.store.sql<{ seq: number }>('SELECT seq FROM dotdo_outbox WHERE id = ?', id)[0]?.seq
  }

  byKey(key: string): { id: string; type: string } | undefined {
    return this.store.sql<{ id: string; type: string }>('SELECT id, type FROM dotdo_outbox WHERE key = ?', key)[0]
  }

  /** Stores an event and what each of `handlers` is owed, in one statement. `undefined`: to be matched later (T2). */
  insert(event: NewEvent, handlers: readonly string[] | undefined): void {
    const { id, type, payload, key = null, source, sentAt } = event
    if (handlers && handlers.length > 0) {
      const into = 'INSERT INTO dotdo_sends (id, type, payload, key, source, sent_at, lanes) VALUES (?, ?, ?, ?, ?, ?, ?)'
      this.store.sql(into, id, type, payload, key, source, sentAt, JSON.stringify(handlers))
      return
    }
    const [open, endedAt] = handlers ? [0, sentAt] : [null, null]
    const into = 'INSERT INTO dotdo_outbox (id, type, payload, key, source, sent_at, open, ended_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)'
    this.store.sql(into, id, type, payload, key, source, sentAt, open, endedAt)
  }

  unmatched(): { seq: number; type: string }[] {
    return this.store.sql<{ seq: number; type: string }>('SELECT seq, type FROM dotdo_outbox WHERE open IS NULL ORDER BY seq LIMIT 500')
  }

  match(seq: number, handlers: string[], now: number): void {
    this.store.transaction(() => {
      this.store.sql(
        'UPDATE dotdo_outbox SET open = ?, ended_at = ? WHERE seq = ?',
        handlers.length,
        handlers.length === 0 ? now : null,
        seq,
      )
      for (const handler of handlers) this.#owe(handler, seq)
    })
  }

  #owe(handler: string, seq: number): void {
    this.store.sql('INSERT INTO dotdo_deliveries (handler, seq, attempts, due_at) VALUES (?, ?, 0, 0)', handler, seq)
  }

  /** The handlers that anything waits for. One index seek each, however much waits. */
  lanes(): string[] {
    const found: string[] = []
    let last = ''
    for (;;) {
      const next = this.store.sql<{ handler: string | null }>(
        'SELECT min(handler) AS handler FROM dotdo_deliveries WHERE handler > ?',
        last,
      )[0]?.handler
      if (typeof next !== 'string') return found
      found.push((last = next))
    }
  }

  /** How many deliveries wait, counted no further than `most`. */
  waiting(most: number): number {
    return Number(this.store.sql('SELECT count(*) AS n FROM (SELECT 1 FROM dotdo_deliveries LIMIT (? + 0))', most)[0]?.n)
  }

  /** The oldest of a handler's deliveries above a seq: in an ordered lane, the only one that may be under way. */
  oldest(handler: string, above = 0): Waiting | undefined {
    const select = 'SELECT seq, attempts, due_at FROM dotdo_deliveries WHERE handler = ? AND seq > ? ORDER BY seq LIMIT 1'
    return this.store.sql<Waiting>(select, handler, above)[0]
  }

  /** A handler's deliveries after `seq` that were never tried, oldest first. */
  untried(handler: string, seq: number, limit: number): Waiting[] {
    return this.store.sql<Waiting>(
      'SELECT seq, attempts, due_at FROM dotdo_deliveries WHERE handler = ? AND seq > ? AND due_at = 0 ORDER BY seq LIMIT (? + 0)',
      handler,
      seq,
      limit,
    )
  }

  /** A handler's deliveries that wait for another attempt, the soonest first. */
  retrying(handler: string, limit: number): Waiting[] {
    return this.store.sql<Waiting>(
      'SELECT seq, attempts, due_at FROM dotdo_deliveries WHERE handler = ? AND due_at > 0 ORDER BY due_at LIMIT (? + 0)',
      handler,
      limit,
    )
  }

  /** The event. Throws `STATE_TOO_NEW` for a payload that a later release wrote. */
  event(seq: number): SentEvent {
    const row = this.store.sql<{ id: string; type: string; payload: string; key: string | null; source: string; sent_at: number }>(
      'SELECT id, type, payload, key, source, sent_at FROM dotdo_outbox WHERE seq = ?',
      seq,
    )[0]!
    return {
      id: row.id,
      type: row.type,
      payload: decodeValue(row.payload),
      sentAt: row.sent_at,
      source: row.source,
      ...(row.key !== null && { key: row.key }),
    }
  }

  /** The names of an event, without its payload. */
  head(seq: number): { id: string; type: string } {
    return this.store.sql<{ id: string; type: string }>('SELECT id, type FROM dotdo_outbox WHERE seq = ?', seq)[0]!
  }

  /** Makes due now what is due after `latest`. Returns whether anything was. */
  notLaterThan(handler: string, latest: number, now: number): boolean {
    const update = 'UPDATE dotdo_deliveries SET due_at = ? WHERE handler = ? AND due_at > ? RETURNING seq'
    return this.store.sql(update, now, handler, latest).length > 0
  }

  tried(handler: string, seq: number, attempts: number, dueAt: number): void {
    this.store.sql('UPDATE dotdo_deliveries SET attempts = ?, due_at = ? WHERE handler = ? AND seq = ?', attempts, dueAt, handler, seq)
  }

  /** The commit point of a delivery: from here on it is not made again. */
  delivered(handler: string, seq: number, now: number): void {
    this.store.transaction(() => {
      this.store.sql('DELETE FROM dotdo_deliveries WHERE handler = ? AND seq = ?', handler, seq)
      this.#close(seq, now)
    })
  }

  bury(handler: string, seq: number, attempts: number, error: ErrorRecord, now: number): void {
    this.#noLetters = false
    this.store.transaction(() => {
      const revived = this.store.sql('DELETE FROM dotdo_deliveries WHERE handler = ? AND seq = ? RETURNING revived', handler, seq)[0]
        ?.revived
      this.store.sql(
        'INSERT INTO dotdo_dead_letters (seq, handler, attempts, error, died_at, revived) VALUES (?, ?, ?, ?, ?, ?)',
        seq,
        handler,
        attempts,
        encodeValue(error),
        now,
        revived ?? 0,
      )
    })
  }

  // Whole batches

  /**
   * What a batch may take of a lane, in order: deliveries that are due, up to `limit` of them and `chars` of payloads, at least one. With order it
   * ends at the first that is not due. `isAll`: it has all that the look may take, due or not.
   */
  batch(
    handler: string,
    { ordered, passed, above, below }: Look,
    now: number,
    limit: number,
    chars: number,
  ): { rows: Loaded[]; isAll: boolean } {
    // With payloads that are small: most batches are then there with one statement, and what is looked at in vain is no more than a megabyte.
    const heads = this.store.sql<Loaded & { due_at: number; size: number; payload: string | null }>(
      `SELECT seq, attempts, revived, id, type, CASE WHEN length(payload) <= 4096 THEN payload END AS payload, key, source, sent_at, due_at,
        length(payload) AS size FROM dotdo_deliveries JOIN dotdo_outbox USING (seq)
       WHERE handler = ? AND seq > ? AND seq < ? AND due_at <= ? ORDER BY seq LIMIT (? + 0)`,
      handler,
      above,
      below,
      ordered ? Number.MAX_SAFE_INTEGER : now,
      limit + passed.size,
    )
    const taken: Loaded[] = []
    let isWhole = true
    let size = 0
    for (const head of heads) {
      if (passed.has(head.seq)) continue
      if (head.due_at > now) break
      size += head.size
      if (taken.length > 0 && (size > chars || taken.length >= limit)) break
      taken.push(head)
      isWhole &&= head.payload !== null
    }
    const isAll = ordered && taken.length === heads.length && taken.length < limit
    if (isWhole) return { rows: taken, isAll }
    const seqs = taken.map(({ seq }) => seq)
    return { rows: this.load(handler, seqs), isAll }
  }

  /** Those of `seqs` that wait for a handler, with their events, in order. */
  load(handler: string, seqs: readonly number[]): Loaded[] {
    return this.store.sql<Loaded>(
      `SELECT seq, attempts, revived, id, type, payload, key, source, sent_at FROM dotdo_deliveries JOIN dotdo_outbox USING (seq)
       WHERE handler = ? AND seq IN (SELECT value FROM json_each(?)) ORDER BY seq`,
      handler,
      JSON.stringify(seqs),
    )
  }

  /** The commit point of a batch. Takes off those of `seqs` that still wait for the handler. */
  deliveredAll(handler: string, seqs: readonly number[], now: number): void {
    const list = JSON.stringify(seqs)
    this.store.transaction(() => {
      this.store.sql(
        `UPDATE dotdo_outbox SET open = open - 1, ended_at = CASE open WHEN 1 THEN ? END
         WHERE seq IN (SELECT seq FROM dotdo_deliveries WHERE handler = ? AND seq IN (SELECT value FROM json_each(?)))`,
        now,
        handler,
        list,
      )
      this.store.sql('DELETE FROM dotdo_deliveries WHERE handler = ? AND seq IN (SELECT value FROM json_each(?))', handler, list)
    })
  }

  /** When the next batch of a lane may be taken: with order the due time of the oldest. `undefined`: nothing waits. */
  dueAt(handler: string, { ordered, passed, above, below }: Look): number | undefined {
    if (ordered) return this.oldest(handler, above)?.due_at
    const look = passed.size + 1
    const isFree = ({ seq }: Waiting): boolean => seq < below && !passed.has(seq)
    if (this.untried(handler, 0, look).some(isFree)) return 0
    return this.retrying(handler, look).find(isFree)?.due_at
  }

  /** The dead letters of a handler that its receiver was not told of, oldest first. */
  untold(handler: string, limit: number): { seq: number; revived: number }[] {
    if (this.#noLetters || (this.#noLetters = this.dead(1) === 0)) return []
    return this.store.sql<{ seq: number; revived: number }>(
      'SELECT seq, revived FROM dotdo_dead_letters WHERE handler = ? AND told = 0 ORDER BY seq LIMIT (? + 0)',
      handler,
      limit,
    )
  }

  told(handler: string, seqs: readonly number[]): void {
    this.store.sql(
      'UPDATE dotdo_dead_letters SET told = 1 WHERE handler = ? AND seq IN (SELECT value FROM json_each(?))',
      handler,
      JSON.stringify(seqs),
    )
  }

  /** How many deliveries wait for one handler, counted no further than `most`. */
  waitingFor(handler: string, most: number): number {
    return Number(
      this.store.sql('SELECT count(*) AS n FROM (SELECT 1 FROM dotdo_deliveries WHERE handler = ? LIMIT (? + 0))', handler, most)[0]?.n,
    )
  }

  /** How many dead letters a handler has, counted no further than `most`. */
  deadFor(handler: string, most: number): number {
    return Number(
      this.store.sql('SELECT count(*) AS n FROM (SELECT 1 FROM dotdo_dead_letters WHERE handler = ? LIMIT (? + 0))', handler, most)[0]?.n,
    )
  }

  /** How many dead letters there are, counted no further than `most`. */
  dead(most: number): number {
    return Number(this.store.sql('SELECT count(*) AS n FROM (SELECT 1 FROM dotdo_dead_letters LIMIT (? + 0))', most)[0]?.n)
  }

  /** The seqs that wait for a handler, oldest first. */
  seqsFor(handler: string, limit: number): number[] {
    return this.store
      .sql<{ seq: number }>('SELECT seq FROM dotdo_deliveries WHERE handler = ? ORDER BY seq LIMIT (? + 0)', handler, limit)
      .map(({ seq }) => seq)
  }

  /** Makes a dead letter a delivery again, at its old place in the lane, with its attempts forgotten. */
  revive(handler: string, seq: number, now: number): void {
    this.store.transaction(() => {
      const revived = this.store.sql('DELETE FROM dotdo_dead_letters WHERE seq = ? AND handler = ? RETURNING revived', seq, handler)[0]
        ?.revived
      this.store.sql(
        'INSERT INTO dotdo_deliveries (handler, seq, attempts, due_at, revived) VALUES (?, ?, 0, ?, ?)',
        handler,
        seq,
        now,
        Number(revived ?? 0) + 1,
      )
    })
  }

  /** Takes a dead letter away for good. */
  discard(handler: string, seq: number, now: number): void {
    this.store.transaction(() => {
      this.store.sql('DELETE FROM dotdo_dead_letters WHERE seq = ? AND handler = ?', seq, handler)
      this.#close(seq, now)
    })
  }

  /** One of an event's deliveries or dead letters is no more (T1). */
  #close(seq: number, now: number): void {
    this.store.sql('UPDATE dotdo_outbox SET open = open - 1, ended_at = CASE open WHEN 1 THEN ? END WHERE seq = ?', now, seq)
  }
}
