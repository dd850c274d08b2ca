import type { Store } from '../base/ports.ts'
import { printName } from './print.ts'
import type { Affinity, ColumnDescription, TableDescription } from './scanner.ts'

/** What the columns of a table or view are, as a query needs to know them; `undefined` for one that is not there. */
export function describeTable(store: Store, name: string): TableDescription | undefined {
  const listed = store.sql(`PRAGMA table_list(${printName(name)})`)
  // table_xinfo also tells of generated columns, which SELECT * returns; hidden 1 are those of virtual tables, which it does not.
  const found = store.sql(`PRAGMA table_xinfo(${printName(name)})`).filter(({ hidden }) => hidden !== 1)
  if (found.length === 0 || listed.length === 0) return undefined
  const strict = listed.some((it) => it.strict === 1)
  const ddl = store.sql('SELECT sql FROM sqlite_master WHERE name = ? COLLATE NOCASE', name)
  // Looking for the word first keeps the usual table at one query; a view can take collations from the tables below it.
  const collated = ddl.length === 0 || ddl.some((it) => typeof it.sql !== 'string' || /collate|^\s*create\s+view/i.test(it.sql))
  return {
    kind: listed.some((it) => it.type === 'table') ? 'table' : 'view',
    // The spelling of the request is kept: it is the one that was allowed.
    name,
    columns: found.map((column): ColumnDescription => {
      const declared = String(column.name)
      const type = String(column.type)
      return {
        name: declared,
        type,
        affinity: affinityOfType(type, strict),
        collation: collated ? collationOf(store, name, declared) : 'BINARY',
      }
    }),
  }
}

/** Source: https://sqlite.org/datatype3.html, section 3.1; in STRICT tables ANY keeps values as they are. */
export function affinityOfType(type: string, strict = false): Affinity {
  if (/int/i.test(type)) return 'INTEGER'
  if (/char|clob|text/i.test(type)) return 'TEXT'
  if (/blob/i.test(type) || type === '' || (strict && /^any$/i.test(type))) return 'BLOB'
  return /real|floa|doub/i.test(type) ? 'REAL' : 'NUMERIC'
}

/**
 * The collation that a column compares by. SQLite has no pragma that tells, so it is asked: a union takes the collation of its first SELECT, and the
 * one row of it shows by which of three comparisons it equals another text.
 */
function collationOf(store: Store, table: string, column: string): string {
  const name = printName(column)
  const [row] = store.sql(
    `SELECT ${name} = 'a' AS nocase, ${name} = 'A ' AS rtrim FROM (SELECT ${name} FROM ${printName(table)} WHERE 0 UNION ALL SELECT 'A')`,
  )
  return row?.nocase === 1 ? 'NOCASE' : row?.rtrim === 1 ? 'RTRIM' : 'BINARY'
}
