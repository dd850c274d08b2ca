/**
 * Calls that take effect once however often they are sent. A client whose connection broke sends each unanswered call again under the
 * key it had; the object answers from what it kept.
 *
 * Owns the tables `dotdo_calls` and `dotdo_calls_floor`. Invariants:
 * 1. The row of a call is written in the same turn as the first thing its work does, so both commit or neither.
 * 2. Work is begun at most once under one key, in all incarnations. What began and did not end before a restart is answered
 *    `CALL_INTERRUPTED`, for good.
 * 3. A key that is not here may be begun only when its row cannot have been dropped: its first sending is later than the end of every row that
 *    was. Whoever repeats a call says how long ago that was; what cannot be told is refused, not run.
 * 4. Rows, and the bytes of their results, are bounded. A row of a call that is under way is never dropped.
 */
import { decodeValue, encodeValue } from '../base/codec.ts'
import { DotdoError, fromErrorRecord, toErrorRecord, type ErrorRecord } from '../base/errors.ts'
import { migrate, type Migrations } from '../base/migrations.ts'
import type { Clock, SqlValue, Store } from '../base/ports.ts'
import { overLimit } from './limits.ts'
import { weigh } from './weight.ts'

/** The bounds of what one object keeps of its calls. */
export interface CallKeyLimits {
  /** Calls that are remembered, under way or ended. */
  keys: number
  /** How long an ended call is remembered. */
  keepMs: number
  /** Characters of one stored result; a larger one is not kept. */
  resultChars: number
  /** Characters of all stored results together; the oldest go first. */
  allResultChars: number
  /** What a repeat may have been on its way, over the age that it tells of itself. */
  transitMs: number
}

/** What holds where nothing else is said. */
export const defaultCallKeyLimits: CallKeyLimits = {
  keys: 10_000,
  keepMs: 10 * 60_000,
  resultChars: 256 * 1024,
  allResultChars: 16 * 1024 * 1024,
  transitMs: 6 * 60_000,
}

/** Why a result was not kept. */
type Unkept = 'size' | 'form' | 'space'

/** A row: what became of the call with this key. */
type CallRow = { status: 'started' | 'done' | 'failed' | 'unkept' | 'interrupted'; result: string | null }

/** The tables of calls by key. Entries are never edited after a release, only added to; a test pins them. */
export const callMigrations: Migrations = [
  [
    `CREATE TABLE dotdo_calls (
       key TEXT PRIMARY KEY, status TEXT NOT NULL, result TEXT, chars INTEGER NOT NULL DEFAULT 0, ended INTEGER
     ) WITHOUT ROWID`,
    'CREATE INDEX dotdo_calls_ended ON dotdo_calls (ended)',
    'CREATE TABLE dotdo_calls_floor (id INTEGER PRIMARY KEY CHECK (id = 1), forgotten_until INTEGER NOT NULL)',
    'INSERT INTO dotdo_calls_floor (id, forgotten_until) VALUES (1, 0)',
  ],
]

/** Rows that one call drops at most: pruning goes on with the next ones. */
const pruneBite = 64
/** How often calls look whether something is to be dropped, in one time of `keepMs`, where little is. */
const looksPerKeep = 10

/** The calls of one object, by key; see the head of this file for what it owns. */
export class CallKeys {
  #store: Store
  #clock: Clock
  #limits: CallKeyLimits
  #underWay = new Map<string, Promise<void>>()
  #rows = 0
  #chars = 0
  #forgottenUntil = 0
  /** When a call is to look for what ended long ago, epoch milliseconds. */
  #pruneAtMs = 0

  /** Opens the tables. What an earlier incarnation had begun and not ended is interrupted from now on. */
  constructor(store: Store, clock: Clock, limits: Partial<CallKeyLimits> = {}) {
    this.#store = store
    this.#clock = clock
    this.#limits = { ...defaultCallKeyLimits, ...limits }
    migrate(store, 'calls', callMigrations)
    // Counted from its discovery: a client that was cut off for long learns of it all the same.
    store.sql(`UPDATE dotdo_calls SET status = 'interrupted', ended = ? WHERE status = 'started'`, clock.now())
    const [sums] = store.sql('SELECT count(*) AS rows, coalesce(sum(chars), 0) AS chars FROM dotdo_calls')
    this.#rows = Number(sums!['rows'])
    this.#chars = Number(sums!['chars'])
    this.#forgottenUntil = Number(store.sql('SELECT forgotten_until FROM dotdo_calls_floor WHERE id = 1')[0]!['forgotten_until'])
  }

