/**
 * Calls that the steps of other objects' runs make: each takes effect once, however often its step is attempted.
 *
 * Owns the tables `dotdo_step_calls` and `dotdo_step_calls_size`. Invariants:
 * 1. A method that returns no promise and its row are one transaction: both are there, or neither. One that throws has had no effect in this
 *    object's storage, and may be called again.
 * 2. A method that returns a promise becomes a run under the call's key, begun in one transaction with its row. What it does in steps of its
 *    own is done once; a repeat joins the run, takes its result, or goes on where it stopped.
 * 3. A call that has written nothing leaves no row: it may be made again, whatever it gives.
 * 4. A row is dropped only when its caller cannot ask for it any more: by the caller's own word, or after `keepMs`, from when on the call is
 *    refused.
 * 5. The stored count is never lower than there are rows: only where it says that there is no room are they counted.
 * 6. Nothing is held across an await: two objects may call each other in a circle.
 */
import { decodeValue, encodeValue } from '../base/codec.ts'
import { codeOf, DotdoError } from '../base/errors.ts'
import { fingerprint } from '../base/fingerprint.ts'
import { migrate, type Migrations } from '../base/migrations.ts'
import type { Clock, Store } from '../base/ports.ts'
import { isThenable } from '../base/thenable.ts'
import { LatestCalls } from './latest-calls.ts'
import { overLimit } from './limits.ts'
import { weigh } from './weight.ts'

/** A call of a step, as its caller names it: the same for every attempt of that step. */
export interface StepCall {
  /** Unique among the calls of the caller: run, step, what is called, and its number among such calls of the step. */
  key: string
  /** When the step was first begun, epoch milliseconds by the caller's clock. */
  since: number
  /** No call with an earlier `since` will be asked for again by this caller. */
  oldest: number
  /** The object that calls, as `Noun/name`. */
  caller: string
}

/** What calls of steps stand on. */
export interface StepCallPorts {
  store: Store
  clock: Clock
  /**
   * The outcome, now or later, of the run that a call with this key became. `undefined` when the call is to be made again, and then goes on
   * where the run stopped: it failed, was interrupted, or gave what could not be stored.
   */
  outcomeOf(key: string): Promise<unknown> | undefined
  /** How often the object's storage was written to: another number behind a call that does not wait than before it when the call has written. */
  written(): number
  /** What earlier releases told arguments apart by: two equal texts have it in common, and others have not. */
  digest(text: string): string
}

/** The bounds of what one object keeps of the calls of steps. */
export interface StepCallLimits {
  /** How long a call is remembered, counted from the first beginning of its step; refused after that. */
  keepMs: number
  /** Calls that are remembered. */
  calls: number
  /** Characters of one result of a method that has written and returns no promise. */
  resultChars: number
}

/** What holds where nothing else is said. */
export const defaultStepCallLimits: StepCallLimits = { keepMs: 7 * 86_400_000, calls: 1_000_000, resultChars: 1024 * 1024 }

/** The tables of calls of steps. Entries are never edited after a release, only added to; a test pins them. */
export const stepCallMigrations: Migrations = [
  [
    // The key's parts in an order in which what is over lies together.
    `CREATE TABLE dotdo_step_calls (
       since INTEGER, caller TEXT, key TEXT, print TEXT NOT NULL, result TEXT, PRIMARY KEY (since, caller, key)
     ) WITHOUT ROWID`,
  ],
  [
    // How many rows there are, at most, where there are any: counting them would read them all.
    'CREATE TABLE dotdo_step_calls_size (id INTEGER PRIMARY KEY CHECK (id = 1), rows INTEGER NOT NULL)',
    'INSERT INTO dotdo_step_calls_size (id, rows) SELECT 1, count(*) FROM dotdo_step_calls HAVING count(*) > 0',
  ],
]

/** A row. `result` is `null` for a call that became a run. */
type CallRow = { print: string; result: string | null }

/** Rows that one call drops at most, and after how many new rows it does. */
const pruneBite = 256

/** New rows that are counted before they are there. */
const rowsAhead = 128

/** The calls of steps that one object has taken; see the head of this file for what it owns. */
export class StepCalls {
  #ports: StepCallPorts
  #limits: StepCallLimits
  /** Rows, at most; exactly, once they had to be counted. */
  #rows: number
  #isCounted = false
  /** New rows that are part of the stored count already. */
  #ahead = 0
  #untilPrune = 0
  /** Which calls have no row for sure. */
  readonly #latest: LatestCalls

