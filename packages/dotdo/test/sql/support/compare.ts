import { compareCells, groupKey, type Cell, type Row } from '../../../src/sql/values.ts'

/**
 * Whether two answers are the same: as lists, or as bags where the order is not total. Reals may differ in the last digits, because sums of
 * them depend on the order.
 */
export function sameRows(ours: readonly Row[], theirs: readonly Row[], ordered: boolean): boolean {
  if (ours.length !== theirs.length) return false
  const a = ordered ? ours : sorted(ours)
  const b = ordered ? theirs : sorted(theirs)
  return a.every((row, i) => {
    const other = b[i]!
    const names = Object.keys(row)
    return names.join('\u0000') === Object.keys(other).join('\u0000') && names.every((name) => sameCell(row[name]!, other[name]!))
  })
}

export function sameCell(a: Cell, b: Cell): boolean {
  if (typeof a === 'number' && typeof b === 'number') return a === b || Math.abs(a - b) <= 1e-12 * Math.max(Math.abs(a), Math.abs(b))
  return typeof a === typeof b && compareCells(a, b) === 0
}

function sorted(rows: readonly Row[]): Row[] {
  return rows
    .map((row) => ({ row, key: groupKey(Object.values(row)) }))
    .sort((x, y) => (x.key < y.key ? -1 : x.key > y.key ? 1 : 0))
    .map(({ row }) => row)
}
