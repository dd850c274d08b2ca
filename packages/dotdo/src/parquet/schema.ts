import { DotdoError } from '../base/errors.ts'

/**
 * What a column holds, in the words of Apache Iceberg. `json` is dotdo's own: any JSON value, stored as Iceberg's `string` of its text.
 *
 * A row gives: `boolean` a boolean; `int`, `float`, `double` a number; `long` a safe integer or a bigint; `date` a Date, a whole number
 * of days since 1970-01-01, or `'YYYY-MM-DD'`; `timestamp` and `timestamptz` a Date, epoch milliseconds (a fraction is kept to the
 * microsecond) or ISO text; `string` a string; `binary` a Uint8Array; `uuid` its text. `null` and `undefined` are null.
 */
export type ColumnType =
  | 'boolean'
  | 'int'
  | 'long'
  | 'float'
  | 'double'
  | 'date'
  | 'timestamp'
  | 'timestamptz'
  | 'string'
  | 'json'
  | 'binary'
  | 'uuid'

/** One column of a file. Files are flat: no lists, no structs. */
export interface Column {
  /** The key of its values in a row. */
  name: string
  type: ColumnType
  /** Whether null is refused. */
  required: boolean
  /** Iceberg's field id, written into the schema: readers find columns by it, so that renaming one keeps its data. */
  fieldId: number
}

/** The most columns that a file of ours may have: each one holds scratch memory for as long as a file is open. */
export const MAX_COLUMNS = 2_000

const TYPES = new Set<string>([
  'boolean',
  'int',
  'long',
  'float',
  'double',
  'date',
  'timestamp',
  'timestamptz',
  'string',
  'json',
  'binary',
  'uuid',
])

/**
 * Refuses a set of columns that no file can have.
 *
 * @throws `INVALID_SCHEMA` for no column or too many, an empty or repeated name, a repeated or negative field id, an unknown type, and
 *   the name `__proto__`, which a plain object cannot hold as data
 */
export function checkColumns(columns: readonly Column[]): void {
  if (columns.length === 0 || columns.length > MAX_COLUMNS) {
    throw invalid(`A Parquet file needs 1 to ${MAX_COLUMNS} columns and was given ${columns.length}.`, { columns: columns.length })
  }
  const names = new Set<string>()
  const ids = new Set<number>()
  for (const { name, type, fieldId } of columns) {
    if (typeof name !== 'string' || name === '' || name === '__proto__' || !name.isWellFormed()) {
      throw invalid(`${JSON.stringify(name)} cannot be the name of a column. Use a text of at least one character other than __proto__.`, {
        name,
      })
    }
    if (names.has(name)) throw invalid(`Two columns are named ${JSON.stringify(name)}. Rename one.`, { name })
    if (!TYPES.has(type))
      throw invalid(`Column ${name} has the unknown type ${JSON.stringify(type)}. Types are ${[...TYPES].join(', ')}.`, { name, type })
    if (!Number.isInteger(fieldId) || fieldId < 0 || fieldId > 0x7fffffff) {
      throw invalid(`Column ${name} has the field id ${fieldId}. Give a whole number from 0 to 2147483647.`, { name, fieldId })
    }
    if (ids.has(fieldId))
      throw invalid(`Column ${name} has the field id ${fieldId} of another column. Give each its own.`, { name, fieldId })
    names.add(name)
    ids.add(fieldId)
  }
}

function invalid(message: string, data: Record<string, unknown>): DotdoError {
  return new DotdoError('INVALID_SCHEMA', message, { data })
}
