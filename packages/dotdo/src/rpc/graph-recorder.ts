/** Writes down the calls that a function makes, instead of making them. */
import { DotdoError } from '../base/errors.ts'
import { frameworkPrefix } from './conversation.ts'
import { graphVersion, type GraphData, type GraphNode, type GraphPlace, type GraphRef } from './graph-data.ts'
import { overLimit } from './limits.ts'
import { refuseOverweight } from './shared-parts.ts'
import type { Answer, Place, Recorder, Stub } from './ref.ts'
import { placeOfRef, recording, type ObjectName } from './ref.ts'

/** How many calls a graph may hold. */
const mostNodes = 10_000

/**
 * Records what `work` does with references. Nothing is sent.
 * @param work called once; a parameter of it is a value that the graph is sent with
 * @throws `GRAPH_NOT_DATA` for what cannot be stored, `GRAPH_AWAITED` for a function that awaits, `LINK_LIMIT`
 */
export function recordGraph(work: (...inputs: never[]) => unknown): GraphData {
  const record: Record = { count: 0 }
  const into = new GraphRecorder(record)
  const inputs: number[] = []
  const result = recording(into, (refer) => {
    const given = Array.from({ length: work.length }, () => {
      inputs.push(record.count)
      return refer(new RecordedAnswer(record, record.count++))
    })
    return work(...(given as never[]))
  })
  refuseAwaited(result)
  return { version: graphVersion, inputs, nodes: into.nodes, result: into.encode(result) }
}

/** The numbering of one graph, with those of its maps. */
interface Record {
  count: number
}

/** An answer that was never asked for. */
class RecordedAnswer implements Answer {
  made?: Answer['made']
  readonly isRecorded = true
  readonly isPromise = true
  readonly isHere = false
  readonly session = undefined
  readonly record: Record
  readonly id: number

  constructor(record: Record, id: number) {
    this.record = record
    this.id = id
  }
  value(): Promise<unknown> {
    return Promise.reject(awaited())
  }
  stub(): Stub {
    throw awaited()
  }
  carry(): Stub {
    throw awaited()
  }
  dispose(): void {}
}

class GraphRecorder implements Recorder {
  readonly nodes: GraphNode[] = []
  #record: Record

  constructor(record: Record) {
    this.#record = record
  }

  call(on: Place, path: readonly string[], args: unknown[] | undefined): Answer {
    return this.#add({ on: this.#place(on), path: [...path], ...(args && { args: this.encode(args) as unknown[] }) })
  }

  map(on: Place, path: readonly string[], mapper: (value: unknown) => unknown): Answer {
    const place = this.#place(on)
    const inner = new GraphRecorder(this.#record)
    const input = this.#record.count++
    const result = recording(inner, (refer) => mapper(refer(new RecordedAnswer(this.#record, input))))
    refuseAwaited(result)
    return this.#add({ on: place, path: [...path], each: { input, nodes: inner.nodes, result: inner.encode(result) } })
  }

  #add(node: Omit<GraphNode, 'id'>): Answer {
    if (this.#record.count >= mostNodes) throw overLimit('graphNodes', this.#record.count + 1, mostNodes)
    const id = this.#record.count++
    this.nodes.push({ id, ...node })
    return new RecordedAnswer(this.#record, id)
  }

  #place(on: Place): GraphPlace {
    if ('noun' in on) return objectPlace(on)
    if ('answer' in on) {
      if (!(on.answer instanceof RecordedAnswer) || on.answer.record !== this.#record) throw notData('an answer of another graph')
      return { node: on.answer.id }
    }
    // A reference from before: the calls that it came to be by are made again.
    if (!on.description) throw notData('a capability that was not made by plain calls of an object')
    // What it may do is its holder's, and a token is a secret.
    if (on.description.path.some(([step]) => step.startsWith(frameworkPrefix))) throw notData('a narrowed or restored reference')
    let place = objectPlace(on.description)
    for (const [step, args] of on.description.path)
      place = this.#place({ answer: this.#add({ on: place, path: [step], ...(args && { args: this.encode(args) as unknown[] }) }) })
    return place
  }

  /** A value with references in it, as data. A copy: what happens to the original later is not in the graph. */
  encode(value: unknown, depth = 0): unknown {
    if (depth === 0) refuseOverweight(value)
    const ref = placeOfRef(value)
    if (ref) return { 'dotdo:ref': [this.#place(ref.on), ...ref.path] } satisfies GraphRef
    if (typeof value === 'function') throw notData('a function')
    if (typeof value === 'symbol') throw notData('a symbol')
    if (typeof value !== 'object' || value === null) return value
    if (depth > 64) throw notData('a value that is deeper than 64 levels, or a circle')
    if (isNativePromise(value)) throw awaited()
    if (Array.isArray(value)) return value.map((part) => this.encode(part, depth + 1))
    const prototype = Object.getPrototypeOf(value) as unknown
    if (prototype !== Object.prototype && prototype !== null) return clonedData(value)
    const copy: globalThis.Record<string, unknown> = {}
    for (const [key, part] of Object.entries(value)) {
      if (key === 'dotdo:ref') throw notData("an object with the key 'dotdo:ref'")
      copy[key] = this.encode(part, depth + 1)
    }
    return copy
  }
}

function clonedData(value: object): unknown {
  const isData = value instanceof Date || ArrayBuffer.isView(value) || value instanceof ArrayBuffer
  if (!isData) throw notData(`a ${value.constructor?.name || 'value of a class'}`)
  return structuredClone(value)
}

/** A function that awaits gives a promise, which nobody will look at: it would reject for the same reason. */
function refuseAwaited(result: unknown): void {
  if (!isNativePromise(result)) return
  ;(result as Promise<unknown>).catch(() => {
    // Thrown below.
  })
  throw awaited()
}

function isNativePromise(value: unknown): boolean {
  return value instanceof Promise && !placeOfRef(value)
}

function notData(what: string): DotdoError {
  return new DotdoError(
    'GRAPH_NOT_DATA',
    `A graph is data, and ${what} is none. Use plain values, objects by this.Noun(id), and results of calls in the graph.`,
    {
      data: { what },
    },
  )
}

function awaited(): DotdoError {
  return new DotdoError(
    'GRAPH_AWAITED',
    'A graph is recorded and not run, so nothing in it can be awaited. Pass the result of one call as an argument of the next, or use .map(), and return what the graph should give.',
  )
}

function objectPlace({ noun, name, jurisdiction }: ObjectName): GraphPlace {
  return { noun, name, ...(jurisdiction !== undefined && { jurisdiction }) }
}
