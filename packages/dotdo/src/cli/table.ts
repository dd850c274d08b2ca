/** Tables that fit into a terminal. Pure. */
import { formatCount } from '../base/words.ts'
import type { Color, Paint } from './paint.ts'
import { cut, pad, plain, width } from './text.ts'

/** One column. */
export interface Column {
  title: string
  /** Numbers and lengths of time stand to the right. */
  right?: boolean
  /** May be cut down to so many columns of the terminal where the table is too wide. One that says nothing is never cut. */
  least?: number
  /** Is left out where the table is too wide, the highest number first. One that says nothing stays. */
  drop?: number
}

/** Of an object's name so much is shown before other columns are left out: its end tells it from others, and it is what other commands are given. */
export const leastObject = 20

/** What stands in one place: a text, and how it is coloured. */
export type Cell = string | { text: string; color: Color | undefined }

/** How much room there is, and how it is coloured. */
export interface Look {
  /** Of the terminal; `Infinity` where nothing has to fit. */
  columns: number
  paint: Paint
}

const gap = '  '

/**
 * The lines of a table: titles, then rows. Where it is too wide, columns are left out, then cut, the widest first; what still does not fit is cut
 * at the end of the line.
 */
export function table(columns: readonly Column[], rows: readonly (readonly Cell[])[], { columns: room, paint }: Look): string[] {
  const texts = rows.map((row) => row.map((cell) => plain(typeof cell === 'string' ? cell : cell.text)))
  const natural = columns.map((column, index) => texts.reduce((most, row) => Math.max(most, width(row[index] ?? '')), width(column.title)))
  // An empty column says nothing, and is left out too.
  let shown = columns.map((_, index) => index).filter((index) => rows.length === 0 || texts.some((row) => row[index]))
  const total = (widths: readonly number[]) => shown.reduce((sum, index) => sum + widths[index]!, gap.length * (shown.length - 1))
  for (;;) {
    const least = natural.map((wanted, index) => Math.min(wanted, columns[index]!.least ?? wanted))
    if (total(least) <= room) break
    const dropped = shown.filter((index) => columns[index]!.drop !== undefined).sort((a, b) => columns[b]!.drop! - columns[a]!.drop!)[0]
    if (dropped === undefined) break
    shown = shown.filter((index) => index !== dropped)
  }
  const widths = [...natural]
  while (total(widths) > room) {
    const widest = shown.filter((index) => widths[index]! > (columns[index]!.least ?? Infinity)).sort((a, b) => widths[b]! - widths[a]!)[0]
    if (widest === undefined) break
    widths[widest]!--
  }
  const line = (cells: readonly string[], colors: readonly (Color | undefined)[]): string => {
    let left = room
    return shown
      .map((index, place) => {
        if (place > 0) left -= gap.length
        const isLast = place === shown.length - 1
        const fitted = cut(cells[index] ?? '', Math.max(0, Math.min(widths[index]!, left)))
        const padded =
          isLast && !columns[index]!.right ? fitted : pad(fitted, Math.min(widths[index]!, Math.max(0, left)), columns[index]!.right)
        left -= width(padded)
        return paint(colors[index], padded)
      })
      .join(gap)
      .trimEnd()
  }
  const titles = line(
    columns.map(({ title }) => title),
    columns.map(() => 'bold'),
  )
  return [
    titles,
    ...rows.map((row, at) =>
      line(
        texts[at]!,
        row.map((cell) => (typeof cell === 'string' ? undefined : cell.color)),
      ),
    ),
  ]
}

/** Rows of values, such as a query gives, with their names as titles. Numbers to the right. Empty where there are no rows. */
export function valueTable(rows: readonly Record<string, unknown>[], look: Look): string[] {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const columns = names.map((name): Column => ({
    title: plain(name),
    least: 6,
    right: rows.every(
      (row) => typeof row[name] === 'number' || typeof row[name] === 'bigint' || row[name] === null || row[name] === undefined,
    ),
  }))
  return rows.length === 0
    ? []
    : table(
        columns,
        rows.map((row) => names.map((name) => valueText(row[name]))),
        look,
      )
}

/** One value of a row in words. */
export function valueText(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  if (typeof value === 'number') return Number.isInteger(value) ? formatCount(value) : String(Number(value.toFixed(4)))
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'string') return value
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return JSON.stringify(value)
}
