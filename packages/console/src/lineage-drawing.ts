/** The drawing of a lineage: what stands in it, how large, and where each thing leads in the page. Pure. */
import type { Lineage, LineageNode } from 'dotdo/client'
import { targetInWords } from 'dotdo/words'
import { layOutGraph, type PlacedBox } from './graph-layout.ts'
import { hrefOf, objectOf } from './route.ts'

/** Things that are drawn; what lies beyond stands in the list alone. */
export const mostDrawn = 200

/** A thing in its place, with its words, cut to its width. */
export interface DrawnNode extends PlacedBox {
  kind: LineageNode['kind']
  /** What kind of thing it is. */
  caption: string
  text: string
  /** Both, whole. */
  title: string
  href?: string
}

/** An arrow in its place: a curve from the right side of one thing to the left side of another. */
export interface DrawnArrow {
  key: string
  path: string
  /** Data flows along it. */
  heavy: boolean
}

/** What arrows say, once at each thing that they lead to. */
export interface DrawnWords {
  key: string
  x: number
  y: number
  text: string
}

/** Everything in its place, in pixels. */
export interface LineageDrawing {
  nodes: DrawnNode[]
  arrows: DrawnArrow[]
  words: DrawnWords[]
  width: number
  height: number
  /** How many things there are beyond those that are drawn. */
  left: number
}

const size = { height: 42, least: 76, most: 216, letter: 7.1, padding: 22, words: 13, wordsAbove: 9, wordsBelow: 17 }

/** Lays out the drawing of a lineage. */
export function drawLineage(lineage: Lineage): LineageDrawing {
  const { graph, runs } = lineage
  const shown = graph.nodes.slice(0, mostDrawn)
  const about = new Map(runs.map((run) => [`run ${run.object} ${run.runId}`, run]))
  const worded = shown.map((node) => {
    const run = about.get(node.id)
    const caption = run ? `run of ${run.object}` : captions[node.kind]
    const text = run ? targetInWords(run.target) : node.label.replace(/^snapshot /, '')
    const href = run ? hrefOf({ tab: 'runs', ...objectOf(run.object), runId: run.runId }) : hrefOfNode(node)
    const letters = Math.max(lettersOf(text), caption.length * 0.88)
    const width = Math.min(size.most, Math.max(size.least, Math.ceil(letters * size.letter) + size.padding))
    const fits = Math.round((width - size.padding) / size.letter)
    const title = run ? `${caption}: ${text}, ${run.runId}` : `${caption} ${text}`
    return {
      ...node,
      caption: cut(caption, Math.ceil(fits / 0.88)),
      text: cut(text, fits),
      title,
      href,
      width,
      height: size.height,
    }
  })
  const { boxes, width, height } = layOutGraph(worded, graph.edges)
  const words = new Map<string, Set<string>>()
  // Of the arrows that lead to a thing, how many more come down to it than up.
  const down = new Map<string, number>()
  const arrows = graph.edges.flatMap(({ from, to, kind, label }, index): DrawnArrow[] => {
    const [a, b] = [boxes.get(from), boxes.get(to)]
    if (!a || !b || from === to) return []
    down.set(to, (down.get(to) ?? 0) + Math.sign(b.y + b.height / 2 - a.y - a.height / 2))
    if (label !== '' && kind !== 'has') words.set(to, (words.get(to) ?? new Set()).add(label))
    return [{ key: `${index}`, path: curve(a, b), heavy: kind === 'read' || kind === 'wrote' }]
  })
  return {
    nodes: worded.map(({ id, kind, caption, text, title, href }) => ({
      ...boxes.get(id)!,
      kind,
      caption,
      text,
      title,
      ...(href !== undefined && { href }),
    })),
    arrows,
    words: [...words].map(([to, said]) => {
      const { x, y, height } = boxes.get(to)!
      // On the side from which fewer arrows come, so that they do not lie on each other.
      const beside = down.get(to)! > 0 ? size.wordsBelow : -size.wordsAbove
      return { key: to, x: x - 8, y: y + height / 2 + beside, text: cut([...said].join(', '), size.words) }
    }),
    width,
    height,
    left: graph.nodes.length - shown.length,
  }
}

const captions: Readonly<Record<LineageNode['kind'], string>> = {
  run: 'run',
  step: 'step',
  object: 'object',
  table: 'table',
  source: 'source',
  event: 'event',
  request: 'request',
  snapshot: 'snapshot',
}

/** A table is named with its warehouse, but for one that was asked for by name. */
function hrefOfNode({ id, kind, label }: LineageNode): string | undefined {
  // Its label says it without its kind.
  const name = id.slice(kind.length + 1)
  if (kind === 'object' && /^([a-z][\w-]*:)?[A-Z][^/]*\/./.test(label)) return hrefOf({ tab: 'runs', ...objectOf(label) })
  return kind === 'table' ? hrefOf({ tab: 'tables', of: placeOfTable(name) }) : undefined
}

/** `R2_BUCKET/analytics.events` as a place: the table, and the warehouse that has it. */
export function placeOfTable(target: string): { table: string; warehouse?: string } {
  const slash = target.lastIndexOf('/')
  return { table: target.slice(slash + 1), ...(slash > 0 && { warehouse: target.slice(0, slash) }) }
}

function curve(a: PlacedBox, b: PlacedBox): string {
  const [x1, y1, x2, y2] = [a.x + a.width, a.y + a.height / 2, b.x, b.y + b.height / 2]
  const bend = Math.max(24, (x2 - x1) / 2)
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
}

/** How wide a text is, in letters: digits are wider than most, and the id of a snapshot has nothing else. */
const lettersOf = (text: string): number => text.length + text.replace(/\D/g, '').length * 0.14

const cut = (text: string, letters: number): string => (text.length > letters ? `${text.slice(0, Math.max(1, letters - 1))}…` : text)
