/**
 * Random programs of calls on a few objects, as data: results as arguments of the same object and of others, capabilities that are kept, maps within maps,
 * failures, and turns in between. Whatever their result is in plain JavaScript, made in the order in which they stand, is their result over links.
 */
import { RpcTarget } from 'capnweb'
import { SeededRandom } from '../support/fakes.ts'
import { turns } from './pair.ts'

export type Arg = { literal: number } | { ref: number; path: string[] } | { list: Arg[] } | { object: number }
/** `anew` is a reference to an object that each turn asks for anew: it has an order of its own. */
export type On = { object: number } | { ref: number; path: string[] } | { anew: number }
/** When the answer of a call is asked for: as soon as it is made, at the end, or never. */
export type Asked = 'now' | 'at the end' | 'never'
export interface Call {
  id: number
  on: On
  method: string
  /** Absent for a read. */
  args?: Arg[]
  asked: Asked
}
export interface Mapped {
  id: number
  on: { ref: number; path: string[] }
  element: number
  body: (Call | Mapped)[]
  result: Arg
  asked: Asked
}
export type Made = Call | Mapped
/** `value` goes on with what was awaited in the place of the promise. */
export type Step = Made | { await: number; value: boolean } | { turns: number }
export interface Program {
  seed: number
  objects: number
  steps: Step[]
}

export class Counter extends RpcTarget {
  #n: number
  constructor(n: number) {
    super()
    this.#n = n
  }
  get() {
    return this.#n
  }
  get value() {
    return this.#n * 2
  }
  times(x: number) {
    return this.#n * x
  }
  plus(x: number) {
    return new Counter(this.#n + x)
  }
}

/** A capability that takes note of its calls. */
export class Tally extends RpcTarget {
  #notes: string[]
  constructor(notes: string[]) {
    super()
    this.#notes = notes
  }
  get count() {
    return this.#notes.length
  }
  add(value: unknown) {
    return this.#notes.push(JSON.stringify(shown(value)))
  }
  async addLater(value: unknown) {
    const count = this.add(value)
    await turns(1)
    return count
  }
}

/** The sum of all numbers in a value; what is no data is one. */
const sum = (value: unknown): number => {
  if (typeof value === 'number') return value
  if (typeof value === 'function' || value instanceof RpcTarget || typeof value !== 'object' || value === null) return 1
  return Object.values(value).reduce((total: number, part) => total + sum(part), 0)
}

/** A value whose capabilities live on after the call that brought them. */
const kept = (value: any): any => {
  if (typeof value === 'function') return value.dup()
  if (value instanceof RpcTarget || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(kept)
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, kept(part)]))
}

