/** What of a query's rows can be drawn, and where each mark goes. Pure geometry, in pixels. */

/** One row of a query's result. */
export type Row = Record<string, unknown>

/** What the values of a column are, as far as a chart cares. */
export type ColumnKind = 'number' | 'time' | 'text'

/** A column of a result. */
export interface Column {
  name: string
  kind: ColumnKind
}

/** Bars that are drawn at most; a line may have more points. */
export const mostBars = 40
export const mostPoints = 2000

/** The columns of a result, in the order of the first row that has each. */
export function columnsOf(rows: Row[]): Column[] {
  const names = new Set<string>()
  for (const row of rows) for (const name of Object.keys(row)) names.add(name)
  return [...names].map((name) => ({ name, kind: kindOf(rows.map((row) => row[name])) }))
}

/** The chart that suits a result: a line over time, bars over text, or none. */
export function suggestChart(columns: Column[]): { x: string; y: string } | undefined {
  const y = columns.find(({ kind }) => kind === 'number')
  const first = columns[0]
  const x = first?.kind === 'time' ? first : (columns.find(({ kind }) => kind === 'text') ?? columns.find(({ kind }) => kind === 'time'))
  return x && y ? { x: x.name, y: y.name } : undefined
}

/** A bar, in pixels from the upper left of the plot. */
export interface Bar {
  label: string
  value: number
  x: number
  width: number
  y: number
  height: number
}

/** Bars from left to right, one below the other, because labels are read that way. Values below zero go left from zero. */
export function barChart(
  rows: Row[],
  x: string,
  y: string,
  plot: { width: number; rowHeight: number },
): { bars: Bar[]; zero: number; ticks: Tick[] } {
  const shown = rows.slice(0, mostBars).flatMap((row) => {
    const value = toNumber(row[y])
    return value === undefined ? [] : [{ label: labelOf(row[x]), value }]
  })
  // The longest bar fills the width, also where the next round number is far beyond it.
  const low = Math.min(0, ...shown.map(({ value }) => value))
  const high = Math.max(0, ...shown.map(({ value }) => value)) || (low < 0 ? 0 : 1)
  const ticks = niceTicks(low, high, Math.max(2, Math.floor(plot.width / 90))).filter((tick) => tick >= low && tick <= high)
  const at = (value: number) => ((value - low) / (high - low)) * plot.width
  const bars = shown.map(({ label, value }, index): Bar => {
    const from = Math.min(at(0), at(value))
    return { label, value, x: from, width: Math.abs(at(value) - at(0)), y: index * plot.rowHeight + 3, height: plot.rowHeight - 6 }
  })
  return { bars, zero: at(0), ticks: ticks.map((value) => ({ value, at: at(value) })) }
}

/** A line of the grid: its value, and its place in pixels. */
export interface Tick {
  value: number
  at: number
}

/** A point of a line, in pixels from the upper left of the plot. */
export interface Point {
  label: string
  value: number
  x: number
  y: number
}

/** A time below a line: its text, where its point is, and which side of the text stands there. `row` 1 is below the others, where it would lie on one of them. */
export interface TimeTick {
  label: string
  at: number
  anchor: 'start' | 'middle' | 'end'
  row: 0 | 1
}

/** A line over time. Rows are put in the order of time; rows without a time or a value are left out. */
export function lineChart(
  rows: Row[],
  x: string,
  y: string,
  plot: { width: number; height: number },
): { points: Point[]; yTicks: Tick[]; xTicks: TimeTick[] } {
  const known = rows
    .flatMap((row) => {
      const time = toTime(row[x])
      const value = toNumber(row[y])
      return time === undefined || value === undefined ? [] : [{ time, value, label: labelOf(row[x]) }]
    })
    .sort((a, b) => a.time - b.time)
    .slice(0, mostPoints)
  const values = known.map(({ value }) => value)
  const ticks = niceTicks(Math.min(0, ...values), Math.max(0, ...values), Math.max(2, Math.floor(plot.height / 48)))
  const low = ticks[0]!
  const high = ticks.at(-1)!
  const first = known[0]?.time ?? 0
  const last = known.at(-1)?.time ?? 0
  const atX = (time: number) => (last === first ? plot.width / 2 : ((time - first) / (last - first)) * plot.width)
  const atY = (value: number) => plot.height - ((value - low) / (high - low)) * plot.height
  return {
    points: known.map(({ time, value, label }) => ({ label, value, x: atX(time), y: atY(value) })),
    yTicks: ticks.map((value) => ({ value, at: atY(value) })),
    xTicks: timeTicks(
      known.map(({ time, label }) => ({ label: label.replace(/T00:00:00.*$/, '').slice(0, 19), at: atX(time) })),
      plot.width,
    ),
  }
}

