/** Drawings of what leads to what, in Mermaid's language: https://mermaid.js.org/syntax/flowchart.html */

/** One thing in a drawing. */
export interface FlowNode {
  /** Unique in the drawing. */
  id: string
  label: string
  shape?: 'box' | 'circle' | 'round' | 'store'
}

/** How one thing leads to another. */
export interface FlowEdge {
  from: string
  to: string
  label?: string
  /** Drawn thick. */
  heavy?: boolean
}

const brackets = { box: ['[', ']'], circle: ['((', '))'], round: ['(', ')'], store: ['[(', ')]'] } as const

/** Draws a flowchart from left to right. Names stand in the order that is given; what leads from or to no name is left out. */
export function drawFlowchart(nodes: readonly FlowNode[], edges: readonly FlowEdge[]): string {
  // Ids of one's own: a name may hold what Mermaid reads as its syntax.
  const ids = new Map(nodes.map(({ id }, i) => [id, `n${i}`]))
  const lines = ['flowchart LR']
  for (const { id, label, shape = 'box' } of nodes) {
    const [open, close] = brackets[shape]
    lines.push(`  ${ids.get(id)}${open}"${quoted(label)}"${close}`)
  }
  for (const { from, to, label, heavy } of edges) {
    const [tail, head] = [ids.get(from), ids.get(to)]
    if (tail === undefined || head === undefined) continue
    const [plain, begin, end] = heavy ? ['==>', '==', '==>'] : ['-->', '--', '-->']
    lines.push(label === undefined || label === '' ? `  ${tail} ${plain} ${head}` : `  ${tail} ${begin} "${quoted(label)}" ${end} ${head}`)
  }
  return lines.join('\n')
}

const quoted = (text: string): string => text.replaceAll('"', "'").replaceAll('\n', ' ')
