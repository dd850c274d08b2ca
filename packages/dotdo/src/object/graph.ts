import { DotdoError } from '../base/errors.ts'
import { loadGraph, makeGraph, type Graph, type GraphPorts, type IntendedWrite } from '../rpc/graph.ts'
import type { GraphData } from '../rpc/graph-data.ts'
import { replayGraph } from '../rpc/graph-replay.ts'
import type { Stub } from '../rpc/ref.ts'
import type { Element, Received, Recordable, Settled } from '../rpc/remote.ts'
import { ambientLinks } from './ambient.ts'
import { currentContext, inContext } from './context.ts'

/** A graph is sent by the links of whoever sends it. */
const ports: GraphPorts = {
  send: (data, inputs) => replay(data, inputs),
  async dryRun(data, inputs) {
    const context = currentContext()
    if (!context)
      throw new DotdoError(
        'DO_OUTSIDE_RUN',
        'graph.dryRun() was called in code that no call of an object started. Call it in a method or a handler.',
      )
    const writes: IntendedWrite[] = []
    const origin = { ...(context.origin ?? { depth: 0 }), dryRun: true as const, records: writes }
    return { result: await inContext({ ...context, origin }, () => replay(data, inputs)), writes }
  },
}

function replay(data: GraphData, inputs: readonly unknown[]): Promise<unknown> {
  const links = ambientLinks()
  return replayGraph(data, (noun, name, jurisdiction) => links.user(noun, name, jurisdiction) as Stub, inputs)
}

/** What a graph gives: what its function returned, when every result in it is there. */
export type GraphResult<T> = Received<Settled<T>>

/** What the function of a graph gets for the values that the graph is sent with: they are not there yet, as the elements of a `.map` are not. */
export type GraphInputs<Inputs extends readonly unknown[]> = { [I in keyof Inputs]: Element<Inputs[I]> }

/**
 * Records the calls that a function makes, without making them: a value that can be sent, explained, priced, dry-run, saved, scheduled
 * and done as a step.
 *
 * @param record makes calls on objects, passes their results on, and returns what the graph gives; it must not await. Its parameters are the
 *   values that the graph is sent with: `graph((day: Element<string>) => this.Source('a').extract(day))`
 * @throws `GRAPH_AWAITED`, `GRAPH_NOT_DATA`, `LINK_LIMIT`
 * @example
 * const nightly = graph(() => this.Warehouse('main').load(this.Source('a').extract()))
 * this.every.day.at('2am')(nightly)
 */
export function graph<T, Inputs extends readonly unknown[] = []>(
  record: (...inputs: GraphInputs<Inputs>) => Recordable<T>,
): Graph<GraphResult<T>, Inputs> {
  return makeGraph(record as (...inputs: never[]) => unknown, ports) as unknown as Graph<GraphResult<T>, Inputs>
}

/** Reads a graph that was saved, by this release or an earlier one. @throws `GRAPH_INVALID`, `STATE_TOO_NEW` */
graph.load = <T = unknown, Inputs extends readonly unknown[] = unknown[]>(text: string): Graph<T, Inputs> =>
  loadGraph(text, ports) as unknown as Graph<T, Inputs>
