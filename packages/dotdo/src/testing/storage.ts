/** The storage of one object as its code sees it: SQL, keys and values, the alarm. */
import { deserialize, serialize } from 'node:v8'
import type { SqlValue } from '../base/ports.ts'
import type { SqlAnswer, SqliteStore } from './sqlite-store.ts'

/** What storage asks of the life it belongs to. */
export interface StoragePorts {
  /** Resolves when what was written is on disk. */
  flushed(): Promise<void>
  /** When the object is to be woken; part of what the turn writes. */
  alarm: number | null
}

/** From here on the platform takes no alarm. */
const alarmEndMs = Date.UTC(2190, 0, 1)

/** What `sql.exec` gives. All rows are there at once: a cursor that is read later sees what was there when it was opened. */
class Cursor implements Iterable<Record<string, SqlStorageValue>> {
  readonly rowsRead: number
  readonly rowsWritten: number
  readonly #columns: readonly string[]
  readonly #rows: SqlStorageValue[][]
  #next = 0

  constructor(columns: readonly string[], rows: SqlStorageValue[][], rowsWritten: number) {
    this.rowsWritten = rowsWritten
    this.#columns = columns
    this.#rows = rows
    this.rowsRead = rows.length
  }

  get columnNames(): string[] {
    return [...this.#columns]
  }

  next(): IteratorResult<Record<string, SqlStorageValue>> {
    const values = this.#rows[this.#next++]
    if (!values) return { done: true, value: undefined }
    const row: Record<string, SqlStorageValue> = {}
    for (let i = 0; i < values.length; i++) row[this.#columns[i]!] = values[i]!
    return { done: false, value: row }
  }

  [Symbol.iterator](): this {
    return this
  }

  toArray(): Record<string, SqlStorageValue>[] {
    return [...this]
  }

  one(): Record<string, SqlStorageValue> {
    const rows = this.toArray()
    if (rows.length !== 1)
      throw new Error(`Expected exactly one result from SQL query, but got ${rows.length === 0 ? 'no results' : 'multiple results'}.`)
    return rows[0]!
  }

  *raw(): Generator<SqlStorageValue[]> {
    for (; this.#next < this.#rows.length;) yield this.#rows[this.#next++]!
  }
}

function cursorOf({ columns, rows }: SqlAnswer, rowsWritten: number): Cursor {
  for (const row of rows)
    for (let i = 0; i < row.length; i++)
      if (typeof row[i] === 'object' && row[i] !== null) row[i] = ownBuffer(row[i] as unknown as Uint8Array) as never
  return new Cursor(columns, rows as unknown as SqlStorageValue[][], rowsWritten)
}

/** Makes `ctx.storage` over a store. What of the platform's storage is not here is not simulated, and fails as what it is: `undefined`. */
export function storageOver(store: SqliteStore, ports: StoragePorts): DurableObjectStorage {
  const kv = keyValues(store)
  const storage = {
    sql: {
      exec(statement: string, ...bindings: unknown[]): Cursor {
        const several = bindings.length === 0 ? statementsOf(statement) : undefined
        const before = store.changes
        if (!several) return cursorOf(store.run(statement, bindings.map(bound)), store.changes - before)
        let answer: SqlAnswer = { columns: [], rows: [] }
        for (const one of several) answer = store.run(one, [])
        return cursorOf(answer, store.changes - before)
      },
      get databaseSize(): number {
        return Number(store.sql('SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()')[0]!['bytes'])
      },
    },
    transactionSync: <T>(work: () => T): T => store.transaction(work),
    transaction: async <T>(work: (it: unknown) => Promise<T>): Promise<T> => work(storage),
    sync: () => ports.flushed(),
    getAlarm: async () => ports.alarm,
    setAlarm: (at: number | Date) => {
      // Thrown and not rejected, as by the platform.
      if (Number(at) >= alarmEndMs) throw new TypeError("This API doesn't support dates after 2189.")
      ports.alarm = Number(at)
      return Promise.resolve()
    },
    deleteAlarm: async () => void (ports.alarm = null),
    kv,
    get: async (key: string | string[]) =>
      Array.isArray(key) ? new Map(key.flatMap((it) => (kv.has(it) ? [[it, kv.get(it)]] : []))) : kv.get(key),
    put: async (key: string | Record<string, unknown>, value?: unknown) => {
      for (const [name, it] of typeof key === 'string' ? [[key, value] as const] : Object.entries(key)) kv.put(name, it)
    },
    delete: async (key: string | string[]) => (Array.isArray(key) ? key.filter((it) => kv.delete(it)).length : kv.delete(key)),
    list: async (options?: { prefix?: string }) => new Map(kv.list(options)),
  }
  return storage as unknown as DurableObjectStorage
}

/** Keys and values, in a table of their own as the platform has them. */
function keyValues(store: SqliteStore) {
  const table = () => {
    if (store.sql(`SELECT 1 FROM sqlite_master WHERE name = '_cf_KV'`).length > 0) return
    store.sql('CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID')
  }
  const rows = (key: string) => (table(), store.sql<{ value: Uint8Array }>('SELECT value FROM _cf_KV WHERE key = ?', key))
  return {
    has: (key: string): boolean => rows(key).length > 0,
    get(key: string): unknown {
      const [row] = rows(key)
      return row && deserialize(row.value)
    },
    put(key: string, value: unknown): void {
      table()
      store.sql('INSERT OR REPLACE INTO _cf_KV VALUES (?, ?)', key, new Uint8Array(serialize(value)))
    },
    delete(key: string): boolean {
      table()
      return store.sql('DELETE FROM _cf_KV WHERE key = ? RETURNING key', key).length > 0
    },
    list({ prefix = '' }: { prefix?: string } = {}): [string, unknown][] {
      table()
      return store
        .sql<{ key: string; value: Uint8Array }>('SELECT key, value FROM _cf_KV ORDER BY key')
        .flatMap(({ key, value }) => (key.startsWith(prefix) ? [[key, deserialize(value)] as [string, unknown]] : []))
    },
  }
}

function bound(value: unknown): SqlValue {
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  if (value === undefined) return null
  if (typeof value === 'boolean' || typeof value === 'bigint')
    throw new TypeError(`Durable Objects bind null, numbers, texts and bytes to SQL, not ${typeof value}`)
  return value as SqlValue
}

function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer
}

/** Statements that stand one after the other, where there are several. Those with a trigger's body, or a `;` in a text, are taken as one. */
function statementsOf(text: string): string[] | undefined {
  if (!text.includes(';') || /['"`]|\btrigger\b/i.test(text)) return undefined
  return text.split(';').filter((it) => it.trim() !== '')
}
