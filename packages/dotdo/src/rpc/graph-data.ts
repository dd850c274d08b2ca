/**
 * A graph of calls as data: what is stored, sent and drawn. Its version is part of it; a graph of an older release is read by later ones.
 */
import { decodeValue, encodeValue } from '../base/codec.ts'
import { DotdoError } from '../base/errors.ts'

/** Version of the stored form. */
export const graphVersion = 1

/** What a node is made on: an object, or what an earlier node gave. */
export type GraphPlace = { noun: string; name: string; jurisdiction?: string } | { node: number }

/** One call, one read, or one map. Numbers are unique in the whole graph; those of inputs are given out like those of calls. */
export interface GraphNode {
  id: number
  on: GraphPlace
  path: string[]
  /** Absent for a read and for a map. References in it are {@link GraphRef}s. */
  args?: unknown[]
  /** What is done for each element: its input's number, its own nodes, and what each element gives. */
  each?: { input: number; nodes: GraphNode[]; result: unknown }
}

/** A graph of calls, as plain data. */
export interface GraphData {
  version: typeof graphVersion
  /** The numbers of the values that it is sent with. */
  inputs: number[]
  nodes: GraphNode[]
  /** A value, with {@link GraphRef}s in it. */
  result: unknown
}

/** What stands in a value where the answer of a node belongs, or, with a noun, an object itself. */
export interface GraphRef {
  'dotdo:ref': [on: GraphPlace, ...path: string[]]
}

/** Whether a part of a value stands for an answer. */
export function isGraphRef(value: unknown): value is GraphRef {
  return typeof value === 'object' && value !== null && Array.isArray((value as Partial<GraphRef>)['dotdo:ref'])
}

/** The text of a graph. @throws `NOT_STORABLE` */
export function writeGraph(data: GraphData): string {
  return encodeValue(data, 'a graph')
}

/** Reads what {@link writeGraph} wrote. @throws `GRAPH_INVALID`, `STATE_TOO_NEW` */
export function readGraph(text: string): GraphData {
  let data: unknown
  try {
    data = typeof text === 'string' ? decodeValue(text) : undefined
  } catch (cause) {
    throw invalidGraph('it cannot be read', cause)
  }
  const { version } = (data ?? {}) as Partial<GraphData>
  if (typeof version === 'number' && version > graphVersion)
    throw new DotdoError(
      'STATE_TOO_NEW',
      `This graph was stored by a later release: its version is ${version}, and this one knows ${graphVersion}. Deploy the release that wrote it, or a later one.`,
      { data: { version } },
    )
  if (version !== graphVersion || !isWhole(data as GraphData)) throw invalidGraph('it is not what graph.save() gives')
  return data as GraphData
}

function isWhole({ inputs, nodes }: GraphData): boolean {
  if (!Array.isArray(inputs) || !Array.isArray(nodes)) return false
  const known = new Set<unknown>(inputs)
  return nodes.every((node) => isNode(node, known))
}

function isNode(node: GraphNode, known: Set<unknown>): boolean {
  const { id, on, path, each } = node
  if (typeof id !== 'number' || !Array.isArray(path) || !path.every((name) => typeof name === 'string')) return false
  if (
    'node' in on
      ? !known.has(on.node)
      : typeof on.noun !== 'string' || typeof on.name !== 'string' || !['undefined', 'string'].includes(typeof on.jurisdiction)
  )
    return false
  if (each && !each.nodes.every((inner) => isNode(inner, known.add(each.input)))) return false
  known.add(id)
  return true
}

/** The error for a text that is no graph. */
function invalidGraph(reason: string, cause?: unknown): DotdoError {
  return new DotdoError('GRAPH_INVALID', `This is no stored graph: ${reason}. Store what graph(...).save() gives, and load that.`, {
    data: { reason },
    ...(cause !== undefined && { cause }),
  })
}
