import type { AggregateName } from './ast.ts'

/**
 * The scalar functions that a query may use, with the least and the most arguments. All of them are deterministic and exist in the SQLite of
 * Durable Objects; a function that is not listed is refused by name.
 *
 * Source: https://sqlite.org/lang_corefunc.html, lang_mathfunc.html, lang_datefunc.html, json1.html.
 */
export const scalarFunctions: ReadonlyMap<string, readonly [least: number, most: number]> = new Map<string, readonly [number, number]>([
  ...named([1, 1], 'abs hex length lower octet_length quote sign typeof unicode upper'),
  ...named([1, 2], 'ltrim round rtrim trim unhex'),
  ...named([2, 2], 'glob ifnull instr nullif'),
  ...named([2, 3], 'substr substring like'),
  ...named([3, 3], 'replace'),
  ...named([2, 99], 'coalesce max min'),
  ...named([1, 99], 'char format printf'),
  ...named([3, 3], 'iif'),
  ...named([1, 1], 'acos asin atan ceil ceiling cos degrees exp floor ln log10 log2 radians sin sqrt tan trunc'),
  ...named([2, 2], 'atan2 mod pow power'),
  ...named([1, 2], 'log'),
  ...named([1, 99], 'date datetime julianday time unixepoch'),
  ...named([2, 99], 'strftime'),
  ...named([1, 1], 'json json_valid'),
  ...named([1, 2], 'json_array_length json_type'),
  ...named([2, 99], 'json_extract'),
])

/** Functions of the calendar: they read the clock when told `'now'`, and each shard has its own. */
export const dateFunctions: ReadonlySet<string> = new Set(['date', 'datetime', 'julianday', 'strftime', 'time', 'unixepoch'])

/** Aggregates that are merged from partial results. With two arguments or more, `min` and `max` are scalar. */
export const mergedAggregates: ReadonlySet<string> = new Set<AggregateName>(['count', 'sum', 'total', 'avg', 'min', 'max'])

/** What to do instead of an aggregate or function that is known but has no right answer here. */
export const refusedFunctions: ReadonlyMap<string, string> = new Map<string, string>([
  ...named(
    'Select the rows and join them in your program.',
    'group_concat string_agg json_group_array json_group_object jsonb_group_array jsonb_group_object',
  ),
  ...named('Select the rows in order and take it in your program.', 'median percentile percentile_cont percentile_disc'),
  ...named(
    'Pass the value as a parameter, so that all shards see the same.',
    'random randomblob current_timestamp current_date current_time now',
  ),
  ...named(
    'It tells of one connection, not of the data.',
    'changes total_changes last_insert_rowid sqlite_version sqlite_source_id sqlite_offset',
  ),
])

/** Bare words of SQLite that cannot be identifiers: the parser takes some of them for one where SQLite does not. */
export const reservedWords: ReadonlySet<string> = new Set(
  (
    'add all alter and as autoincrement between case check collate commit constraint create default deferrable delete distinct drop else escape exists ' +
    'foreign from group having in index insert intersect into is isnull join limit not nothing notnull null on or order primary references returning ' +
    'select set table then to transaction union unique update using values when where current_date current_time current_timestamp'
  ).split(' '),
)

function named<const T>(value: T, names: string): [string, T][] {
  return names.split(' ').map((name) => [name, value])
}
