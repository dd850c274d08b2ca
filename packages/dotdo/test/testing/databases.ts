/** Databases of objects that have lived before, so that a simulation need not live through the same beginning for each of its seeds. */
import { DatabaseSync, type StatementSync } from 'node:sqlite'

/** What the world of a beginning has left: its objects, by noun and name, and when each is woken next. */
export type Beginning = ReadonlyMap<string, { noun: string; name: string; alarm: number | null }>

interface Pooled {
  readonly key: string
  readonly database: DatabaseSync
  readonly tables: readonly string[]
  /** Tells which of the tables are not empty. */
  readonly used: StatementSync
  /** Empties a table. */
  readonly empty: ReadonlyMap<string, StatementSync>
  /** Puts back what stood in it at the beginning. */
  restore: readonly StatementSync[]
}

/**
 * A pool of databases. Making the tables of an object takes longer than most lives of the simulation, so the lives of one seed begin with those of another.
 *
 * Owns the databases. Invariant: each that it gives is the same as any other of its noun, or of its object where a beginning has been remembered: with all
 * tables that the noun ever makes, and with no row but those of the beginning. What a life sees does not depend on those before.
 */
export class Databases {
  readonly #models = new Map<string, { schema: string[]; versions: unknown[][] }>()
  readonly #pool = new Map<string, Pooled[]>()
  readonly #taken: Pooled[] = []
  readonly #beginnings = new Map<string, Beginning>()

  /** @param models databases that objects have left, by noun */
  constructor(models: Iterable<readonly [noun: string, DatabaseSync]>) {
    for (const [noun, model] of models) {
      const all = (sql: string) => model.prepare(sql).all() as Record<string, string>[]
      const schema = all(`SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'`).map(({ sql }) => sql!)
      const versions = all('SELECT * FROM dotdo_versions').map((row) => Object.values(row))
      // Tables are made when they are needed: the object that has seen the most is the model.
      if (schema.length > (this.#models.get(noun)?.schema.length ?? 0)) this.#models.set(noun, { schema, versions })
    }
  }

  /** The beginning of a kind, if one has been remembered. */
  beginning(kind: string): Beginning | undefined {
    return this.#beginnings.get(kind)
  }

  /** The world in which they were taken has lived through a beginning: worlds of this kind begin with what stands in them now. */
  remember(kind: string, beginning: Beginning): void {
    this.#beginnings.set(kind, beginning)
    for (const pooled of this.#taken.splice(0)) {
      this.#keep(pooled)
      this.#free(pooled)
    }
  }

  /** A database for an object of a world of this kind. */
  take(kind: string, { noun, name }: { noun: string; name: string }): DatabaseSync {
    const key = `${kind} ${noun}/${name}`
    const pooled = this.#pool.get(key)?.pop() ?? this.#make(key, noun)
    this.#taken.push(pooled)
    return pooled.database
  }

  /** The world in which they were taken is over: they are as they were at its beginning, and free for the next. */
  giveBack(): void {
    for (const pooled of this.#taken.splice(0)) {
      const { database, tables, used, empty, restore } = pooled
      database.exec('BEGIN')
      const kept = new Set(tables)
      for (const { name } of database.prepare(tablesOf).all()) if (!kept.has(name as string)) database.exec(`DROP TABLE ${String(name)}`)
      for (const [table, isUsed] of Object.entries(used.get() ?? {})) if (isUsed === 1) empty.get(table)!.run()
      for (const statement of restore) statement.run()
      database.exec('COMMIT')
      this.#free(pooled)
    }
  }

  #free(pooled: Pooled): void {
    const free = this.#pool.get(pooled.key) ?? []
    this.#pool.set(pooled.key, free)
    free.push(pooled)
  }

  #make(key: string, noun: string): Pooled {
    const database = new DatabaseSync(':memory:')
    const { schema, versions } = this.#models.get(noun) ?? { schema: [], versions: [] }
    for (const sql of schema) database.exec(sql)
    for (const row of versions)
      database.prepare(`INSERT INTO dotdo_versions VALUES (${row.map(() => '?').join()})`).run(...(row as string[]))
    const tables = database
      .prepare(tablesOf)
      .all()
      .map(({ name }) => name as string)
    const pooled: Pooled = {
      key,
      database,
      tables,
      used: database.prepare(`SELECT ${tables.map((it) => `EXISTS (SELECT 1 FROM ${it}) AS ${it}`).join() || 1}`),
      empty: new Map(tables.map((it) => [it, database.prepare(`DELETE FROM ${it}`)])),
      restore: [],
    }
    this.#keep(pooled)
    return pooled
  }

  /** From now on, this is what is in it whenever it is taken. */
  #keep(pooled: Pooled): void {
    const { database, used } = pooled
    if (pooled.restore.length > 0) database.exec('DETACH begun')
    database.exec(`ATTACH ':memory:' AS begun`)
    const filled = Object.entries(used.get() ?? {}).flatMap(([table, isUsed]) => (isUsed === 1 ? [table] : []))
    for (const table of filled) database.exec(`CREATE TABLE begun.kept_${table} AS SELECT * FROM main.${table}`)
    pooled.restore = filled.map((table) => database.prepare(`INSERT INTO main.${table} SELECT * FROM begun.kept_${table}`))
  }
}

/** All of them, and the numbers that SQLite has given. */
const tablesOf = `SELECT name FROM sqlite_master WHERE type = 'table' AND (name NOT LIKE 'sqlite_%' OR name = 'sqlite_sequence')`
