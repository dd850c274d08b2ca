import { codeOf, DotdoError, isRetryable, toErrorRecord, type ErrorRecord } from '../base/errors.ts'
import type { Cancellation } from './cancellation.ts'
import type { Plan } from './plan.ts'
import {
  MAX_BATCH_BYTES,
  MAX_BATCH_ROWS,
  type ColumnDescription,
  type ScanCursor,
  type Scanner,
  type ScanReply,
  type ScanRequest,
} from './scanner.ts'

/** Shards of one query, at most: each holds a batch in memory while the answer is merged. */
export const MAX_SHARDS = 512

/** Bytes of all batches under way together, at most. */
const MAX_BYTES_UNDER_WAY = 48 * 1024 * 1024

/** A shard that did not answer. */
export interface MissingShard {
  /** Its place among the scanners of the coordinator, from 0. */
  shard: number
  error: ErrorRecord
}

/**
 * One shard's part in a query: its batches one after another, and their end.
 *
 * Owns the reply and its cursor. Invariants:
 * 1. `scan` is called once, `next` never while another call is under way.
 * 2. Every reply and cursor that arrives is disposed, also one that arrives after the end.
 * 3. A batch is handed out only when it is whole, in sequence, and of the table that the plan was made for.
 */
export class ShardScan {
  readonly shard: number
  #plan: Plan
  #cancellation: Cancellation
  #reply: Promise<ScanReply>
  #cursor: ScanCursor | undefined
  /** The first reply, which owns the cursor, and the newest one after it. */
  #first: ScanReply | undefined
  #newest: ScanReply | undefined
  #expected = 0
  #closed = false

  constructor(shard: number, scanner: Scanner | Promise<Scanner>, request: ScanRequest, plan: Plan, cancellation: Cancellation) {
    this.shard = shard
    this.#plan = plan
    this.#cancellation = cancellation
    this.#reply = callScan(scanner, request)
    // A query that ends before it looks at this shard leaves no unhandled rejection.
    this.#reply.catch(() => undefined)
  }

