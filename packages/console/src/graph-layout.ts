/**
 * Where the things of a graph stand in a drawing from left to right: what leads to something stands left of it. Pure.
 *
 * Columns come from the longest way to a thing, so an arrow never points left, but where things lead to each other in a circle. A beginning stands
 * beside what it leads to. Rows are sorted by
 * where the neighbours stand, a few times over, so that few arrows cross.
 */

/** A thing, as large as it is drawn. Pixels. */
export interface Box {
  id: string
  width: number
  height: number
}

/** An arrow between two things. */
export interface Arrow {
  from: string
  to: string
}

/** A thing in its place: its upper left corner. */
export interface PlacedBox extends Box {
  x: number
  y: number
}

/** Everything in its place, and how large the drawing is. */
export interface GraphLayout {
  boxes: Map<string, PlacedBox>
  width: number
  height: number
}

/** Between columns, where the arrows and their words are, and between rows. */
const gap = { columns: 92, rows: 14 }
const sweeps = 4

/** Lays out a graph. Arrows from or to nothing are left out; things stand in their order where nothing says otherwise. */
export function layOutGraph(boxes: readonly Box[], arrows: readonly Arrow[]): GraphLayout {
  const known = new Set(boxes.map(({ id }) => id))
  const drawn = arrows.filter(({ from, to }) => from !== to && known.has(from) && known.has(to))
  const columnOf = columnsOf(boxes, drawn)
  const columns: Box[][] = []
  for (const box of boxes) (columns[columnOf.get(box.id)!] ??= []).push(box)
  untangle(columns, drawn)

  const heights = columns.map((column) => column.reduce((sum, { height }) => sum + height + gap.rows, -gap.rows))
  const height = Math.max(0, ...heights)
  const placed = new Map<string, PlacedBox>()
  let x = 0
  for (const [index, column] of columns.entries()) {
    const width = Math.max(...column.map((box) => box.width))
    let y = (height - heights[index]!) / 2
    for (const box of column) {
      placed.set(box.id, { ...box, width, x, y })
      y += box.height + gap.rows
    }
    x += width + gap.columns
  }
  return { boxes: placed, width: Math.max(0, x - gap.columns), height }
}

/** The longest way to each thing, in arrows. One that closes a circle counts for nothing. */
function columnsOf(boxes: readonly Box[], arrows: readonly Arrow[]): Map<string, number> {
  const into = new Map<string, string[]>()
  for (const { from, to } of arrows) into.set(to, [...(into.get(to) ?? []), from])
  const columns = new Map<string, number>()
  const open = new Set<string>()
  const columnOf = (id: string): number => {
    const found = columns.get(id)
    if (found !== undefined) return found
    open.add(id)
    let column = 0
    for (const from of into.get(id) ?? []) if (!open.has(from)) column = Math.max(column, columnOf(from) + 1)
    open.delete(id)
    columns.set(id, column)
    return column
  }
  for (const { id } of boxes) columnOf(id)
  // What nothing leads to stands beside the first thing that it leads to.
  for (const { id } of boxes) {
    const behind = into.has(id) ? [] : arrows.filter(({ from }) => from === id).map(({ to }) => columns.get(to)!)
    if (behind.length > 0) columns.set(id, Math.max(0, Math.min(...behind) - 1))
  }
  // A column that this has left empty would be a gap.
  const used = [...new Set(columns.values())].sort((a, b) => a - b)
  return new Map([...columns].map(([id, column]) => [id, used.indexOf(column)]))
}

/** Sorts each column by the mean row of what its things are joined to, forth and back. */
function untangle(columns: Box[][], arrows: readonly Arrow[]): void {
  const joined = new Map<string, string[]>()
  for (const { from, to } of arrows) {
    joined.set(from, [...(joined.get(from) ?? []), to])
    joined.set(to, [...(joined.get(to) ?? []), from])
  }
  for (let sweep = 0; sweep < sweeps; sweep++) {
    const rows = new Map(columns.flatMap((column) => column.map(({ id }, row) => [id, (row + 0.5) / column.length] as const)))
    const mean = (id: string): number => {
      const others = (joined.get(id) ?? []).map((other) => rows.get(other)!)
      return others.length === 0 ? rows.get(id)! : others.reduce((sum, row) => sum + row, 0) / others.length
    }
    for (const column of sweep % 2 === 0 ? columns : columns.toReversed()) {
      const means = new Map(column.map(({ id }) => [id, mean(id)]))
      column.sort((a, b) => means.get(a.id)! - means.get(b.id)!)
      for (const [row, { id }] of column.entries()) rows.set(id, (row + 0.5) / column.length)
    }
  }
}