  /**
   * Runs `work` unless a call with this key has begun, and answers with its outcome, or with that of the call that had the key.
   *
   * `work` is begun before this returns, so calls take effect in the order of `run`. A value that holds capabilities is handed to the
   * first caller as it is.
   *
   * @param ageMs of a repeat: how long ago the call was sent for the first time. Absent for the first sending.
   * @throws what `work` throws; `CALL_INTERRUPTED`, `RESULT_NOT_KEPT`, `LINK_LIMIT`
   */
  run(key: string, ageMs: number | undefined, work: () => PromiseLike<unknown>): Promise<unknown> {
    const running = this.#underWay.get(key)
    if (running) return running.then(() => this.#answer(this.#row(key), key))
    // Most calls come once, so that there is no such row is told by the one that is written.
    const mayBeHere = ageMs !== undefined || this.#rows >= this.#limits.keys
    const row = mayBeHere ? this.#row(key) : undefined
    if (row) return this.#answer(row, key)
    // Invariant 3.
    if (ageMs !== undefined && this.#clock.now() - ageMs - this.#limits.transitMs <= this.#forgottenUntil)
      return Promise.reject(interrupted(key))
    return this.#begin(key, work)
  }

  #begin(key: string, work: () => PromiseLike<unknown>): Promise<unknown> {
    if (this.#rows >= this.#limits.keys) this.#prune()
    if (this.#rows >= this.#limits.keys) return Promise.reject(overLimit('keyedCalls', this.#rows + 1, this.#limits.keys))
    const [begun] = this.#store.sql(
      `INSERT INTO dotdo_calls (key, status) VALUES (?, 'started') ON CONFLICT (key) DO NOTHING RETURNING 1 AS begun`,
      key,
    )
    if (!begun) return this.#answer(this.#row(key), key)
    this.#rows++
    if (this.#clock.now() >= this.#pruneAtMs) this.#prune()
    let outcome: Promise<unknown>
    try {
      outcome = Promise.resolve(work())
    } catch (thrown) {
      outcome = Promise.reject(thrown)
    }
    const ended = outcome.then(
      (value) => this.#keep(key, value),
      (thrown: unknown) => this.#end(key, 'failed', failureText(thrown, this.#limits.resultChars)),
    )
    this.#underWay.set(key, ended)
    return ended.then(() => outcome)
  }

  #keep(key: string, value: unknown): void {
    const { resultChars } = this.#limits
    // Weighed first: what is far too large is not encoded for nothing.
    if (weigh(value, resultChars) > resultChars) return this.#end(key, 'unkept', 'size' satisfies Unkept)
    let text: string
    try {
      text = encodeValue(value, 'the result of a call')
    } catch {
      // The caller has its value; whoever asks again is told that it was not kept.
      return this.#end(key, 'unkept', 'form' satisfies Unkept)
    }
    if (text.length > resultChars) this.#end(key, 'unkept', 'size' satisfies Unkept)
    else this.#end(key, 'done', text)
  }

  #end(key: string, status: CallRow['status'], result: string): void {
    this.#underWay.delete(key)
    const chars = status === 'unkept' ? 0 : result.length
    const set = 'UPDATE dotdo_calls SET status = ?, result = ?, chars = ?, ended = ? WHERE key = ?'
    this.#store.sql(set, status, result, chars, this.#clock.now(), key)
    this.#chars += chars
    while (this.#chars > this.#limits.allResultChars) if (!this.#emptyOldest()) break
  }

  /** Lets go of the results that were stored first; that their calls took effect stays known. */
  #emptyOldest(): boolean {
    const rows = this.#store.sql(`SELECT key, chars FROM dotdo_calls WHERE status = 'done' ORDER BY ended LIMIT ${pruneBite}`)
    for (const { key, chars } of rows) {
      this.#store.sql(`UPDATE dotdo_calls SET status = 'unkept', result = ?, chars = 0 WHERE key = ?`, 'space' satisfies Unkept, key!)
      this.#chars -= Number(chars)
      if (this.#chars <= this.#limits.allResultChars) break
    }
    return rows.length > 0
  }

  /** Forgets a slice of what ended long ago. Answers whether there may be more. */
  sweep(): boolean {
    return this.#prune() === pruneBite
  }

  /** When {@link sweep} has something to forget, epoch milliseconds; null where nothing is kept. */
  nextSweepMs(): number | null {
    const ended = this.#oldest('ended IS NOT NULL')[0]?.['ended']
    return typeof ended === 'number' ? ended + this.#limits.keepMs : null
  }

  /** Drops what ended long ago and, where there is no room, what ended first. Gives how many. */
  #prune(): number {
    const now = this.#clock.now()
    const isFull = this.#rows >= this.#limits.keys
    const rows = isFull ? this.#oldest('ended IS NOT NULL') : this.#oldest('ended < ?', now - this.#limits.keepMs)
    // Whoever finds a slice has the next call look again; to look costs as much as to write.
    this.#pruneAtMs = rows.length === pruneBite ? now : now + this.#limits.keepMs / looksPerKeep
    if (rows.length === 0) return 0
    for (const { key, chars, ended } of rows) {
      this.#store.sql('DELETE FROM dotdo_calls WHERE key = ?', key!)
      this.#rows--
      this.#chars -= Number(chars)
      this.#forgottenUntil = Math.max(this.#forgottenUntil, Number(ended))
    }
    this.#store.sql('UPDATE dotdo_calls_floor SET forgotten_until = ? WHERE id = 1', this.#forgottenUntil)
    return rows.length
  }

  #oldest(condition: string, ...parameters: SqlValue[]) {
    return this.#store.sql(`SELECT key, chars, ended FROM dotdo_calls WHERE ${condition} ORDER BY ended LIMIT ${pruneBite}`, ...parameters)
  }

