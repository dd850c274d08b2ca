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

export const Ledger = DO.extend({
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS entries (n INTEGER)')
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
