/**
 * The far object of the conformance suite: a definition as a user writes one, and the capabilities that it hands out. In Node it stands
 * behind the same `Reach` that an object's link exports; in workerd it is made a class by `DO.extend`.
 */
import { RpcStub, RpcTarget } from 'capnweb'
import { reachClass } from '../../src/rpc/reach.ts'
import type { Far } from './kit.ts'
import { print } from './print.ts'
import { failures, sampleOf } from './samples.ts'

/** What a world knows of itself beyond what its methods say. */
interface State {
  total: number
  notes: unknown[]
  disposals: number
  gates: Map<string, PromiseWithResolvers<void>> | null
  kept: Far
}

/** A capability with a state, whose end is written down. */
export class Counter extends RpcTarget {
  #n: number
  #world: State
  /** What stands on the instance is nobody's business but its own. */
  secret = 'not for you'

  constructor(n: number, world: State) {
    super()
    this.#n = n
    this.#world = world
  }
  increment(by = 1): number {
    return (this.#n += by)
  }
  /** Another capability, for chains. */
  plus(by: number): Counter {
    return new Counter(this.#n + by, this.#world)
  }
  /** A list, from behind a capability. */
  counted(count: number): number[] {
    return Array.from({ length: count }, (_, i) => i)
  }
  get value(): number {
    return this.#n
  }
  break(): never {
    throw new RangeError('the counter broke')
  }
  _hidden(): string {
    return 'not for you'
  }
  get _hiddenValue(): string {
    return 'not for you'
  }
  /** Data, whose names are nobody's secret. */
  get row() {
    return { _id: 7, counter: new Counter(1, this.#world) }
  }
  [Symbol.dispose](): void {
    this.#world.disposals++
  }
}

/** A list of two that are one list of two that are one list of two … */
export const sharedParts = (depth: number): unknown => {
  let value: unknown = 'x'
  for (let i = 0; i < depth; i++) value = [value, value]
  return value
}

class Filler extends RpcTarget {
  readonly #buffer = new Uint8Array(4)
  #fills = 0
  fill(): Uint8Array {
    return this.#buffer.fill(++this.#fills)
  }
}

const gate = (world: State, name: string): PromiseWithResolvers<void> => {
  world.gates ??= new Map()
  let found = world.gates.get(name)
  if (!found) world.gates.set(name, (found = Promise.withResolvers()))
  return found
}

const definition = {
  total: 0,
  buffer: null as Uint8Array | null,
  notes: [] as unknown[],
  disposals: 0,
  gates: null as State['gates'],
  kept: null as Far,

  // Calls
  square: (n: number) => n * n,
  sum: (numbers: number[]) => numbers.reduce((a, b) => a + b, 0),
  greet: (name = 'nobody', greeting: unknown = 'hello') => `${String(greeting)} ${name}`,
  nothing() {},
  async later(value: unknown) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    return value
  },
  /** How its arguments look from here. */
  shown: (...args: unknown[]) => args.map((it) => print(it)).join('; '),
  echo: (value: unknown) => value,
  sample: (name: string) => sampleOf(name),
  get label() {
    return 'world'
  },
  get settings() {
    return { size: 3, place: { city: 'Bern' } }
  },
  note(this: State, entry: unknown) {
    return this.notes.push(entry)
  },
  noted(this: State) {
    return this.notes
  },
  add(this: State, n: number) {
    return (this.total += n)
  },
  get sumOfAll(): number {
    return (this as unknown as State).total
  },

  /** The same bytes each time, filled anew. */
  filled(this: State & { buffer: Uint8Array | null }, size: number) {
    this.buffer ??= new Uint8Array(size)
    return this.buffer.fill(++this.total)
  },
  /** A capability whose results are the same bytes each time. */
  filler: () => new Filler(),
  /** Parts that stand in so many places that no message can hold them. */
  shared: (depth: number) => sharedParts(depth),
  failWith: (depth: number): never => {
    throw Object.assign(new Error('with much'), { much: sharedParts(depth) })
  },
  get counted(): number {
    return ++(this as unknown as State).total
  },

  // Time
  async pass(this: State, name: string) {
    await gate(this, name).promise
    return name
  },
  release(this: State, name: string) {
    gate(this, name).resolve()
  },
  never: () => new Promise<never>(() => {}),

  // Capabilities
  counter(this: State, n = 0) {
    return new Counter(n, this)
  },
  async counterLater(this: State, n = 0) {
    await Promise.resolve()
    return new Counter(n, this)
  },
  get standing(): Counter {
    return new Counter(100, this as unknown as State)
  },
  counters(this: State, starts: number[]) {
    return starts.map((n) => new Counter(n, this))
  },
  nested(this: State) {
    return { name: 'nest', deep: { counter: new Counter(5, this), list: [new Counter(6, this)], double: (n: number) => n * 2 } }
  },
  thrice(this: State) {
    const one = new Counter(1, this)
    return [one, one, one]
  },
  doubler: () => (n: number) => n * 2,
  disposed(this: State) {
    return this.disposals
  },
  increment: (counter: Far, by?: number) => counter.increment(by),
  incrementAll: (counters: Far[]) => Promise.all(counters.map((it) => it.increment())),
  incrementIn: (bag: { counter: Far; by: number }) => bag.counter.increment(bag.by),
  back: (stub: RpcStub<Counter>) => stub.dup(),
  backAsItIs: (stub: Far) => stub,
  read: async (counter: Far) => (await counter.value) as unknown,

  // Callbacks
  async call(f: (...args: unknown[]) => unknown, ...args: unknown[]) {
    return await f(...args)
  },
  async callEach(f: (n: number) => unknown, count: number) {
    const answers: unknown[] = []
    for (let i = 0; i < count; i++) answers.push(await f(i))
    return answers
  },
  async callTogether(f: (n: number) => Promise<unknown>, count: number) {
    return await Promise.all(Array.from({ length: count }, (_, i) => f(i)))
  },
  async tell(listener: Far, ...events: unknown[]) {
    for (const event of events) await listener.on(event)
    return await listener.count
  },
  keep(this: State, f: Far) {
    this.kept = f.dup()
  },
  async callKept(this: State, ...args: unknown[]) {
    return (await this.kept(...args)) as unknown
  },
  drop(this: State) {
    this.kept?.[Symbol.dispose]()
    this.kept = null
  },

  // Errors
  fail(kind: keyof typeof failures): never {
    throw failures[kind]()
  },
  async failLater(kind: keyof typeof failures): Promise<never> {
    await Promise.resolve()
    throw failures[kind]()
  },
  unsendable: () => ({ rows: new Map([[1, 2]]) }),
  errors: () => [new TypeError('one'), Object.assign(new Error('two'), { code: 'TWO' })],
  namedErrors: () => ({ list: [failures.named(), 1], deep: { error: failures.named() } }),

  // Lists
  numbers: (count: number) => Array.from({ length: count }, (_, i) => i),
  rows: (count: number) => Array.from({ length: count }, (_, i) => ({ id: i, name: `row ${i}` })),
  nil: () => null,
  undef: () => undefined,
  pair: (a: unknown, b: unknown) => [a, b],
  /** Results that hold what is not there yet: promises of stubs, of this object's own making and of others'. */
  promising: (a: unknown, b: unknown) => {
    const late = new RpcStub((value: unknown) => definition.later(value)) as Far
    return { list: [a, late(b)], late: { value: late(b) } }
  },
  asking: (other: Far, n: number) => ({ answers: [other.square(n), { late: other.later(n) }] }),
  askingToFail: (other: Far) => [other.square(1), other.fail('coded')],
  failAt: (n: number, at: number) => {
    if (n === at) throw new RangeError(`failed at ${n}`)
    return n
  },

  // Streams and Blobs
  stream: (count: number) => streamOf(Array.from({ length: count }, (_, i) => i)),
  streamOf: (name: string) => streamOf([sampleOf(name), 'end']),
  bytes: (chunks: number, size: number) => streamOf(Array.from({ length: chunks }, (_, i) => new Uint8Array(size).fill(i))),
  brokenStream: (count: number) => {
    let sent = 0
    return new ReadableStream<number>({
      pull(controller) {
        if (sent < count) controller.enqueue(sent++)
        else controller.error(new RangeError('the stream broke'))
      },
    })
  },
  endless(this: State) {
    let sent = 0
    return new ReadableStream<number>({
      pull: (controller) => controller.enqueue(sent++),
      cancel: () => void this.notes.push('cancelled'),
    })
  },
  async collect(stream: ReadableStream<unknown>) {
    return await collected(stream)
  },
  streamIn: (count: number) => ({ deep: [definition.stream(count)] }),
  collectIn: async ({ deep }: { deep: ReadableStream<unknown>[] }) => await collected(deep[0]!),
  /** Has a stream and does not read it, until it is released. */
  async hold(this: State, stream: ReadableStream<unknown>) {
    await gate(this, 'hold').promise
    await stream.cancel('held for long enough')
  },
  async firstOf(stream: ReadableStream<unknown>) {
    const reader = stream.getReader()
    const { value } = await reader.read()
    await reader.cancel('enough')
    return value
  },
  async byteCount(stream: ReadableStream<Uint8Array>) {
    let count = 0
    for (const chunk of await collected(stream)) count += chunk.byteLength
    return count
  },
  /** A place to write to; what comes in is noted. */
  sink(this: State) {
    return new WritableStream<unknown>({
      write: (chunk) => void this.notes.push(chunk),
      close: () => void this.notes.push('closed'),
      abort: (reason) => void this.notes.push(`aborted: ${reason instanceof Error ? reason.message : String(reason)}`),
    })
  },
  async writeTo(sink: WritableStream<unknown>, chunks: unknown[]) {
    const writer = sink.getWriter()
    for (const chunk of chunks) await writer.write(chunk)
    await writer.close()
    return chunks.length
  },
  async abortAt(sink: WritableStream<unknown>, reason: string) {
    const writer = sink.getWriter()
    await writer.write('begun')
    await writer.abort(reason)
  },
  blob: (text: string, type: string) => new Blob([text], { type }),
  blobs: (texts: string[]) => texts.map((text) => new Blob([text], { type: 'text/plain' })),
  async textOf(blob: Blob) {
    return `${blob.type}|${await blob.text()}`
  },
  async joined(a: Blob, b: Blob) {
    return `${await a.text()}${await b.text()}`
  },
  response: (text: string) => new Response(text, { status: 201, headers: { 'x-one': '1' } }),
  async requested(request: Request) {
    return `${request.method} ${request.url} ${request.headers.get('x-one')} ${await request.text()}`
  },

  _private: () => 'not for you',
}

/** The methods and fields of a world, as they are given to `DO.extend`. Its type is nobody’s business: cases try every name. */
export const worldDefinition: object = definition

/** A stream of these chunks. */
export function streamOf<T>(chunks: readonly T[]): ReadableStream<T> {
  let next = 0
  return new ReadableStream<T>({
    pull(controller) {
      if (next < chunks.length) controller.enqueue(chunks[next++]!)
      else controller.close()
    },
  })
}

/** Everything that a stream gives. */
export async function collected<T>(stream: ReadableStream<T>): Promise<T[]> {
  const chunks: T[] = []
  const reader = stream.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return chunks
    chunks.push(value)
  }
}

/** A new world, as a link's main capability. Each call enters `enter`, where one is given. */
export function newWorld(): RpcTarget {
  const descriptors = Object.entries(Object.getOwnPropertyDescriptors(worldDefinition))
  const isMethod = ([, it]: [string, PropertyDescriptor]) => typeof it.value === 'function'
  const isGetter = ([, it]: [string, PropertyDescriptor]) => it.get !== undefined
  const names = (which: (entry: [string, PropertyDescriptor]) => boolean) => descriptors.filter(which).map(([name]) => name)
  const fields = descriptors
    .filter((entry) => !isMethod(entry) && !isGetter(entry))
    .map(([name, it]) => [name, structuredClone(it.value) as unknown])
  const self = Object.assign(Object.create(worldDefinition) as object, Object.fromEntries(fields))
  const Reach = reachClass('World', {
    methods: names(isMethod).filter((name) => !name.startsWith('_')),
    getters: names(isGetter),
  })
  return new Reach({ self, enter: (_method, _args, work) => work() })
}
