/** What a graph would send: which messages, to whom, with what in them, and what goes from one object to another. */
import { drawFlowchart, type FlowNode } from '../base/flowchart.ts'
import { isGraphRef, type GraphData, type GraphNode, type GraphPlace } from './graph-data.ts'
import { objectLabel } from './origin.ts'
import { estimateBytes } from './stats.ts'

/** One message: everything that a graph has to say to one object. */
export interface PlannedMessage {
  /** `Noun/name`. */
  object: string
  /** The calls in it, as they would be written. */
  calls: string[]
  /** Bytes of its arguments, estimated; what other objects hand to it is not known before. */
  bytes: number
}

/** A result that goes from one object to another. */
export interface PlannedHandOff {
  from: string
  to: string
  /** The call whose result it is. */
  result: string
}

/** What a graph would send, in the order of its calls. */
export interface GraphPlan {
  messages: PlannedMessage[]
  handOffs: PlannedHandOff[]
  /** Trips until the last answer: one, and half a one for each hand-off that another waits for. Links are taken to be equally long. */
  trips: number
}

/** What sending a graph costs, as far as it is known before. */
export interface GraphPrice {
  calls: number
  messages: number
  handOffs: number
  trips: number
  /** Bytes of the arguments, estimated. Results and what a `.map` multiplies are not known before. */
  bytes: number
  /** What the figures leave out, in words. */
  unknown: string[]
}

/** Plans a graph. */
export function planGraph({ nodes }: GraphData): GraphPlan {
  const objects = new Map<string, PlannedMessage>()
  const home = new Map<number, { object: string; text: string; halfTrips: number }>()
  const handOffs: PlannedHandOff[] = []
  let most = 0

  const add = (node: GraphNode, within: string | undefined): void => {
    const own = placed(node.on, home)
    const object = own?.object ?? within
    // What an input is called on, nobody knows before.
    if (object === undefined) return
    let halfTrips = own?.halfTrips ?? 0
    for (const on of referred(node.args)) {
      const from = placed(on, home)
      if (!from || !('node' in on)) continue
      if (from.object !== object) handOffs.push({ from: from.object, to: object, result: from.text })
      halfTrips = Math.max(halfTrips, from.halfTrips + (from.object === object ? 0 : 1))
    }
    most = Math.max(most, halfTrips)
    let message = objects.get(object)
    if (!message) objects.set(object, (message = { object, calls: [], bytes: 0 }))
    const before = 'node' in node.on ? (home.get(node.on.node)?.text ?? '…') : object
    const text = `${before}${node.path.map((name) => `.${name}`).join('')}${node.args ? `(${node.args.map((arg) => printed(arg, home)).join(', ')})` : ''}${node.each ? `.map(${node.each.nodes.length} calls each)` : ''}`
    home.set(node.id, { object, text, halfTrips })
    message.calls.push(text)
    message.bytes += estimateBytes(node.args ?? [])
    if (node.each) {
      home.set(node.each.input, { object, text: 'each', halfTrips })
      for (const inner of node.each.nodes) add(inner, object)
    }
  }
  for (const node of nodes) add(node, undefined)
  return { messages: [...objects.values()], handOffs, trips: objects.size === 0 ? 0 : 1 + most / 2 }
}

/** Prices a graph. */
export function priceGraph(data: GraphData): GraphPrice {
  const { messages, handOffs, trips } = planGraph(data)
  const unknown = ['the bytes of results']
  if (data.nodes.some((node) => node.each)) unknown.push('how many elements a .map has')
  if (data.inputs.length > 0) unknown.push('the values that it is sent with')
  const sum = (of: (message: PlannedMessage) => number) => messages.reduce((total, message) => total + of(message), 0)
  return {
    calls: sum(({ calls }) => calls.length),
    messages: messages.length,
    handOffs: handOffs.length,
    trips,
    bytes: sum(({ bytes }) => bytes),
    unknown,
  }
}

/** A plan in words, for a terminal. */
export function printPlan({ messages, handOffs, trips }: GraphPlan): string {
  const lines = [`${count(messages.length, 'message')}, ${count(handOffs.length, 'hand-off')}, ${count(trips, 'trip')}`]
  for (const { object, calls } of messages) lines.push(`→ ${object}`, ...calls.map((call) => `    ${call}`))
  for (const { from, to, result } of handOffs) lines.push(`${from} ⇒ ${to}: the result of ${result}`)
  return lines.join('\n')
}

/** A plan as a drawing in Mermaid's language. */
export function drawPlan({ messages, handOffs }: GraphPlan): string {
  const nodes: FlowNode[] = [
    { id: 'caller', label: 'caller', shape: 'circle' },
    ...messages.map(({ object }) => ({ id: object, label: object })),
  ]
  const calls = messages.map(({ object, calls }) => ({ from: 'caller', to: object, label: count(calls.length, 'call') }))
  const given = handOffs.map(({ from, to, result }) => ({ from, to, label: result.slice(from.length + 1, from.length + 41), heavy: true }))
  return drawFlowchart(nodes, [...calls, ...given])
}

function placed(on: GraphPlace, home: Map<number, { object: string; text: string; halfTrips: number }>) {
  if ('node' in on) return home.get(on.node)
  const object = objectLabel(on)
  return { object, text: object, halfTrips: 0 }
}

/** What the references in a value lead to. */
function referred(value: unknown): GraphPlace[] {
  if (isGraphRef(value)) return [value['dotdo:ref'][0]]
  if (Array.isArray(value)) return value.flatMap(referred)
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(referred)
}

function printed(value: unknown, home: Map<number, { text: string }>): string {
  if (isGraphRef(value)) {
    const [on, ...path] = value['dotdo:ref']
    return [('node' in on ? home.get(on.node)?.text : objectLabel(on)) ?? 'input', ...path].join('.')
  }
  if (typeof value === 'bigint') return `${value}n`
  if (value instanceof Date) return value.toISOString()
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`
  if (Array.isArray(value))
    return value.length > 3 ? `[${value.length} values]` : `[${value.map((part) => printed(part, home)).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    const text = `{ ${Object.entries(value)
      .map(([key, part]) => `${key}: ${printed(part, home)}`)
      .join(', ')} }`
    return text.length > 60 ? `${text.slice(0, 57)}…` : text
  }
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 40 ? `${text.slice(0, 37)}…` : text
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