  /** Opens the table. @throws `STATE_TOO_NEW` */
  constructor(ports: StepCallPorts, limits: Partial<StepCallLimits> = {}) {
    this.#ports = ports
    this.#limits = { ...defaultStepCallLimits, ...limits }
    migrate(ports.store, 'step-calls', stepCallMigrations)
    const [found] = ports.store.sql<{ rows: number | null; latest: number | null }>(
      'SELECT (SELECT rows FROM dotdo_step_calls_size WHERE id = 1) AS rows, (SELECT max(since) FROM dotdo_step_calls) AS latest',
    )
    this.#rows = found?.rows ?? 0
    this.#latest = new LatestCalls(found?.latest ?? Number.NEGATIVE_INFINITY)
  }

  /**
   * Makes a call, or answers it with what it has given before.
   *
   * @param args what the call is made with: an attempt of the step that calls with others is refused
   * @param work makes the call; is called at most once, before this returns
   * @param begin makes the call that is under way a run, or goes on with the one that there is, and gives its outcome once that is stored
   * @throws what `work` throws, having undone its writes; `CALL_EXPIRED`, `CALL_CHANGED`, `RESULT_NOT_KEPT`, `LINK_LIMIT`
   */
  make(call: StepCall, args: readonly unknown[], work: () => unknown, begin: (outcome: PromiseLike<unknown>) => Promise<unknown>): unknown {
    const { store, clock } = this.#ports
    const text = textOfArgs(args)
    // A first attempt comes in the order in which steps begin: then it is known without a look that there is no row.
    const row = this.#latest.isNew(call) ? undefined : this.#find(call)
    if (row) {
      if (!this.#isSame(row.print, text)) throw callChanged(call)
      if (row.result !== null) return decodeValue(row.result)
      const outcome = this.#ports.outcomeOf(call.key)
      if (outcome) return outcome
      const given = work()
      return isThenable(given) ? this.#begin(call, given, begin) : given
    }
    if (call.since < clock.now() - this.#limits.keepMs) throw callExpired(call, this.#limits.keepMs)
    if (--this.#untilPrune < 0) this.#prune(call)
    // The commit point, for a method that returns no promise: its writes and its row, or neither.
    const { given, isKept } = store.transaction(() => {
      const before = this.#ports.written()
      const given = work()
      if (isThenable(given)) {
        this.#insert(call, printOf(text), null)
        return { given: this.#begin(call, given, begin), isKept: true }
      }
      const isKept = this.#ports.written() !== before
      if (isKept) this.#insert(call, printOf(text), this.#textOf(call, given))
      return { given, isKept }
    })
    if (isKept) this.#count()
    return given
  }

  /** Makes a run of a call that goes on. One of the same key that is there although no row tells of it has done what there is to do. */
  #begin({ key }: StepCall, given: PromiseLike<unknown>, begin: (outcome: PromiseLike<unknown>) => Promise<unknown>): Promise<unknown> {
    try {
      return begin(given)
    } catch (error) {
      // Nobody else hears of how it ends.
      given.then(undefined, () => undefined)
      const outcome = codeOf(error) === 'RUN_KEY_TAKEN' ? this.#ports.outcomeOf(key) : undefined
      if (!outcome) throw error
      return outcome
    }
  }

  #find({ since, caller, key }: StepCall): CallRow | undefined {
    const select = 'SELECT print, result FROM dotdo_step_calls WHERE since = ? AND caller = ? AND key = ?'
    return this.#ports.store.sql<CallRow>(select, since, caller, key)[0]
  }

  #insert({ since, caller, key }: StepCall, print: string, result: string | null): void {
    if (this.#rows >= this.#limits.calls) this.#requireRoom(caller)
    const insert = 'INSERT INTO dotdo_step_calls (since, caller, key, print, result) VALUES (?, ?, ?, ?, ?)'
    this.#ports.store.sql(insert, since, caller, key, print, result)
    this.#latest.add({ since, caller, key })
  }

  /** What is known is how many there are at most. Where that is too many, they are counted, once in an incarnation. */
  #requireRoom(caller: string): void {
    if (!this.#isCounted) this.#rows = Number(this.#ports.store.sql('SELECT count(*) AS n FROM dotdo_step_calls')[0]!['n'])
    this.#isCounted = true
    if (this.#rows >= this.#limits.calls) throw overLimit('stepCalls', this.#rows + 1, this.#limits.calls, caller)
  }

  /** Counts a row, and now and then the next ones on disk: an incarnation that ends leaves a count that is too high, and never one that is too low. */
  #count(): void {
    this.#rows++
    if (this.#ahead-- > 0) return
    this.#ahead = rowsAhead
    this.#ports.store.sql('INSERT OR REPLACE INTO dotdo_step_calls_size (id, rows) VALUES (1, ?)', this.#rows + rowsAhead)
  }

  #textOf(call: StepCall, given: unknown): string {
    const { resultChars } = this.#limits
    // Weighed first: what is far too large is not encoded for nothing.
    if (weigh(given, resultChars) > resultChars) throw resultNotKept(call, `is larger than ${resultChars} characters`)
    let text: string
    try {
      text = encodeValue(given, 'the result of a call')
    } catch (cause) {
      if (codeOf(cause) !== 'NOT_STORABLE') throw cause
      throw resultNotKept(call, 'holds capabilities, streams or what else cannot be stored')
    }
    if (text.length > resultChars) throw resultNotKept(call, `is larger than ${resultChars} characters`)
    return text
  }

  /** Forgets a slice of what is too old for anybody. Answers whether there may be more. */
  sweep(): boolean {
    return this.#drop('since < ?', this.#cutoff) === pruneBite
  }

  /** When {@link sweep} has something to forget, epoch milliseconds; null where nothing is kept. */
  nextSweepMs(): number | null {
    const since = this.#ports.store.sql('SELECT min(since) AS since FROM dotdo_step_calls')[0]!['since']
    return typeof since === 'number' ? since + 2 * this.#limits.keepMs : null
  }

  /** From when on steps are too old for anybody, whatever the clocks of callers say. */
  get #cutoff(): number {
    return this.#ports.clock.now() - 2 * this.#limits.keepMs
  }

  /** Drops what its caller will not ask for again, and what is too old for anybody; a bite of each. */
  #prune({ caller, oldest }: StepCall): void {
    this.#untilPrune = pruneBite / 2
    this.#drop('since < ?', this.#cutoff)
    this.#drop('since < ? AND caller = ?', oldest, caller)
  }