/** What programs call. Nothing in it but `noted` and what was stored depends on what was called before. */
export class Thing extends RpcTarget {
  #factor: number
  #stored: any
  /** Read by the test alone. */
  readonly notes: string[] = []
  /** What was noted by the reference that each turn asks for anew: read by the test alone. */
  readonly marks: string[] = []
  /** What was noted by each tally, by its name: read by the test alone. */
  readonly tallies: Record<number, string[]> = {}
  constructor(factor: number) {
    super()
    this.#factor = factor
  }
  get factor() {
    return this.#factor
  }
  get noted() {
    return this.notes.length
  }
  get marked() {
    return this.marks.length
  }
  num(n: number) {
    return n * this.#factor
  }
  list(n: number) {
    return Array.from({ length: 3 + (Math.abs(n) % 2) }, (_, i) => i + this.#factor)
  }
  lists(n: number) {
    return this.list(n).map((it) => this.list(it))
  }
  record(x: unknown, y: unknown) {
    return { a: x, l: [x, y, { z: y }], 'a.l': sum(y) }
  }
  sum(...values: unknown[]) {
    return sum(values) + this.#factor
  }
  all(...values: unknown[]) {
    return kept(values)
  }
  async later(n: number) {
    await turns(Math.abs(n) % 5)
    return n + 1
  }
  counter(n: number) {
    return new Counter(n)
  }
  async laterCounter(n: number) {
    await turns(1)
    return new Counter(n)
  }
  counters(n: number) {
    return [0, 1, 2].map((i) => new Counter(n + i))
  }
  tally(name: number) {
    return new Tally((this.tallies[name] = []))
  }
  async laterTally(name: number) {
    const tally = this.tally(name)
    await turns(2)
    return tally
  }
  use(counter: any, x: number) {
    return counter.times(x)
  }
  keep(counter: any) {
    return kept(counter)
  }
  ask(object: any, n: number) {
    return object.num(n)
  }
  fail(code: number): never {
    throw Object.assign(new Error('it fails'), { code: `FAILED ${code}` })
  }
  async failLater(code: number) {
    await turns(2)
    return this.fail(code)
  }
  note(value: unknown) {
    return this.notes.push(JSON.stringify(shown(value)))
  }
  mark(value: unknown) {
    return this.marks.push(JSON.stringify(shown(value)))
  }
  store(counter: any) {
    this.letGo()
    this.#stored = kept(counter)
    return this.notes.push('stored')
  }
  /** Called by the test alone. */
  letGo() {
    this.#stored?.[Symbol.dispose]?.()
  }
  stored(x: number) {
    this.notes.push(`stored ${x}`)
    return this.#stored ? this.#stored.times(x) : -1
  }
}

/** A value with a word in the place of each capability. */
export const shown = (value: any): any => {
  if (typeof value === 'function' || value instanceof RpcTarget) return 'capability'
  if (Array.isArray(value)) return value.map(shown)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, shown(part)]))
}

type Kind = 'number' | 'list' | 'lists' | 'record' | 'counter' | 'counters' | 'tally' | 'count' | 'data'
interface Known {
  id: number
  kind: Kind
  mayFail: boolean
}
type Wanted = Kind | 'any data' | 'object'

const pure: [string, Wanted[], Kind][] = [
  ['num', ['number'], 'number'],
  ['list', ['number'], 'list'],
  ['list', ['number'], 'list'],
  ['lists', ['number'], 'lists'],
  ['record', ['number', 'number'], 'record'],
  ['sum', ['any data', 'any data'], 'number'],
  ['all', ['any data', 'any data'], 'data'],
  ['later', ['number'], 'number'],
  ['counter', ['number'], 'counter'],
  ['laterCounter', ['number'], 'counter'],
  ['counters', ['number'], 'counters'],
  ['use', ['counter', 'number'], 'number'],
  ['keep', ['counter'], 'counter'],
  ['ask', ['object', 'number'], 'number'],
]
const ordered: [string, Wanted[], Kind][] = [
  ['note', ['any data'], 'number'],
  ['note', ['any data'], 'number'],
  ['store', ['counter'], 'number'],
  ['stored', ['number'], 'number'],
]
const ofCounter: [string, Wanted[], Kind][] = [
  ['get', [], 'number'],
  ['times', ['number'], 'number'],
  ['plus', ['number'], 'counter'],
]

const ofTally: [string, Wanted[], Kind][] = [
  ['add', ['any data'], 'number'],
  ['add', ['any data'], 'number'],
  ['addLater', ['any data'], 'number'],
]

