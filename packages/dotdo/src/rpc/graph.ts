/**
 * A graph of calls as a value: recorded once, and then sent, explained, priced, stored, scheduled and journaled, because it is data and not a
 * closure.
 */
import { DotdoError } from '../base/errors.ts'
import { recordGraph } from './graph-recorder.ts'
import { readGraph, writeGraph, type GraphData } from './graph-data.ts'
import { drawPlan, planGraph, priceGraph, printPlan, type GraphPlan, type GraphPrice } from './graph-plan.ts'

/** How a graph's calls are made. */
export interface GraphPorts {
  /** Makes them, and gives the result. */
  send(data: GraphData, inputs: readonly unknown[]): Promise<unknown>
  /** The same with every writer a recorder. */
  dryRun(data: GraphData, inputs: readonly unknown[]): Promise<DryRun<unknown>>
}

/** What a graph would have written. */
export interface DryRun<T> {
  result: T
  writes: IntendedWrite[]
}

/** One write that a dry run has written down instead of making it. */
export interface IntendedWrite {
  /** The object whose code would have written, as `Noun/name`. */
  object: string
  /**
   * What would have written: an Iceberg table, the outbox, a subscription, the object's own storage, a request to the outside, a run or schedule that would have
   * begun; or a binding of the Worker that was used as it is.
   */
  writer: 'iceberg' | 'event' | 'subscription' | 'storage' | 'fetch' | 'run' | 'schedule' | 'binding'
  /** The table, as `namespace.table`; the event's type; the method or statement; method and address of a request; the member of a binding. */
  target: string
  /** How many rows, or 1 for an event. */
  rows: number
  /** The first rows, or the event's payload. */
  sample: unknown[]
  /** It was done all the same: a bare binding cannot be held back. */
  made?: true
}

/** What a graph would send. */
export interface GraphExplanation {
  /** For a terminal. */
  text: string
  data: GraphPlan
  /** A flowchart in Mermaid's language. */
  drawing: string
}

/**
 * A recorded graph of calls.
 *
 * @typeParam T what it gives
 * @typeParam Inputs the values that it is sent with: the parameters of the function that was recorded
 */
export class Graph<T = unknown, Inputs extends readonly unknown[] = []> {
  /** The graph itself. */
  readonly data: GraphData
  #ports: GraphPorts

  constructor(data: GraphData, ports: GraphPorts) {
    this.data = data
    this.#ports = ports
  }

  /** Makes its calls: one message to each object, results going directly from the one to the other. @throws `GRAPH_INPUTS`; it rejects with it */
  async send(...inputs: Inputs): Promise<T> {
    this.checkInputs(...inputs)
    return this.#ports.send(this.data, inputs) as Promise<T>
  }

  /**
   * Refuses other values than it was recorded with: a call would get `undefined` for one that is missing. The stored form lists the inputs, so
   * this holds of a graph that was loaded, too. Sending does it, and a schedule when it is declared.
   * @throws `GRAPH_INPUTS`
   */
  checkInputs(...given: readonly unknown[]): void {
    const takes = this.data.inputs.length
    if (given.length === takes) return
    throw new DotdoError(
      'GRAPH_INPUTS',
      `This graph takes ${takes} ${takes === 1 ? 'value' : 'values'}, got ${given.length}. Give one for each parameter of the function that was recorded.`,
      { data: { takes, got: given.length } },
    )
  }

  /** What it would send, in words, as data, and as a drawing. Nothing is sent. */
  explain(): GraphExplanation {
    const data = planGraph(this.data)
    return { text: printPlan(data), data, drawing: drawPlan(data) }
  }

  /** What sending it costs, as far as it is known before. */
  price(): GraphPrice {
    return priceGraph(this.data)
  }

  /**
   * Makes its calls with every writer a recorder: tables, events, requests that may write, runs and schedules of all objects that take part, and what they write to
   * their own storage, are written down and do not happen. What is called of a bare binding does happen, and is named with `made`.
   * @throws `GRAPH_INPUTS`; it rejects with it
   */
  async dryRun(...inputs: Inputs): Promise<DryRun<T>> {
    this.checkInputs(...inputs)
    return this.#ports.dryRun(this.data, inputs) as Promise<DryRun<T>>
  }

  /** Its text, to be stored: `graph.load` reads it, in this release and in later ones. @throws `NOT_STORABLE` */
  save(): string {
    return writeGraph(this.data)
  }
}

/** Records a graph. @throws what {@link recordGraph} throws */
export function makeGraph(work: (...inputs: never[]) => unknown, ports: GraphPorts): Graph<unknown, unknown[]> {
  return new Graph<unknown, unknown[]>(recordGraph(work), ports)
}

/** Reads a graph that was saved. @throws `GRAPH_INVALID`, `STATE_TOO_NEW` */
export function loadGraph(text: string, ports: GraphPorts): Graph<unknown, unknown[]> {
  return new Graph<unknown, unknown[]>(readGraph(text), ports)
}