  #row(key: string): CallRow | undefined {
    return this.#store.sql<CallRow>('SELECT status, result FROM dotdo_calls WHERE key = ?', key)[0]
  }

  /** The answer to a repeat. */
  async #answer(row: CallRow | undefined, key: string): Promise<unknown> {
    if (row?.status === 'done') return decodeValue(row.result!)
    if (row?.status === 'failed') throw fromErrorRecord(decodeValue(row.result!) as ErrorRecord)
    if (row?.status === 'unkept') throw resultNotKept(row.result as Unkept)
    throw interrupted(key)
  }
}

/** An error as it is stored. Where its data is too large, or holds what cannot be stored, it goes without, and its message is cut. */
function failureText(thrown: unknown, mostChars: number): string {
  const { data, ...record } = toErrorRecord(thrown)
  const bare = encodeValue({ ...record, message: record.message.slice(0, 4000) })
  if (weigh({ record, data }, mostChars) > mostChars) return bare
  try {
    const text = encodeValue(data === undefined ? record : { ...record, data })
    return text.length > mostChars ? bare : text
  } catch {
    // Recording a failure must not fail; name, message and code are text.
    return bare
  }
}

function interrupted(key: string): DotdoError {
  return new DotdoError(
    'CALL_INTERRUPTED',
    'The connection broke while this call was under way, and the object cannot tell any more how it ended: it was restarted, or too long has passed. The call may have taken effect and was not run again. Look at the state before you repeat it.',
    { data: { key } },
  )
}

const reasons: Record<Unkept, string> = {
  size: 'it is too large',
  form: 'it holds capabilities, streams or what else cannot be stored',
  space: 'newer results took its place',
}

function resultNotKept(reason: Unkept): DotdoError {
  return new DotdoError(
    'RESULT_NOT_KEPT',
    `The call has taken effect, but the connection broke before its result arrived, and the result was not kept because ${reasons[reason]}. Read the state with a call of its own.`,
    { data: { reason } },
  )
}
