/**
 * What code in a dry run gets in the place of its object's storage and bindings: whatever it writes there is written down, and nothing of it stays.
 *
 * Invariants: 1. What code does before it first waits is one transaction, which is undone: it reads what it has written. 2. After that each write is a transaction of
 * its own that is undone, so a later read does not see it. 3. Another object, another context and the framework itself write as always.
 */
import { DotdoError } from '../base/errors.ts'
import type { Store } from '../base/ports.ts'
import type { IntendedWrite } from '../rpc/graph.ts'

/** Takes what would have been written. */
export type Recorder = (write: Omit<IntendedWrite, 'object'>) => void

/** The store whose transaction is open and will be undone. Code in it runs to its end without a pause, so there is one at a time. */
let open: Store | undefined

/**
 * Runs `work` in a transaction that is undone when it returns, a promise or not, and tells how many rows it would have changed.
 * @throws what `work` throws
 */
export function heldBack<T>(store: Store, target: string, record: Recorder, work: () => T): T {
  if (open === store) return work()
  const undo = new Error('undone')
  const changes = (): number => Number(store.sql('SELECT total_changes() AS n')[0]!['n'])
  let outcome: { given: T } | { thrown: unknown } | undefined
  let rows = 0
  const before = open
  try {
    store.transaction(() => {
      open = store
      const from = changes()
      try {
        outcome = { given: work() }
      } catch (thrown) {
        outcome = { thrown }
      }
      rows = changes() - from
      throw undo
    })
  } catch (thrown) {
    if (thrown !== undo) throw thrown
  } finally {
    open = before
  }
  if (rows > 0) record({ writer: 'storage', target, rows, sample: [] })
  if (outcome && 'given' in outcome) return outcome.given
  throw outcome?.thrown
}

/** The object's `ctx` for code in a dry run. */
export function guardedCtx(ctx: DurableObjectState, store: Store, record: Recorder): DurableObjectState {
  const { storage } = ctx
  const undone = (target: string) => (work: () => unknown) => heldBack(store, target, record, work)
  const sql = guarded(storage.sql, {
    exec: (statement: string, ...values: unknown[]) => {
      const read = () => storage.sql.exec(statement, ...values)
      if (open === store || !writes(statement)) return read()
      return undone(`sql ${statement.trim().slice(0, 80)}`)(() => listed(read()))
    },
  })
  const kv = guarded(storage.kv, {
    put: (key: string, value: unknown) => undone(`kv ${key}`)(() => storage.kv.put(key, value)),
    delete: (key: string) => undone(`kv ${key}`)(() => storage.kv.delete(key)),
  })
  const noted = (name: string) => (first?: unknown) => {
    const target = typeof first === 'string' ? `${name} ${first}` : name
    record({ writer: 'storage', target, rows: 1, sample: [] })
    return Promise.resolve(name === 'delete' ? false : undefined)
  }
  const names = ['put', 'delete', 'deleteAll', 'setAlarm', 'deleteAlarm']
  const guardedStorage = guarded(storage, {
    ...Object.fromEntries(names.map((name) => [name, noted(name)])),
    transactionSync: undone('a transaction'),
    transaction: () => refused('ctx.storage.transaction'),
    sql,
    kv,
  })
  return guarded(ctx, { storage: guardedStorage, abort: () => refused('ctx.abort') })
}

/** The object's `env` for code in a dry run: what is called of a binding is made, and written down by name. */
export function guardedEnv(env: object, record: Recorder): object {
  return new Proxy(env, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof name !== 'string' || typeof value !== 'object' || value === null) return value
      return bindingOf.get(value)?.get(record) ?? guardBinding(value, name, record)
    },
  })
}

/** By binding and dry run, so that one is equal to itself. */
const bindingOf = new WeakMap<object, WeakMap<Recorder, object>>()
const bindings = new WeakMap<object, object>()

/** The binding itself, of one that was given to code in a dry run. */
export function unguarded<T>(binding: T): T {
  return typeof binding === 'object' && binding !== null ? ((bindings.get(binding) as T | undefined) ?? binding) : binding
}

function guardBinding(binding: object, name: string, record: Recorder): object {
  const proxy = new Proxy(binding, {
    get(target, member) {
      const value: unknown = Reflect.get(target, member)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => {
        if (typeof member === 'string') record({ writer: 'binding', target: `env.${name}.${member}`, rows: 1, sample: [], made: true })
        return Reflect.apply(value, target, args)
      }
    },
  })
  const known = bindingOf.get(binding) ?? new WeakMap<Recorder, object>()
  bindingOf.set(binding, known.set(record, proxy))
  bindings.set(proxy, binding)
  return proxy
}

/** A thing of the platform with some members in the place of its own. Its own are called on itself: the platform knows no proxies. */
function guarded<T extends object>(thing: T, members: Record<string, unknown>): T {
  return new Proxy(thing, {
    get(target, name) {
      if (typeof name === 'string' && Object.hasOwn(members, name)) return members[name]
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** Whether a statement may write. What only reads is left to the platform's own cursor, whatever its size. */
function writes(statement: string): boolean {
  return (
    !/^\s*(?:select|explain|values)\b/i.test(statement) &&
    !(/^\s*with\b/i.test(statement) && !/\b(?:insert|update|delete|replace)\b/i.test(statement))
  )
}

/** What a cursor gives, read to its end: its statement is about to be undone. */
function listed(cursor: SqlStorageCursor<Record<string, SqlStorageValue>>): object {
  const { columnNames } = cursor
  const rows = cursor.toArray()
  const { rowsRead, rowsWritten } = cursor
  const values = rows[Symbol.iterator]()
  return Object.assign(values, {
    columnNames,
    rowsRead,
    rowsWritten,
    toArray: () => [...values],
    raw: () => rows.map((row) => Object.values(row))[Symbol.iterator](),
    one: () => {
      if (rows.length !== 1) throw new Error(`Expected exactly one result from SQL query, but got ${rows.length}`)
      return rows[0]
    },
  })
}

/** `DRY_RUN_REFUSED`: what can be neither done nor written down. */
export function refused(what: string): never {
  throw new DotdoError(
    'DRY_RUN_REFUSED',
    `${what} was called in a dry run, where it can neither be done nor be written down. Leave it out of what is rehearsed, or run it in earnest.`,
    {
      data: { what },
    },
  )
}
