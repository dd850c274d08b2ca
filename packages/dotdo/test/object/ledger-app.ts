/** An object whose every effect can be counted, and one whose steps cause them. */
import { RpcTarget } from 'capnweb'
import { DO, type StepContext } from '../../src/index.ts'

class Page extends RpcTarget {
  readonly #write: (n: number) => number
  readonly #writeInSteps: (n: number) => Promise<number[]>

  constructor(write: (n: number) => number, writeInSteps: (n: number) => Promise<number[]>) {
    super()
    this.#write = write
    this.#writeInSteps = writeInSteps
  }

  async writeInSteps(n: number) {
    return this.#writeInSteps(n)
  }

  write(n: number) {
    return this.#write(n)
  }
}

/** What a method may do to its object's storage, and what only looks like it. */
const ways = {
  put: (storage) => void storage.put('way', 1),
  'put into kv': (storage) => storage.kv.put('way', 1),
  'insert that gives rows': (storage) => storage.sql.exec('INSERT INTO entries VALUES (0) RETURNING n').one(),
  'insert behind a name': (storage) => storage.sql.exec('WITH it AS (SELECT 0 AS n) INSERT INTO entries SELECT n FROM it'),
  'insert before a look': (storage) => storage.sql.exec('INSERT INTO entries VALUES (0); SELECT 1').one(),
  'insert in a transaction': (storage) => storage.transactionSync(() => void storage.sql.exec('INSERT INTO entries VALUES (0)')),
  'insert that stops half way': (storage) => {
    storage.sql.exec('CREATE TABLE IF NOT EXISTS once (n INTEGER UNIQUE)')
    try {
      storage.sql.exec('INSERT OR FAIL INTO once VALUES (random()), (0), (0)')
    } catch {
      storage.sql.exec('SELECT 1').one()
    }
  },
  look: (storage) => storage.sql.exec('SELECT sum(n) FROM entries').toArray(),
  'look at a key': (storage) => storage.kv.get('way'),
  'update of nothing': (storage) => storage.sql.exec('UPDATE entries SET n = 1 WHERE n < 0'),
  'delete of nothing': (storage) => storage.sql.exec('DELETE FROM entries WHERE n < 0 RETURNING n').toArray(),
} satisfies Record<string, (storage: DurableObjectStorage) => unknown>

export type Way = keyof typeof ways

export const Ledger = DO.extend({
  made: 0,

  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS entries (n INTEGER)')
  },
  /** Gives how often it was called. */
  go(way: Way) {
    ways[way](this.ctx.storage)
    return ++this.made
  },
  /** Writes by an event alone. */
  tell() {
    this.send('Ledger.told')
    return ++this.made
  },
  add(n: number) {
    this.ctx.storage.sql.exec('INSERT INTO entries VALUES (?)', n)
    return this.sum()
  },
  /** The platform's older storage is part of the transaction too. */
  put(n: number) {
    void this.ctx.storage.put('n', n)
    this.ctx.storage.sql.exec('INSERT INTO entries VALUES (?)', n)
    throw new Error('put and then failed')
  },
  sum(): number {
    return Number(this.ctx.storage.sql.exec('SELECT coalesce(sum(n), 0) AS sum FROM entries').one()['sum'])
  },
  async addInSteps(n: number) {
    const first = await this.do(() => this.add(n), { stepId: 'first' })
    await new Promise((resolve) => setTimeout(resolve, 1))
    const second = await this.do(() => this.add(n * 10), { stepId: 'second' })
    return [first, second]
  },
  /** The object dies between its two steps, once. */
  async addAndDie(n: number) {
    await this.do(() => this.add(n), { stepId: 'first' })
    const died = (await this.ctx.storage.get<boolean>('died')) ?? false
    if (!died) {
      await this.ctx.storage.put('died', true)
      await this.ctx.storage.sync()
      this.ctx.abort('for the test')
    }
    return await this.do(() => this.add(n * 10), { stepId: 'second' })
  },
  die() {
    this.ctx.abort('for the test')
  },
  page() {
    return new Page(
      (n) => this.add(n),
      (n) => this.addInSteps(n),
    )
  },
  pageAfterWriting() {
    this.add(1)
    return this.page()
  },
  async kept() {
    return (await this.ctx.storage.get<number>('n')) ?? 0
  },
})

