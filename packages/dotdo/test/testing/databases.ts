/** Databases of objects that have lived before: with their tables, and nothing in them. */
import { DatabaseSync } from 'node:sqlite'

interface Pooled {
  database: DatabaseSync
  tables: readonly string[]
}

/**
 * A pool of databases by noun. Making the tables of an object takes longer than most lives of the simulation, so the lives of one seed begin with those of
 * another. Every database that it gives is the same as any other of its noun: with the tables that the model had, and no row but the versions of tables.
 */
export class Databases {
  readonly #models = new Map<string, { schema: string[]; versions: unknown[][] }>()
  readonly #free = new Map<string, Pooled[]>()
  readonly #taken: { noun: string; pooled: Pooled }[] = []

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

  /** A database for a new object. */
  take(noun: string): DatabaseSync {
    const pooled = this.#free.get(noun)?.pop() ?? this.#make(noun)
    this.#taken.push({ noun, pooled })
    return pooled.database
  }

  /** The world in which they were taken is over: they are emptied, and free for the next. */
  giveBack(): void {
    for (const { noun, pooled } of this.#taken.splice(0)) {
      const { database, tables } = pooled
      database.exec('BEGIN')
      const kept = new Set(tables)
      for (const { name } of database.prepare(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`).all())
        if (!kept.has(name as string)) database.exec(`DROP TABLE ${String(name)}`)
      for (const table of tables) if (table !== 'dotdo_versions') database.exec(`DELETE FROM ${table}`)
      database.exec('DELETE FROM sqlite_sequence; DELETE FROM dotdo_versions')
      this.#stamp(database, noun)
      database.exec('COMMIT')
      const free = this.#free.get(noun) ?? []
      this.#free.set(noun, free)
      free.push(pooled)
    }
  }

  #make(noun: string): Pooled {
    const database = new DatabaseSync(':memory:')
    for (const sql of this.#models.get(noun)?.schema ?? []) database.exec(sql)
    this.#stamp(database, noun)
    const tables = database
      .prepare(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
      .all()
      .map(({ name }) => name as string)
    return { database, tables }
  }

  #stamp(database: DatabaseSync, noun: string): void {
    for (const row of this.#models.get(noun)?.versions ?? [])
      database.prepare(`INSERT INTO dotdo_versions VALUES (${row.map(() => '?').join()})`).all(...row)
  }
}
