import type { Position } from './source.ts'

/** A node of the parser's tree, before it is narrowed. */
export type Json = Record<string, unknown>

/** The one key and body of a variant of the parser's tree: `{ BinaryOp: {...} }`, or a bare `"Wildcard"`. */
export function variantOf(node: unknown): [name: string, body: unknown] {
  if (typeof node === 'string') return [node, undefined]
  const [entry] = isJson(node) ? Object.entries(node) : []
  return entry ?? ['nothing', undefined]
}

/** The body as an object; an empty one where it is none, so that a missing field reads as absent and is refused by its reader. */
export function jsonOf(value: unknown): Json {
  return isJson(value) ? value : {}
}

/** The value as a list; empty where it is none. */
export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

/** Whether a field says nothing: absent, false, an empty list, or the parser's word for none. */
export function isEmpty(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    value === false ||
    value === 'None' ||
    value === 'Standard' ||
    (Array.isArray(value) && value.every(isEmpty))
  )
}

/** The first place that a node or anything in it tells of. */
export function placeOf(node: unknown): Position | undefined {
  if (Array.isArray(node)) return first(node)
  if (!isJson(node)) return undefined
  const start = jsonOf(jsonOf(node.span).start)
  // Line 0 is the parser's word for a node that stands nowhere.
  if (typeof start.line === 'number' && typeof start.column === 'number' && start.line > 0)
    return { line: start.line, column: start.column }
  return first(Object.values(node))
}

/** The first place among several nodes. */
function first(nodes: unknown[]): Position | undefined {
  for (const node of nodes) {
    const place = placeOf(node)
    if (place) return place
  }
  return undefined
}

/** Whether a value is a node with fields. */
function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