  /**
   * The next batch, or `null` after the last. The batch before it is no longer the caller's: its memory is given back.
   * @throws `SHARD_FAILED`, `SCHEMA_MISMATCH`, `QUERY_CANCELLED`
   */
  async next(): Promise<ScanReply | null> {
    // A first reply without a cursor was all there is.
    if (this.#expected > 0 && !this.#cursor) return null
    const call = this.#expected === 0 ? this.#reply : this.#advance()
    let reply: ScanReply | null
    try {
      reply = await this.#cancellation.wait(call)
    } catch (thrown) {
      if (codeOf(thrown) === 'QUERY_CANCELLED') {
        call.then(disposeReply, () => undefined)
        throw thrown
      }
      // Whatever a shard throws is its failure; the query decides what that means.
      throw shardFailed(this.shard, thrown)
    }
    if (reply === null || this.#closed) {
      // The query ended between the arrival of the batch and this line.
      disposeReply(reply)
      this.#cursor = undefined
      return null
    }
    if (this.#expected === 0) this.#first = reply
    else this.#newest = reply
    this.#check(reply)
    if (this.#expected === 0) this.#cursor = reply.cursor
    this.#expected++
    return reply
  }

  /** Ends this shard's part, wherever it stands. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    disposeReply(this.#newest)
    // Also one that has not arrived, or that nobody looked at.
    this.#reply.then(disposeReply, () => undefined)
  }

  /** Asks the cursor, after letting go of what was read. Disposing the first reply would take the cursor with it, so it is emptied. */
  #advance(): Promise<ScanReply | null> {
    disposeReply(this.#newest)
    this.#newest = undefined
    this.#first!.values = []
    delete this.#first!.types
    return Promise.resolve(this.#cursor!.next())
  }

  /** Whether a batch keeps the contract of `scanner.ts`. What does not could make a wrong answer, so it fails the query. */
  #check(reply: ScanReply): void {
    const { columns, typed } = this.#plan.scan
    const malformed = (what: string) =>
      shardFailed(this.shard, new DotdoError('SCAN_MALFORMED', `The batch ${what}. The scanner does not keep the contract of scanner.ts.`))
    if (reply.batch !== this.#expected) throw malformed(`has number ${reply.batch} where ${this.#expected} was expected`)
    if (this.#expected === 0) checkTable(this.shard, this.#plan, reply)
    if (!Array.isArray(reply.columns) || reply.columns.join() !== columns.join()) {
      throw new DotdoError(
        'SCHEMA_MISMATCH',
        `Shard ${this.shard} answered the columns ${String(reply.columns)} where ${columns.join()} were asked for. Bring its scanner to the same version as the others.`,
        { data: { shard: this.shard } },
      )
    }
    if (reply.values.length !== columns.length || reply.values.some((column) => column.length !== reply.rows))
      throw malformed(`states ${reply.rows} rows of ${columns.length} columns and holds others`)
    const { types } = reply
    if (
      typed &&
      reply.rows > 0 &&
      !(typeof types === 'string'
        ? types.length === columns.length
        : types?.length === reply.rows && types.every((letters) => letters.length === columns.length))
    ) {
      throw malformed('does not tell the types of its values')
    }
  }
}

/** Asks all shards at once: one call each, in this turn. */
export function openShards(scanners: readonly (Scanner | Promise<Scanner>)[], plan: Plan, cancellation: Cancellation): ShardScan[] {
  const request: ScanRequest = {
    version: 1,
    ...plan.scan,
    batchRows: MAX_BATCH_ROWS,
    batchBytes: Math.min(MAX_BATCH_BYTES, Math.floor(MAX_BYTES_UNDER_WAY / Math.max(1, scanners.length))),
  }
  return scanners.map((scanner, shard) => new ShardScan(shard, scanner, request, plan, cancellation))
}

/** A shard that did not answer: `SHARD_FAILED`, with its number and its error; retryable as that is. */
export function shardFailed(shard: number, thrown: unknown): DotdoError {
  const error = toErrorRecord(thrown)
  // An overflow is a fact about the data, not a failure of the shard that met it.
  if (error.code === 'SQL_OVERFLOW') return new DotdoError('SQL_OVERFLOW', error.message, { data: { ...error.data, shard }, cause: thrown })
  const retryable = isRetryable(thrown)
  return new DotdoError(
    'SHARD_FAILED',
    `Shard ${shard} did not answer: ${withStop(error.message)} No answer is given without it. ${retryable ? 'Try again' : 'Mend it first'}, or set onShardError: 'partial' and use queryResult.`,
    {
      data: { shard, error },
      retryable,
      cause: thrown,
    },
  )
}

/** A promise is waited for; a stub, also a pipelined one, is called as it is, and no other property of it is touched. */
function callScan(scanner: Scanner | Promise<Scanner>, request: ScanRequest): Promise<ScanReply> {
  if (scanner instanceof Promise) return scanner.then((it) => it.scan(request))
  try {
    return Promise.resolve(scanner.scan(request))
  } catch (thrown) {
    return Promise.reject(thrown)
  }
}

function withStop(message: string): string {
  return /[.!?]$/.test(message) ? message : `${message}.`
}

/** Compares the columns that the query reads with those that the plan was made for: by name, affinity and collation. */
function checkTable(shard: number, plan: Plan, reply: ScanReply): void {
  for (const needed of plan.needs.columns) {
    const found = reply.table?.columns.find(({ name }) => name === needed.name)
    if (found && found.affinity === needed.affinity && found.collation === needed.collation) continue
    const has = found ? describe(found) : reply.table ? 'no such column' : 'no description of its table'
    throw new DotdoError(
      'SCHEMA_MISMATCH',
      `Shard ${shard} has ${has} where the query reads ${describe(needed)} of ${plan.needs.table}. Bring all shards to the same columns.`,
      {
        data: { shard, table: plan.needs.table, column: needed.name },
      },
    )
  }
}

/** A column in words. */
function describe({ name, affinity, collation }: ColumnDescription): string {
  return `${name} (${affinity}, ${collation})`
}

/** A reply and the cursor it brought. Disposing twice does nothing. */
function disposeReply(reply: ScanReply | null | undefined): void {
  dispose(reply?.cursor)
  dispose(reply)
}

/** Replies and cursors that came over RPC hold resources of the other side; local ones need not have a disposer. */
function dispose(resource: unknown): void {
  if (typeof resource !== 'object' && typeof resource !== 'function') return
  ;(resource as Partial<Disposable> | null)?.[Symbol.dispose]?.()
}
