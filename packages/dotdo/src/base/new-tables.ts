import type { Migrations } from './migrations.ts'

/**
 * The statements that make a room's tables where there are none, with the same schema to the letter as `migrations` one after the other.
 *
 * SQLite reads its whole schema anew for each column that is added to a table, so the tables of an object, which is made on its first call, took six times as long.
 * Here a column that was added is one of its table from the start. That is so only as long as nothing but indexes was made of the table in between:
 * a statement that has written to it, or copied it, knew it without the column.
 */
export function newTables(migrations: Migrations): readonly string[] {
  let statements = known.get(migrations)
  if (!statements) known.set(migrations, (statements = folded(migrations)))
  return statements
}

/** Each room has one list for all of its objects, and asks for each of these. */
const known = new WeakMap<Migrations, readonly string[]>()

function folded(migrations: Migrations): readonly string[] {
  const statements: string[] = []
  /** Tables to which columns may still be added where they are made. */
  const open = new Map<string, number>()
  for (const statement of migrations.flat()) {
    const [, altered, column] = addsColumn.exec(statement) ?? []
    const made = altered === undefined ? undefined : open.get(altered)
    if (made !== undefined) {
      statements[made] = withColumn(statements[made]!, column!)
      continue
    }
    statements.push(statement)
    const created = createsTable.exec(statement)?.[1]
    if (created !== undefined) open.set(created, statements.length - 1)
    else if (!createsIndex.test(statement)) for (const word of statement.match(/\w+/g) ?? []) open.delete(word)
  }
  return statements
}

const addsColumn = /^\s*ALTER TABLE (\w+) ADD COLUMN (.*\S)\s*$/is
const createsIndex = /^\s*CREATE (?:UNIQUE )?INDEX /i
/** One whose columns are listed: what is made of a query has others. */
const createsTable = /^\s*CREATE TABLE (\w+)\s*\(/i
const constrains = /^,\s*(?:CONSTRAINT|PRIMARY|UNIQUE|CHECK|FOREIGN)\b/i

/** Where SQLite itself would write the column: behind the others, before what is said of the whole table. */
function withColumn(statement: string, column: string): string {
  let depth = 0
  let quote = ''
  for (let i = 0; i < statement.length; i++) {
    const char = statement[i]!
    // A doubled quote ends one text and begins the next.
    if (quote !== '') quote = char === quote ? '' : quote
    else if (char === "'" || char === '"') quote = char
    else if (char === '(') depth++
    else if (char === ')') depth--
    const ends = (char === ')' && depth === 0) || (char === ',' && depth === 1 && quote === '' && constrains.test(statement.slice(i)))
    if (ends && quote === '') return `${statement.slice(0, i)}, ${column}${statement.slice(i)}`
  }
  throw new Error(`no end of the columns: ${statement}`)
}
