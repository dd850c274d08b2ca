/** Makes the calls of a graph. */
import { applyPath, type Stub } from './ref.ts'
import { isGraphRef, type GraphData, type GraphNode, type GraphPlace } from './graph-data.ts'

/** Gives the stub of an object. */
export type OpenObject = (noun: string, name: string, jurisdiction?: string) => Stub

/**
 * Makes all calls of a graph, in their order, in one turn, and resolves with its result. Calls that the result does not need are made too; their
 * failures are told like those of any call that nobody awaits.
 */
export function replayGraph(data: GraphData, open: OpenObject, inputs: readonly unknown[]): Promise<unknown> {
  const known = new Map<number, unknown>(data.inputs.map((id, i) => [id, inputs[i]]))
  replayNodes(data.nodes, known, open)
  return settled(resolved(data.result, known, open))
}

function replayNodes(nodes: readonly GraphNode[], known: Map<number, unknown>, open: OpenObject): void {
  for (const { id, on, path, args, each } of nodes) {
    const base = stubAt(on, known, open)
    if (!each)
      known.set(
        id,
        applyPath(
          base,
          path,
          args?.map((arg) => resolved(arg, known, open)),
        ),
      )
    else {
      const mapped = applyPath(base, path, undefined) as unknown as { map(mapper: (value: unknown) => unknown): unknown }
      known.set(
        id,
        mapped.map((value) => {
          const inner = new Map(known).set(each.input, value)
          replayNodes(each.nodes, inner, open)
          return resolved(each.result, inner, open)
        }),
      )
    }
  }
}

function stubAt(on: GraphPlace, known: Map<number, unknown>, open: OpenObject): Stub {
  return 'node' in on ? (known.get(on.node) as Stub) : open(on.noun, on.name, on.jurisdiction)
}

/** A value with the answers of its references in their places. */
function resolved(value: unknown, known: Map<number, unknown>, open: OpenObject): unknown {
  if (isGraphRef(value)) {
    const [on, ...path] = value['dotdo:ref']
    return applyPath(stubAt(on, known, open), path, undefined)
  }
  if (Array.isArray(value)) return value.map((part) => resolved(part, known, open))
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, resolved(part, known, open)]))
}

/** The same with the answers awaited, wherever they stand. */
async function settled(value: unknown): Promise<unknown> {
  if (typeof value === 'function') return await (value as unknown as PromiseLike<unknown>)
  if (Array.isArray(value)) return Promise.all(value.map(settled))
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  const entries = await Promise.all(Object.entries(value).map(async ([key, part]) => [key, await settled(part)] as const))
  return Object.fromEntries(entries)
}