/** Draws a program. @param reads whether something is read that calls change: a graph reads it where its result stands */
export function program(seed: number, reads: boolean): Program {
  const random = new SeededRandom(seed)
  const chance = (p: number) => random.next() < p
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)]!
  const objects = 1 + random.below(3)
  const fails = chance(0.5)
  let ids = 0

  const numbersIn = ({ id, kind }: Known): Arg[] => {
    if (kind === 'number') return [{ ref: id, path: [] }]
    if (kind === 'list') return [{ ref: id, path: [String(random.below(3))] }]
    if (kind === 'lists') return [{ ref: id, path: [String(random.below(3)), String(random.below(3))] }]
    if (kind === 'record') return [{ ref: id, path: pick([['a'], ['l', '0'], ['l', '2', 'z'], ['a.l']]) }]
    return []
  }
  const options = (wanted: Wanted, known: Known[]): Arg[] =>
    known.flatMap((it): Arg[] => {
      const whole = { ref: it.id, path: [] }
      if (wanted === 'number') return numbersIn(it)
      if (wanted === 'any data') return ['counter', 'counters', 'tally', 'count'].includes(it.kind) ? [] : [whole, ...numbersIn(it)]
      if (wanted === 'counter' && it.kind === 'counters') return [{ ref: it.id, path: [String(random.below(3))] }]
      return it.kind === wanted ? [whole] : []
    })
  const argument = (wanted: Wanted, known: Known[]): Arg | undefined => {
    if (wanted === 'object') return { object: random.below(objects) }
    if (wanted === 'any data' && chance(0.15)) return { list: [argument('any data', known)!, argument('number', known)!] }
    const found = options(wanted, known)
    if (found.length > 0 && (wanted === 'counter' || chance(0.8))) return pick(found)
    return wanted === 'counter' ? undefined : { literal: random.below(6) }
  }
  const mayFail = (known: Known[], ...args: (Arg | On)[]): boolean =>
    args.some((arg) => {
      if ('anew' in arg) return false
      if ('list' in arg) return mayFail(known, ...arg.list)
      return 'ref' in arg && known.find(({ id }) => id === arg.ref)!.mayFail
    })

  const call = (known: Known[], isInMap: boolean): [Call, Known] | undefined => {
    const counters = options('counter', known)
    const asked = pick<Asked>(['now', 'at the end', 'at the end', 'never'])
    const id = ids++
    const made = (on: On, method: string, wanted: Wanted[] | undefined, kind: Kind): [Call, Known] | undefined => {
      const args = wanted?.map((it) => argument(it, known))
      if (args?.includes(undefined)) return undefined
      const given = (args ?? []) as Arg[]
      const failing = method.startsWith('fail') || mayFail(known, on, ...given)
      return [
        { id, on, method, ...(args && { args: given }), asked },
        { id, kind, mayFail: failing },
      ]
    }
    if (counters.length > 0 && chance(0.15)) {
      const on = pick(counters) as On
      if (chance(0.25)) return made(on, 'value', undefined, 'number')
      return made(on, ...pick(ofCounter))
    }
    const tallies = isInMap ? [] : known.filter(({ kind }) => kind === 'tally')
    if (tallies.length > 0 && chance(0.4)) {
      const on = { ref: pick(tallies).id, path: [] }
      if (!reads || !chance(0.15)) return made(on, ...pick(ofTally))
      return [
        { id, on, method: 'count', asked: 'now' },
        // A property of a result is read anew wherever it is given.
        { id, kind: 'count', mayFail: mayFail(known, on) },
      ]
    }
    // A graph makes all its calls at once.
    if (reads && chance(0.15)) {
      const anew = { anew: random.below(objects) }
      if (isInMap || chance(0.2)) return made(anew, ...pick(pure))
      if (fails && chance(0.08)) return made(anew, pick(['fail', 'failLater']), ['number'], 'number')
      if (chance(0.9)) return made(anew, 'mark', ['any data'], 'number')
      return [
        { id, on: anew, method: 'marked', asked: 'now' },
        { id, kind: 'number', mayFail: false },
      ]
    }
    const on = { object: random.below(objects) }
    if (!isInMap && chance(0.1)) {
      return [
        { id, on, method: pick(['tally', 'laterTally']), args: [{ literal: id }], asked },
        { id, kind: 'tally', mayFail: false },
      ]
    }
    if (fails && chance(0.08)) return made(on, pick(['fail', 'failLater']), ['number'], 'number')
    if (chance(0.08)) return made(on, 'factor', undefined, 'number')
    if (isInMap || chance(0.65)) return made(on, ...pick(pure))
    // What is read of what was noted is read when it is asked for.
    if (chance(0.1) && reads)
      return [
        { id, on, method: 'noted', asked: 'now' },
        { id, kind: 'number', mayFail: false },
      ]
    return made(on, ...pick(ordered))
  }

  const map = (known: Known[], depth: number): [Mapped, Known] | undefined => {
    const lists = known.filter(({ kind }) => kind === 'list' || kind === 'lists' || kind === 'counters')
    if (lists.length === 0) return undefined
    const list = pick(lists)
    const isDeep = list.kind === 'lists' && chance(0.3)
    const on = { ref: list.id, path: isDeep ? [String(random.below(3))] : [] }
    const kind = list.kind === 'counters' ? 'counter' : list.kind === 'lists' && !isDeep ? 'list' : 'number'
    const element = { id: ids++, kind, mayFail: list.mayFail } satisfies Known
    const inner = [...known, element]
    const body = calls(inner, 1 + random.below(3), depth + 1)
    const made = inner.slice(known.length)
    const last = chance(0.7) ? made.at(-1)! : pick(made)
    const part = { ref: last.id, path: [] }
    const result: Arg = chance(0.25) ? { list: [part, argument('number', inner)!] } : part
    const failing = mayFail(inner, result)
    const lists_: Partial<Record<Kind, Kind>> = { number: 'list', list: 'lists', counter: 'counters' }
    const id = ids++
    return [
      { id, on, element: element.id, body, result, asked: pick<Asked>(['now', 'at the end', 'never']) },
      // A list of which one element fails fails as a whole, and its other elements do not.
      { id, kind: failing || 'list' in result ? 'data' : (lists_[last.kind] ?? 'data'), mayFail: list.mayFail || failing },
    ]
  }

  const calls = (known: Known[], count: number, depth: number): Made[] => {
    const made: Made[] = []
    for (let i = 0; i < count; i++) {
      const one = depth < 3 && chance(0.22) ? map(known, depth) : call(known, depth > 0)
      if (!one) continue
      made.push(one[0])
      known.push(one[1])
    }
    return made
  }

  const known: Known[] = []
  const steps: Step[] = []
  for (let count = 3 + random.below(12); count > 0; count--) {
    if (known.length > 0 && chance(0.15)) {
      const { id, kind } = pick(known)
      // A list that is here has a `.map` of its own.
      steps.push({ await: id, value: chance(0.3) && (kind === 'number' || kind === 'record' || kind === 'counter' || kind === 'tally') })
    }
    if (chance(0.1)) steps.push({ turns: 1 + random.below(3) })
    steps.push(...calls(known, 1, 0))
  }
  return { seed, objects, steps }
}

