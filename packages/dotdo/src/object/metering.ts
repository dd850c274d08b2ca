/**
 * What the code of a run uses is counted where it uses it: statements of its SQLite, requests, operations on buckets, calls of others.
 *
 * The platform's own objects are given methods that count and then do what they did. CPU is not counted, because no code is told of it: the platform's
 * clock stands still while code runs.
 */
import type { Spent } from '../base/price.ts'
import { currentContext } from './context.ts'
import type { Writes } from './writes.ts'

/**
 * Tells the run whose code runs now, if any, that it uses something.
 * @throws `BUDGET_EXCEEDED` when that ends the run: what was to be done is then not done
 */
export function spendHere(spent: Spent): void {
  const over = currentContext()?.execution?.spend(spent)
  if (over) throw over
}

/** Counts the rows that statements of the app read and write in an object's SQLite, and notes that they write. Those of dotdo itself go another way. */
export function meterSql(sql: SqlStorage, writes: Writes): void {
  const exec = sql.exec.bind(sql)
  const metered = <Row extends Record<string, SqlStorageValue>>(statement: string, ...parameters: unknown[]): SqlStorageCursor<Row> => {
    const execution = currentContext()?.execution
    let cursor
    try {
      cursor = exec<Row>(statement, ...parameters)
    } catch (thrown) {
      writes.count++
      throw thrown
    }
    writes.ran(statement, cursor)
    if (!execution) return cursor
    const counted = { rowsRead: 0, rowsWritten: 0 }
    const count = (): Error | undefined => {
      const { rowsRead, rowsWritten } = cursor
      const spent = { rowsRead: rowsRead - counted.rowsRead, rowsWritten: rowsWritten - counted.rowsWritten }
      Object.assign(counted, { rowsRead, rowsWritten })
      return spent.rowsRead + spent.rowsWritten > 0 ? execution.spend(spent) : undefined
    }
    const over = count()
    if (over) throw over
    return countedCursor(cursor, count)
  }
  Object.defineProperty(sql, 'exec', { value: metered, configurable: true, writable: true })
}

/** Rows are read as they are asked for: a cursor is counted again whenever it has given some. */
function countedCursor<Cursor extends object>(cursor: Cursor, count: () => Error | undefined): Cursor {
  for (const name of ['next', 'toArray', 'one', 'raw'] as const) {
    const own = (cursor as Record<string, unknown>)[name] as (...args: unknown[]) => unknown
    const value = (...args: unknown[]): unknown => {
      const given = own.apply(cursor, args)
      const over = count()
      if (over) throw over
      return name === 'raw' ? countedCursor(given as object, count) : given
    }
    if (typeof own === 'function') Object.defineProperty(cursor, name, { value, configurable: true, writable: true })
  }
  const iterate = (cursor as unknown as Iterable<unknown>)[Symbol.iterator].bind(cursor)
  Object.defineProperty(cursor, Symbol.iterator, { value: () => countedRows(iterate(), count), configurable: true, writable: true })
  return cursor
}

/** Rows one by one are counted now and then, and at their end. */
function* countedRows(rows: Iterator<unknown>, count: () => Error | undefined): Generator<unknown, void, undefined> {
  const tell = (): void => {
    const over = count()
    if (over) throw over
  }
  for (let n = 1, row = rows.next(); !row.done; row = rows.next(), n++) {
    if (n % countEvery === 0) tell()
    yield row.value
  }
  tell()
}

const countEvery = 256

const bucketMethods = ['get', 'put', 'head', 'list', 'delete', 'createMultipartUpload', 'resumeMultipartUpload'] as const
const metered = new WeakSet<object>()

/** Counts operations on buckets, for all buckets of the isolate. What an upload in parts does further is not counted. */
export function meterBuckets(buckets: Iterable<R2Bucket>): void {
  for (const bucket of buckets) {
    const prototype = Object.getPrototypeOf(bucket) as Record<string, unknown>
    if (metered.has(prototype)) continue
    metered.add(prototype)
    for (const name of bucketMethods) {
      const own = prototype[name] as ((...args: unknown[]) => unknown) | undefined
      if (typeof own !== 'function') continue
      const value = function (this: unknown, ...args: unknown[]): unknown {
        spendHere({ r2: 1 })
        return own.apply(this, args)
      }
      Object.defineProperty(prototype, name, { value, configurable: true, writable: true })
    }
  }
}
