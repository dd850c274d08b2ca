/** The nouns that work on rows: a source, stages and shards. They know nothing of who calls them. */
import { RpcTarget as NativeTarget, WorkerEntrypoint } from 'cloudflare:workers'
import { RpcTarget } from 'capnweb'
import { DO, DotdoError, SqliteScanner } from 'dotdo'

/** One event, as it leaves the source. */
export interface Row {
  id: number
  user: string
  amount: number
  stages: string[]
}

/** A capability that an object hands out: it belongs to the instance and counts its uses. */
class Cursor extends RpcTarget {
  #next = 0
  take(n: number): number[] {
    return Array.from({ length: n }, () => this.#next++)
  }
}

/** A capability that leads to others of its kind, within one object. */
class Step extends RpcTarget {
  readonly #depth: number
  constructor(depth: number) {
    super()
    this.#depth = depth
  }
  step(): Step {
    return new Step(this.#depth + 1)
  }
  depth(): number {
    return this.#depth
  }
}

export const Source = DO.extend({
  extracted: 0,
  /** `count` rows, the same ones each time. */
  extract(count = 6): Row[] {
    this.extracted++
    return Array.from({ length: count }, (_, id) => ({ id, user: `u${id % 3}`, amount: id * 10, stages: [] }))
  },
  bytes(length: number) {
    return new Uint8Array(length).fill(7)
  },
  /** Bytes as a stream, in pieces. */
  stream(pieces: number, pieceBytes: number) {
    let left = pieces
    return new ReadableStream({
      type: 'bytes',
      pull(controller) {
        if (left-- > 0) controller.enqueue(new Uint8Array(pieceBytes).fill(left + 1))
        else controller.close()
      },
    })
  },
  cursor() {
    return new Cursor()
  },
  times() {
    return this.extracted
  },
  fail(): never {
    throw new DotdoError('SOURCE_DRY', `The source ${this.id} is dry. Take another one.`, { data: { id: this.id }, retryable: true })
  },
  async slow(delayMs: number) {
    await new Promise((resolve) => setTimeout(resolve, delayMs))
    return 'at last'
  },
})

export const Stage = DO.extend({
  seen: [] as unknown[],
  run(rows: Row[]): Row[] {
    return rows.map((row) => ({ ...row, stages: [...row.stages, this.id] }))
  },
  /** Writes down what came, in the order in which it came. */
  note(value: unknown) {
    this.seen.push(value)
    return this.seen.length
  },
  notes() {
    return this.seen
  },
  count(rows: Row[]) {
    return rows.length
  },
  double(n: number) {
    return n * 2
  },
  add(a: number, b: number) {
    return a + b
  },
  list(length: number) {
    return Array.from({ length }, (_, i) => i)
  },
  /** The first of a chain of capabilities of this object. */
  step() {
    return new Step(1)
  },
  /** Many capabilities in one result. */
  steps(length: number) {
    return Array.from({ length }, (_, depth) => new Step(depth))
  },
  /** Another stage, as a capability. */
  next(id: string) {
    return this.Stage(id)
  },
  async report(rows: Row[], progress: (done: number) => unknown) {
    for (const { id } of rows) await progress(id)
    return rows.length
  },
  firstAndLast(bytes: Uint8Array) {
    return [bytes[0], bytes.at(-1)]
  },
  async length(stream: ReadableStream<Uint8Array>) {
    let bytes = 0
    for await (const piece of stream as unknown as AsyncIterable<Uint8Array>) bytes += piece.length
    return bytes
  },
  /** What can be done with a capability that came as an argument, whoever gave it. */
  async rate(rates: { current(): unknown }) {
    return await rates.current()
  },
  async rateAll(named: { rates: { current(): unknown }[] }) {
    return await Promise.all(named.rates.map((it) => it.current()))
  },
  get name() {
    return `stage ${this.id}`
  },
})

export const Shard = DO.extend({
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, user TEXT, amount INTEGER)')
  },
  /** Keeps the rows that are of this shard, the `index`th of `count`. */
  fill(rows: Row[], index: number, count: number) {
    const own = rows.filter(({ id }) => id % count === index)
    for (const { id, user, amount } of own) this.ctx.storage.sql.exec('INSERT OR REPLACE INTO events VALUES (?, ?, ?)', id, user, amount)
    return own.length
  },
  scanner() {
    return new SqliteScanner(this, ['events'])
  },
})

/** What the entrypoint below hands out natively. */
class Ledger extends NativeTarget {
  current() {
    return { eur: 3, usd: 4 }
  }
}

/** A stateless entrypoint of the user's own, with nothing of dotdo in it. */
export class Rates extends WorkerEntrypoint {
  current() {
    return { eur: 1, usd: 2 }
  }
  async slow() {
    await new Promise((resolve) => setTimeout(resolve, 20))
    return 21
  }
  async broken(): Promise<never> {
    await new Promise((resolve) => setTimeout(resolve, 1))
    throw Object.assign(new Error('no rates today'), { code: 'RATES_CLOSED' })
  }
  ledger() {
    return new Ledger()
  }
}