/** A program as one would write it. */
export function text(steps: readonly Step[], indent = ''): string {
  const argument = (arg: Arg | On): string => {
    if ('literal' in arg) return String(arg.literal)
    if ('anew' in arg) return `anew${arg.anew}`
    if ('object' in arg) return `object${arg.object}`
    if ('list' in arg) return `[${arg.list.map(argument).join(', ')}]`
    return `v${arg.ref}${arg.path.map((name) => (/^\d+$/.test(name) ? `[${name}]` : `['${name}']`)).join('')}`
  }
  const line = (step: Step): string => {
    if ('turns' in step) return `await turns(${step.turns})`
    if ('await' in step) return step.value ? `v${step.await} = await v${step.await}` : `await v${step.await}`
    const asked = step.asked === 'at the end' ? '' : ` // asked ${step.asked}`
    if ('body' in step)
      return `v${step.id} = ${argument(step.on)}.map((v${step.element}) => {\n${text(step.body, `${indent}  `)}\n${indent}  return ${argument(step.result)}\n${indent}})${asked}`
    return `v${step.id} = ${argument(step.on)}.${step.method}${step.args ? `(${step.args.map(argument).join(', ')})` : ''}${asked}`
  }
  return steps.map((step) => indent + line(step)).join('\n')
}
