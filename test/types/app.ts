/** The module of a Worker: what stands here is what `this.Noun(id)` knows, and nobody keeps a list of it. */
import { RpcStub, RpcTarget, WorkerEntrypoint } from 'cloudflare:workers'
import { DO, serve, type Remote } from 'dotdo'

export { DotdoSystem } from 'dotdo'
export { Probe } from './this.ts'
export { Caller } from './nouns.ts'

/** A row of the tests. */
export interface Row {
  id: string
  delay: number
}

/** A capability that belongs to an object. */
export class Counter extends RpcTarget {
  #count = 0

  get count() {
    return this.#count
  }

  add(n: number) {
    return (this.#count += n)
  }

  _hidden() {
    return 1
  }
}

/** Not an object: a stateless entrypoint of the platform's own. */
export class Rates extends WorkerEntrypoint {
  async rate(currency: string) {
    return currency.length
  }
}

/** A tree: a type that is inside of itself. */
export interface Tree {
  label: string
  children: Tree[]
}

export const Stage = DO.extend({
  seen: [] as Row[],
  _secret: 'of its own',

  init() {},

  // A getter says what it gives: the compiler asks for that before it knows what `this` is.
  get size(): number {
    return this.seen.length
  },
  run(batch: number[]) {
    return batch.map((value) => value * 2)
  },
  async rows(): Promise<Row[]> {
    return this.seen
  },
  tree(): Tree {
    return { label: 'root', children: [] }
  },
  maybe(id: string) {
    return this.seen.find((row) => row.id === id)
  },
  _hidden() {
    return 1
  },

  counter() {
    return new Counter()
  },
  counters() {
    return [new Counter()]
  },
  report() {
    return { at: new Date(), counter: new Counter(), again: () => new Date().toISOString(), rows: this.seen }
  },
  names() {
    return ['a']
  },
  lookup(options: { id: string; limit?: number }) {
    return { ...options }
  },

  /** Its parameter is what it gets: a stub. */
  countWith(counter: Remote<Counter>, times: number) {
    return counter.add(times)
  },
  /** A parameter by its class is a stub as well. */
  adopt(counter: Counter) {
    return counter.count
  },
  /** A callback runs where it comes from, so its answer is there later. */
  each(callback: (row: Row, counter: Counter) => Promise<boolean>) {
    return Promise.all(this.seen.map((row) => callback(row, new Counter())))
  },
  told(callback: (row: Row) => void) {
    for (const row of this.seen) callback(row)
  },

  read() {
    return new ReadableStream<Uint8Array>()
  },
  async write(stream: ReadableStream<Uint8Array>, name: string) {
    await stream.cancel()
    return name
  },
  /** A service of the platform's, called where it arrives. */
  async rate(rates: Service<typeof Rates>, amount: number) {
    return (await rates.rate('EUR')) * amount
  },
  native() {
    return new RpcStub(new Counter())
  },
  fail(): never {
    throw new Error('always')
  },
  untyped(value: any) {
    return value
  },
  unknown(value: unknown) {
    return value
  },
})

/** Calls others of its kind, itself, and one that calls it: no method says what it returns. */
export const Node = DO.extend({
  visits: 0,
  get peer(): Remote<typeof Peer> {
    return this.Peer(this.id)
  },
  next() {
    return this.Node(`${this.id}+`)
  },
  visit() {
    return ++this.visits
  },
  async ahead() {
    return (await this.next().next().visit()) + (await this.Node('other').visit())
  },
  async there() {
    const there = await this.Peer(this.id).answer()
    return there.length
  },
  back() {
    return 'back'
  },
  /** A method that is defined by itself has to say what it returns, as any function does. */
  async countdown(n: number): Promise<number> {
    return n === 0 ? 0 : await this.Node(this.id).countdown(n - 1)
  },
})

export const Peer = DO.extend({
  async answer() {
    const back = await this.Node(this.id).back()
    const count = await this.Node(this.id).visit()
    return back.repeat(count)
  },
})

/** Its stages are objects of their own. */
export const Pipeline = DO.extend({
  getStage(n: number) {
    return this.Stage(`stage ${n}`)
  },
  stages() {
    return { first: this.Stage('first'), all: ['a', 'b'].map((id) => this.Stage(id)) }
  },
})

/** A capital name that is no class. */
export const Limit = 4

export default serve()
