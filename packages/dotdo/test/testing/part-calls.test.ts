/** Calls that steps make on what a call gave: once each in effect, whichever way it is come by, and whoever dies meanwhile. */
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { DO, narrow, restore, save, type StepContext } from '../../src/index.ts'
import { testApp } from '../../src/testing.ts'

interface Till {
  _note(n: number): number
  do: (fn: () => unknown, options: { stepId: string }) => Promise<unknown>
  sleep: (duration: string, options: { stepId: string }) => Promise<void>
}

/** What a shop gives. */
class Cart extends RpcTarget {
  readonly #shop: Till

  constructor(shop: Till) {
    super()
    this.#shop = shop
  }

  get box() {
    return new Cart(this.#shop)
  }
  add(n: number) {
    return this.#shop._note(n)
  }
  look() {
    return 'looked'
  }
  addAndGive(n: number) {
    this.#shop._note(n)
    return new Cart(this.#shop)
  }
  addInVain(n: number) {
    this.#shop._note(n)
    throw new Error('no')
  }
  async addInSteps(n: number) {
    await this.#shop.do(() => this.#shop._note(n), { stepId: 'first' })
    await this.#shop.sleep('1s', { stepId: 'nap' })
    return this.#shop.do(() => this.#shop._note(n), { stepId: 'second' })
  }
  /** A call that goes on and has no steps. */
  async addLater(n: number) {
    await Promise.resolve()
    return this.#shop._note(n)
  }
}

const Shop = DO.extend({
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS sold (n INTEGER)')
  },
  _note(n: number) {
    this.ctx.storage.sql.exec('INSERT INTO sold VALUES (?)', n)
    return n
  },
  add(n: number) {
    return this._note(n)
  },
  async addInSteps(n: number) {
    await this.do(() => this._note(n), { stepId: 'first' })
    return await this.do(() => this._note(n), { stepId: 'second' })
  },
  /** A step that looks at the run of another object. */
  async cameFrom() {
    await this.do(() => 1, { stepId: 'begins' })
    return await this.do(() => this.runs.get(this.runs.list()[0]!.runId).lineage(), { stepId: 'looks' })
  },
  /** Comes later than what is called after it. */
  async later(n: number) {
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
    return n
  },
  order(): number[] {
    return [...this.ctx.storage.sql.exec('SELECT n FROM sold ORDER BY rowid')].map((row) => Number(row['n']))
  },
  sold(): number {
    return Number(this.ctx.storage.sql.exec('SELECT count(*) AS n FROM sold').one()['n'])
  },
  cart(_of = 'all') {
    return new Cart(this as unknown as Till)
  },
  get stock() {
    return new Cart(this as unknown as Till)
  },
  carts() {
    return { first: new Cart(this as unknown as Till), label: 'a list' }
  },
  adder() {
    return (n: number) => this._note(n)
  },
  /** Another object, as a whole. */
  partner(name: string) {
    return this.Shop(name)
  },
  /** What another object has given. */
  async partOf(name: string) {
    return await this.Shop(name).cart()
  },
  async limited(name: string) {
    return narrow(await this.Shop(name).cart(), { only: ['add'] })
  },
  echo(cap: { dup(): unknown }) {
    return cap.dup()
  },
  token() {
    return save(this.Shop(this.id).cart(), { uses: 1 })
  },
  ownToken() {
    return save(this, { only: ['addInSteps'] })
  },
})

/** The first attempt of a step fails when its calls have been answered. */
function failFirst<T>({ attempt }: StepContext, given: T): T {
  if (attempt === 1) throw new Error('after the calls')
  return given
}

const retries = { limit: 5, delay: 1000 }

/** What steps of a buyer do, by name. `shop` is where it has to show. */
const ways = {
  chain: (it, shop) => it.Shop(shop).cart().add(1),
  awaited: async (it, shop) => (await it.Shop(shop).cart()).add(1),
  'kept promise': async (it, shop) => {
    const cart = it.Shop(shop).cart()
    await cart
    return cart.add(1)
  },
  'under way': async (it, shop) => {
    const cart = it.Shop(shop).cart()
    // Long enough for it to have left.
    void cart.then(() => undefined)
    for (let i = 0; i < 40; i++) await Promise.resolve()
    return cart.add(1)
  },
  property: (it, shop) => it.Shop(shop).stock.add(1),
  'property of a property': (it, shop) => it.Shop(shop).cart().box.add(1),
  'part of a list': async (it, shop) => (await it.Shop(shop).carts()).first.add(1),
  'part of what is not here': (it, shop) => it.Shop(shop).carts().first.add(1),
  function: async (it, shop) => (await it.Shop(shop).adder())(1),
  narrowed: (it, shop) => narrow(it.Shop(shop).cart(), { until: '1d', uses: 3 }).add(1),
  'narrowed object': (it, shop) => narrow(it.Shop(shop), { only: ['add'], until: '1d', uses: 3 }).add(1),
  'another object': async (it, shop) => (await it.Shop('giver').partner(shop)).add(1),
  'another object, at once': (it, shop) => it.Shop('giver').partner(shop).add(1),
  'part of another object': (it, shop) => it.Shop('giver').partner(shop).cart().add(1),
  'what another object passes on': async (it, shop) => (await it.Shop('giver').partOf(shop)).add(1),
  'what another object passes on, at once': (it, shop) => it.Shop('giver').partOf(shop).add(1),
  'what another object narrows': (it, shop) => it.Shop('giver').limited(shop).add(1),
  later: (it, shop) => it.Shop(shop).cart().addLater(1),
} satisfies Record<string, (it: Far, shop: string) => unknown>

type Way = keyof typeof ways
// Every part of it is what it is asked to be.
// oxlint-disable-next-line typescript/no-explicit-any
type Far = any

const Buyer = DO.extend({
  /** A step that fails once, when its calls have been made. */
  async buy(way: Way, shop: string): Promise<unknown> {
    return await this.do(async (step) => failFirst(step, await ways[way](this, shop)), { stepId: 'buy', retries })
  },
  /** The same with what was there before the step. */
  async buyOf(shop: string) {
    const cart = (await this.Shop(shop).cart()) as Far
    return await this.do(async (step) => failFirst(step, (await cart.add(1)) as number), { stepId: 'buy', retries })
  },
  async buyAndDie(way: Way, shop: string): Promise<unknown> {
    return await this.do(() => ways[way](this, shop), { stepId: 'buy', retries })
  },
  /** What another object has from this one. */
  async sendRound(shop: string) {
    const call = async () => (this.Shop('giver') as Far).echo(await this.Shop(shop).cart()).add(1) as unknown
    return await this.do(call, { stepId: 'round', retries: { limit: 0 } })
  },
  async call(shop: string, method: string, retried = true) {
    const call = () => (this.Shop(shop).cart() as Far)[method](1) as unknown
    return await this.do(async (step) => failFirst(step, await call()), { stepId: 'buy', retries: retried ? retries : { limit: 0 } })
  },
  async present(token: string, method: string) {
    const call = async (): Promise<unknown> => (restore(token) as Far)[method](1)
    return await this.do(async (step) => failFirst(step, await call()), { stepId: 'buy', retries })
  },
  async many(shop: string) {
    return await this.do(
      async (step) => {
        const cart = this.Shop(shop).cart()
        return failFirst(step, await Promise.all([cart.add(1), cart.add(2), this.Shop(shop).cart().add(3), cart.look()]))
      },
      { stepId: 'buy', retries },
    )
  },
  /** Calls on one reference, of which the first waits for another object's answer. */
  async inLine(way: 'at once' | 'awaited' | 'property' | 'through another' | 'under way' | 'object', shop: string): Promise<unknown> {
    const calls = async () => {
      const slow = (n: number) => (this.Shop('other') as Far).later(n) as unknown
      const it = this.Shop(shop) as Far
      const through = (this.Shop('giver') as Far).partOf(shop)
      const cart = way === 'object' ? it : way === 'property' ? it.stock : way === 'through another' ? through : it.cart()
      if (way === 'awaited') await cart
      if (way === 'under way') await this.Shop('other').later(0)
      const first = cart.add(slow(1))
      const third = () => (way === 'property' ? it : cart).add(slow(3)) as unknown
      return await Promise.all([first, cart.add(2), third(), cart.add(4)])
    }
    return await this.do(async (step) => failFirst(step, await calls()), { stepId: 'buy', retries })
  },
  async withOtherCart(shop: string) {
    return await this.do(async (step) => failFirst(step, await this.Shop(shop).cart(`${step.attempt}`).add(1)), { stepId: 'buy', retries })
  },
  async lookAt(shop: string) {
    return await this.do(() => (this.Shop(shop) as Far).cameFrom() as unknown, { stepId: 'look' })
  },
  async twice(shop: string) {
    const cart = (await this.Shop(shop).cart()) as Far
    await this.do(() => cart.add(1) as number, { stepId: 'one' })
    await this.do(() => cart.add(1) as number, { stepId: 'two' })
  },
})

const failure = (call: PromiseLike<unknown>) =>
  Promise.resolve(call).then(
    (value) => ({ answered: value }),
    (error: unknown) => codeOf(error) ?? (error as Error).message,
  )

async function open() {
  const app = await testApp({ Shop, Buyer })
  const shop = app.Shop('s') as Far
  const buyer = app.Buyer('b') as Far
  const sold = (): Promise<number> => app.until(shop.sold() as Promise<number>)
  return { app, shop, buyer, sold }
}

describe('a call on what a call gave, in a step that is attempted again,', () => {
  test.each(Object.keys(ways) as Way[])('takes effect once: %s', async (way) => {
    const { app, buyer, sold } = await open()
    expect(await app.until(buyer.buy(way, 's'))).toBe(1)
    expect(await sold()).toBe(1)
    app.close()
  })

  test('takes effect once where a token stands for it, and uses that up once', async () => {
    const { app, shop, buyer, sold } = await open()
    const token = await app.until(shop.token())
    expect(await app.until(buyer.present(token, 'add'))).toBe(1)
    expect(await sold()).toBe(1)
    expect(await app.until(failure((app.Buyer('c') as Far).present(token, 'add')))).toBe('CAPABILITY_USED_UP')
    app.close()
  })

  test('is one run where a token stands for the object itself', async () => {
    const { app, shop, buyer, sold } = await open()
    const token = await app.until(shop.ownToken())
    expect(await app.until(buyer.present(token, 'addInSteps'))).toBe(1)
    expect(await sold()).toBe(2)
    expect(app.runs('Shop/s')).toHaveLength(1)
    app.close()
  })

  test('takes effect once where it was there before the step, and in each step', async () => {
    const { app, buyer, sold } = await open()
    expect(await app.until(buyer.buyOf('s'))).toBe(1)
    expect(await sold()).toBe(1)
    await app.until(buyer.twice('s'))
    expect(await sold()).toBe(3)
    app.close()
  })

  test('is told from others of its step', async () => {
    const { app, buyer, sold } = await open()
    expect(await app.until(buyer.many('s'))).toEqual([1, 2, 3, 'looked'])
    expect(await sold()).toBe(3)
    app.close()
  })

  test.each(['at once', 'awaited', 'property', 'through another', 'under way', 'object'])(
    'is made in the order in which its step calls, whatever its arguments wait for: %s',
    async (way) => {
      const { app, shop, buyer } = await open()
      expect(await app.until(buyer.inLine(way, 's'))).toEqual([1, 2, 3, 4])
      expect(await app.until(shop.order())).toEqual([1, 2, 3, 4])
      app.close()
    },
  )

  test('is refused where another attempt came to it with other arguments', async () => {
    const { app, buyer, sold } = await open()
    expect(await app.until(failure(buyer.withOtherCart('s')))).toBe('CALL_CHANGED')
    expect(await sold()).toBe(1)
    app.close()
  })

  test('becomes a run where it gives a promise, and what that does in steps is done once', async () => {
    const { app, buyer, sold } = await open()
    expect(await app.until(buyer.call('s', 'addInSteps'))).toBe(1)
    expect(await sold()).toBe(2)
    expect(app.runs('Shop/s')).toMatchObject([{ status: 'done', steps: ['first: done, 1', 'nap: sleep, done', 'second: done, 1'] }])
    app.close()
  })

  test('is refused where it writes and gives a capability, and where the capability lives elsewhere, with nothing written', async () => {
    const { app, buyer, sold } = await open()
    expect(await app.until(failure(buyer.call('s', 'addAndGive', false)))).toBe('RESULT_NOT_KEPT')
    expect(await app.until(failure(buyer.call('s', 'addInVain', false)))).toBe('no')
    expect(await app.until(failure(buyer.sendRound('s')))).toBe('CAPABILITY_ELSEWHERE')
    expect(await app.until(failure(buyer.call('s', 'nothing', false)))).toBe('METHOD_UNKNOWN')
    expect(await sold()).toBe(0)
    app.close()
  })
})

test('a step that asks for lineage is told of the runs of other objects', async () => {
  const { app, buyer } = await open()
  expect(await app.until(buyer.lookAt('s'))).toMatchObject({ runs: [{ object: 'Shop/s' }, { object: 'Buyer/b' }], missing: [] })
  app.close()
})