/** The first attempt of a step fails when its calls have been answered. */
function failFirst({ attempt }: StepContext): void {
  if (attempt === 1) throw new Error('after the calls')
}

const retries = { limit: 5, delay: 1 }

export const Payer = DO.extend({
  async pay(ledger: string, method: 'add' | 'addInSteps' | 'addAndDie') {
    return await this.do(
      async (step) => {
        const paid = await this.Ledger(ledger)[method](5)
        failFirst(step)
        return paid
      },
      { stepId: 'pay', retries },
    )
  },
  /** How often a method was called by a step of two attempts. */
  async goTwice(ledger: string, way: Way | 'event') {
    return await this.do(
      async (step) => {
        const made = way === 'event' ? await this.Ledger(ledger).tell() : await this.Ledger(ledger).go(way)
        failFirst(step)
        return made
      },
      { stepId: 'go', retries },
    )
  },
  /** The other object dies when it has answered. */
  async payAndKill(ledger: string) {
    return await this.do(
      async ({ attempt }) => {
        const paid = await this.Ledger(ledger).add(5)
        if (attempt === 1) await this.Ledger(ledger).die()
        return paid
      },
      { stepId: 'pay', retries },
    )
  },
  async payMany(ledger: string) {
    return await this.do(
      async (step) => {
        const sums = await Promise.all([1, 2, 3].map((n) => this.Ledger(ledger).add(n)))
        failFirst(step)
        return sums
      },
      { stepId: 'pay', retries },
    )
  },
  async payWhatAnotherGives(ledger: string, other: string) {
    return await this.do(
      async (step) => {
        const sum = await this.Ledger(ledger).add(this.Ledger(other).add(7))
        failFirst(step)
        return sum
      },
      { stepId: 'pay', retries },
    )
  },
  async payWithTheTime(ledger: string) {
    return await this.do(
      async (step) => {
        await this.Ledger(ledger).add(step.attempt)
        failFirst(step)
      },
      { stepId: 'pay', retries },
    )
  },
  async payAndTakePage(ledger: string) {
    return await this.do(() => this.Ledger(ledger).pageAfterWriting().write(1), { stepId: 'pay', retries: { limit: 0 } })
  },
  async putInVain(ledger: string) {
    return await this.do(() => this.Ledger(ledger).put(3), { stepId: 'put', retries: { limit: 2, delay: 1 } })
  },
  /** On what a call gave: the other object dies when the first attempt has its answer. */
  async payByPage(ledger: string) {
    return await this.do(
      async ({ attempt }) => {
        const paid = await this.Ledger(ledger).page().write(5)
        const later = await (await this.Ledger(ledger).page()).writeInSteps(6)
        if (attempt === 1) await this.Ledger(ledger).die()
        return [paid, later]
      },
      { stepId: 'pay', retries },
    )
  },
  async payTwiceInTwoSteps(ledger: string) {
    const first = await this.do(() => this.Ledger(ledger).add(1), { stepId: 'one' })
    const second = await this.do(() => this.Ledger(ledger).add(1), { stepId: 'two' })
    return [first, second]
  },
  async inACircle(ledger: string, depth: number): Promise<number> {
    return await this.do(
      async (step) => {
        const sum = depth === 0 ? await this.Ledger(ledger).add(1) : await this.Payer(`circle ${depth % 2}`).inACircle(ledger, depth - 1)
        failFirst(step)
        return sum
      },
      { stepId: `turn ${depth}`, retries },
    )
  },
})
