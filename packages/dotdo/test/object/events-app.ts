// A method is subscribed by naming it: it is called on its object.
/* oxlint-disable typescript/unbound-method */
/** Nouns whose objects send events to each other, for `events.test.ts`. */
import { DO, DotdoError, IcebergWriter, restore, save } from '../../src/index.ts'

export interface Order {
  n: number
  fail?: 'once' | 'always' | 'never again' | 'after a step'
  wait?: number
}

/** Sends what it is told to. The name of an object says what else it does. */
export const Shop = DO.extend({
  received: [] as unknown[],
  iceberg: null as IcebergWriter | null,
  init() {
    if (this.id.startsWith('to queue')) this.on.Order['*']({ queue: 'ORDERS_QUEUE' })
    if (this.id.startsWith('to nowhere')) this.on.Order['*']({ queue: 'NO_SUCH_QUEUE' }, { retries: { limit: 1, delay: 1 } })
    if (this.id.startsWith('to hook')) {
      const webhook = `http://localhost/${this.id.split(' ').at(-1)}`
      this.on.Order['*']({ webhook, secret: 'HOOK_SECRET' }, { retries: { limit: 1, delay: 1 } })
    }
    if (this.id.startsWith('to table')) {
      this.iceberg = new IcebergWriter({ bucket: this.env.R2_BUCKET, namespace: 'sinks', tableName: 'orders' })
      this.on.Order['*']({ table: this.iceberg })
    }
    if (this.id.startsWith('within')) {
      this.on.Order.paid(({ n }: Order) => {
        this.received.push(n)
      })
    }
    if (this.id === 'queued') {
      this.on.Order['*']((payload, { type, source }) => {
        this.received.push({ type, payload, source })
      })
    }
  },
  pay(orders: Order[]) {
    return orders.map((order) => this.send('Order.paid', order))
  },
  /** Sends in a transaction that stays open over turns, and begins a run there. */
  async payWithin(n: number, end: 'commit' | 'throw' | 'roll back') {
    const undo = new Error('undone')
    try {
      await this.ctx.storage.transaction(async (transaction) => {
        this.send('Order.paid', { n })
        this.runs.start('note', [`run ${n}`])
        await scheduler.wait(20)
        if (end === 'throw') throw undo
        if (end === 'roll back') transaction.rollback()
      })
    } catch (thrown) {
      if (thrown !== undo) throw thrown
    }
  },
  note(what: string) {
    this.received.push(what)
  },
  begin() {
    return this.runs.start('waiting', []).runId
  },
  async waiting() {
    const { payload } = await this.waitFor<Order>('Order.paid', { stepId: 'paid' })
    this.received.push(`got ${payload.n}`)
  },
  async stepWithin() {
    return await this.ctx.storage.transaction(async () => await this.do(() => 1, { stepId: 'within' }))
  },
  payLargest(bytes: number) {
    return this.send('Order.paid', { n: 0, text: 'x'.repeat(bytes) })
  },
  look() {
    return { subscriptions: this.events.subscriptions(), dead: this.events.deadLetters(), sent: this.events.sent() }
  },
  replay(which: string | { type?: string }) {
    return this.events.replay(which)
  },
  drop(which: string | { type?: string }) {
    return this.events.discard(which)
  },
  resume(id: string) {
    this.events.resume(id)
  },
  rows() {
    return this.iceberg!.snapshot()
  },
  taken() {
    return this.received
  },
})

/** Subscribes as its name says: `<how> <source>`. What it handled is in its SQLite. */
export const Bills = DO.extend({
  seen: [] as unknown[],
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS paid (n INTEGER, at TEXT)')
    const [how = '', source = ''] = this.id.split(' ')
    if (source === '') return
    const orders = this.Shop(source)
    const retries = { limit: 2, delay: 1 }
    if (how === 'declared') orders.on.Order.paid((order: Order) => this._take(order, 'sync'), { id: 'bill', retries })
    if (how === 'steps') orders.on.Order.paid((order: Order) => this._steps(order), { id: 'bill', retries })
    if (how === 'slow')
      orders.on.Order.paid(
        async (order: Order) => {
          await scheduler.wait(order.wait ?? 0)
          this._take(order, 'async')
        },
        { id: 'bill', ordered: false, retries },
      )
    if (how === 'method') orders.on.Order.paid(this._private, { retries })
  },
  _take(order: Order, at: string) {
    this.ctx.storage.sql.exec('INSERT INTO paid VALUES (?, ?)', order.n, at)
    const times = this.seen.push(order)
    if (order.fail === 'always' || (order.fail === 'once' && times === 1)) throw new Error('not yet')
    if (order.fail === 'never again') throw new DotdoError('NEVER', 'never again')
  },
  _private(order: Order) {
    this._take(order, 'private')
  },
  paid(order: Order) {
    this._take(order, 'method')
  },
  async _steps(order: Order) {
    await this.do(() => this._take({ n: order.n }, 'step'), { stepId: 'bill' })
    if (order.fail === 'after a step' && this.seen.push('failed') < 3) throw new Error('after the step')
    await this.do(() => this._take({ n: order.n + 1000 }, 'step'), { stepId: 'second' })
  },
  /** Subscribes another object's method, and a capability of its own that a token stands for. */
  subscribe(source: string, to: string) {
    return this.Shop(source).on.Order.paid(this.Bills(to).paid).id
  },
  async token(caveats: object) {
    return await save(this, caveats)
  },
  subscribeByToken(source: string, token: string) {
    return this.Shop(source).on.Order.paid(restore<typeof Bills>(token).paid).id
  },
  wrongly(source: string, how: 'closure' | 'path' | 'option' | 'pattern' | 'value') {
    const { on } = this.Shop(source)
    if (how === 'closure') on.Order.paid(() => 0)
    if (how === 'path') on.Order.paid(this.Bills('x').look().paid)
    if (how === 'option') on.Order.paid(this.paid, { retry: 3 } as never)
    if (how === 'pattern') on.order.paid(this.paid)
    if (how === 'value') on.Order.paid('paid' as never)
  },
  unsubscribe(id: string) {
    this.events.unsubscribe(id)
  },
  look() {
    return {
      subscribed: this.events.subscribed(),
      rows: this.ctx.storage.sql.exec<{ n: number; at: string }>('SELECT n, at FROM paid ORDER BY rowid').toArray(),
    }
  },
})