  #drop(condition: string, ...parameters: (string | number)[]): number {
    const which = `SELECT since, caller, key FROM dotdo_step_calls WHERE ${condition} ORDER BY since LIMIT ${pruneBite}`
    const gone = this.#ports.store.sql(
      `DELETE FROM dotdo_step_calls WHERE (since, caller, key) IN (${which}) RETURNING since`,
      ...parameters,
    )
    this.#rows -= gone.length
    return gone.length
  }

  /** Whether a row's print is that of these arguments. */
  #isSame(print: string, text: string): boolean {
    return print === printOf(text) || (/^[0-9a-f]{16}$/.test(print) && print === this.#ports.digest(text).slice(0, 16))
  }
}

/** Characters of arguments that are compared by what they say. */
const mostPrinted = 64 * 1024

/** Up to so many characters arguments stand in their row as they are. */
const wholeChars = 32

/** What tells the arguments of two attempts apart. Of those that are large or no data this is how many they are. */
function textOfArgs(args: readonly unknown[]): string {
  const weight = weigh(args, mostPrinted)
  if (weight > mostPrinted) return `${args.length}`
  try {
    return encodeValue(args, 'arguments')
  } catch (error) {
    if (codeOf(error) !== 'NOT_STORABLE') throw error
    return `${args.length}`
  }
}

/** The same as it is stored. How many they are stands as it is, and is no fingerprint. */
function printOf(text: string): string {
  return text[0] === 'j' || text[0] === 'd' ? fingerprint(text, wholeChars) : text
}

function callExpired({ key, since, caller }: StepCall, keepMs: number): DotdoError {
  return new DotdoError(
    'CALL_EXPIRED',
    `A step of ${caller} began ${new Date(since).toISOString()}, and whether its call has taken effect is remembered for ${keepMs / 86_400_000} days. The call was not made. Look at the state, and begin a new run.`,
    { data: { key, since, keepMs } },
  )
}

function callChanged({ key, caller }: StepCall): DotdoError {
  return new DotdoError(
    'CALL_CHANGED',
    `An attempt of a step of ${caller} made this call with other arguments than the one before, and the call has taken effect already. Give a call the same arguments at each attempt: take times and random values outside of the step, and give each item of a list a step of its own.`,
    { data: { key } },
  )
}

function resultNotKept({ key, caller }: StepCall, reason: string): DotdoError {
  return new DotdoError(
    'RESULT_NOT_KEPT',
    `A call of a step of ${caller} writes and gives a result which ${reason}, so another attempt of the step could not be answered. Its writes were undone. Return less, or make the method async: its result has no limit of size.`,
    { data: { key, reason } },
  )
}