/** The width of a letter of a tick, at most, and what lies between two texts. */
const letterWidth = 7
const between = 12

/** The first time and the last one, and the one that is nearest to the middle where there is room. None lies on another. */
function timeTicks(marks: readonly { label: string; at: number }[], width: number): TimeTick[] {
  const first = marks[0]
  const last = marks.at(-1)
  if (!first || !last) return []
  if (first.at === last.at) return [{ ...first, anchor: 'middle', row: 0 }]
  const [left, right] = [first.label.length * letterWidth, width - last.label.length * letterWidth]
  const ends = [
    { ...first, anchor: 'start' as const, row: 0 as const },
    { ...last, anchor: 'end' as const, row: left + between > right ? (1 as const) : (0 as const) },
  ]
  const away = ({ at }: { at: number }): number => Math.abs(at - width / 2)
  const middle = marks
    .slice(1, -1)
    .reduce<{ label: string; at: number } | undefined>((best, it) => (best && away(best) <= away(it) ? best : it), undefined)
  const half = ((middle?.label.length ?? 0) * letterWidth) / 2
  const fits = middle && middle.at - half >= left + between && middle.at + half <= right - between
  return fits ? [ends[0]!, { ...middle, anchor: 'middle', row: 0 }, ends[1]!] : ends
}

/** Round numbers from at or below `low` to at or above `high`, about `wanted` of them, at steps of 1, 2 or 5 times a power of ten. */
export function niceTicks(low: number, high: number, wanted: number): number[] {
  // Below this the step between two lines would come out as 0: nothing can be told apart there.
  if (!(high - low > 1e-300)) return niceTicks(Math.min(0, low), Math.max(low, 0) || 1, wanted)
  const rough = (high - low) / Math.max(1, wanted)
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 5, 10].find((factor) => power * factor >= rough * 0.999999) ?? 10)
  const first = Math.floor(low / step + 1e-9)
  const last = Math.ceil(high / step - 1e-9)
  // Multiplied anew each time: sums of fractions drift.
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)))
}

/** A value as a number that can be drawn. */
export function toNumber(value: unknown): number | undefined {
  if (typeof value === 'bigint') return Number(value)
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

const isoTime = /^\d{4}-\d{2}(-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?)?$/

/** A value as an instant: dates and ISO texts. A text without a zone is read as UTC, so that the picture is the same everywhere. */
export function toTime(value: unknown): number | undefined {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.getTime()
  if (typeof value !== 'string' || !isoTime.test(value)) return undefined
  const zoned = /(Z|[+-]\d{2}:?\d{2})$/.test(value) || !/[T ]/.test(value) ? value : `${value}Z`
  const time = Date.parse(zoned.replace(' ', 'T'))
  return Number.isNaN(time) ? undefined : time
}

function kindOf(values: unknown[]): ColumnKind {
  const known = values.filter((value) => value !== null && value !== undefined)
  if (known.length === 0) return 'text'
  if (known.every((value) => toNumber(value) !== undefined)) return 'number'
  return known.every((value) => toTime(value) !== undefined) ? 'time' : 'text'
}

/** A value as a short text. */
export function labelOf(value: unknown): string {
  if (value === null || value === undefined) return '(none)'
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value as string | number)
}
