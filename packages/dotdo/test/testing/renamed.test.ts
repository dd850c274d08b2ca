/**
 * A noun gets another name by a deploy, in the middle of everything: what names its objects by the old one goes on meaning them. One program runs as `Order`, as
 * `Parcel`, and as `Order` again.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { DO, DotdoSystem, grants, graph, restore, revoke, save, serve } from '../../src/index.ts'
import { FleetView } from '../../src/object/fleet-view.ts'
import { testApp } from '../../src/testing.ts'
import { outside } from './simulated.ts'

type Call = (...args: unknown[]) => Promise<unknown>
type Objects = Record<string, (name: string) => Record<string, Call>>
type Sources = Record<string, (name: string) => { on: Record<string, Record<string, (fn: unknown, options: object) => unknown>> }>
type App = Awaited<ReturnType<typeof testApp>> & Objects

let app: App
afterEach(() => app.close())

/** Handlers refuse what comes: what is sent waits then. */
let isClosed = false
/** The desk knows of orders no more. */
let isDeleted = false

interface Names {
  /** What `Order` is called. */
  order?: string
  /** What `Desk` is called. */
  desk?: string
  /** What `Ledger` is called. */
  ledger?: string
  renamed?: Record<string, string>
}

/** Orders count what is paid, in a ledger; a desk has their tokens and hears of their events, and they hear of the desk's. */
function shop({ order = 'Order', desk = 'Desk', ledger = 'Ledger', renamed }: Names = {}) {
  const note = (self: { ctx: { storage: { sql: SqlStorage } } }, text?: unknown): unknown[] => {
    const { sql } = self.ctx.storage
    if (text !== undefined && isClosed) throw new Error('closed')
    sql.exec('CREATE TABLE IF NOT EXISTS notes (text)')
    if (text !== undefined) sql.exec('INSERT INTO notes VALUES (?)', text as string)
    return [...sql.exec('SELECT text FROM notes')].map((row) => row['text'])
  }
  const Order = DO.extend({
    init() {
      const desks = (this as unknown as Sources)[desk]!
      desks('main').on['Desk']!['rang']!((text: string) => void note(this, text), { id: 'rings' })
      this.on['Order']!['paid']!((n: number) => void note(this, `own ${n}`), { id: 'own' })
    },
    pay(n: number) {
      this.send('Order.paid', n)
    },
    begin(n: number) {
      return this.runs.start('book', [n]).runId
    },
    async book(n: number) {
      const main = (this as unknown as Objects)[ledger]!('main')
      const total = await this.do(() => main['add']!(n), { stepId: 'add' })
      await this.sleep('1h', { stepId: 'rest' })
      return [total, await this.do(() => main['add']!(n), { stepId: 'more' })]
    },
    notes() {
      return note(this)
    },
    use(token: string) {
      return (restore(token) as unknown as Record<string, Call>)['secret']!()
    },
    given: () => grants(),
    subscriptions() {
      return this.events.subscriptions()
    },
    sources() {
      return this.events.sent().map(({ source }) => source)
    },
    fails(): Promise<unknown> {
      const fail = (): string => {
        throw new Error('broken')
      }
      return this.do(fail, { stepId: 'fail', retries: { limit: 0 } })
    },
  })
  const Desk = DO.extend({
    init() {
      const orders = (this as unknown as Sources)[order]!
      if (isDeleted) return
      orders('1').on['Order']!['paid']!((n: number) => void note(this, n), { id: 'paid' })
    },
    notes() {
      return note(this)
    },
    ring(text: string) {
      this.send('Desk.rang', text)
    },
    token(noun: string, uses: number) {
      return save((this as unknown as Objects)[noun]!('1'), { only: ['notes'], uses })
    },
    secret: () => 'of the desk',
    tokenFor(object: string) {
      return save(this as object, { holder: { object } })
    },
    use(token: string) {
      return (restore(token) as unknown as Record<string, Call>)['notes']!()
    },
    takeBack: (token: string) => revoke(token),
    subscribed() {
      return this.events.subscribed()
    },
    subscriptions() {
      return this.events.subscriptions()
    },
    drawn(noun: string) {
      return graph(() => (this as unknown as Objects)[noun]!('1')['notes']!() as never).save()
    },
    draw(text: string) {
      return graph.load(text).send()
    },
    async calls(noun: string) {
      const call = (): PromiseLike<string> => (this as unknown as Objects)[noun]!('1')['notes']!() as Promise<string>
      return await this.do(call, { stepId: 'call', retries: { limit: 1 } })
    },
  })
  const Ledger = DO.extend({
    add(n: number) {
      note(this, n)
      return note(this).length
    },
    total() {
      return note(this).length
    },
  })
  return { [order]: Order, [desk]: Desk, [ledger]: Ledger, DotdoSystem, default: serve({ ...(renamed && { renamed }) }) }
}

const renamed = { Order: 'Parcel' }
const asParcel = (more: Names = {}) => shop({ order: 'Parcel', renamed, ...more })

async function opened(names?: Names): Promise<App> {
  isClosed = isDeleted = false
  app = (await testApp(shop(names), { at: '2026-01-01T00:30Z' })) as App
  await app['Desk']!('main')['notes']!()
  await app['Order']!('1')['notes']!()
  await app.advance('1m')
  return app
}

describe('a noun that is renamed', () => {
  test('takes its tokens along: they restore, count on, are listed by the new noun, and can be revoked', async () => {
    await opened()
    const token = (await app['Desk']!('main')['token']!('Order', 3)) as string
    expect(await app['Desk']!('main')['use']!(token)).toEqual([])
    await app.deploy(asParcel(), { version: 'v2' })
    expect(await app['Desk']!('main')['use']!(token)).toEqual([])
    expect(await app['Parcel']!('1')['given']!()).toMatchObject([{ noun: 'Parcel', by: 'Desk/main', usesLeft: 1 }])
    const newer = (await app['Desk']!('main')['token']!('Parcel', 9)) as string
    expect(await app['Desk']!('main')['use']!(newer)).toEqual([])
    expect(await app['Desk']!('main')['takeBack']!(token)).toBe(true)
    await expect(app['Desk']!('main')['use']!(token)).rejects.toMatchObject({ code: 'CAPABILITY_REVOKED' })
    // What was handed out under the new noun is good under the old one, too.
    await app.deploy(shop(), { version: 'v3', renamed: { Parcel: 'Order' } })
    expect(await app['Desk']!('main')['use']!(newer)).toEqual([])
  })

  test.each(['Order/1', 'Parcel/1'])('restores a token that is bound to %s, and nobody else does', async (holder) => {
    await opened()
    if (holder === 'Parcel/1') await app.deploy(asParcel(), { version: 'v2' })
    const token = (await app['Desk']!('main')['tokenFor']!(holder)) as string
    if (holder === 'Order/1') await app.deploy(asParcel(), { version: 'v2' })
    expect(await app['Parcel']!('1')['use']!(token)).toBe('of the desk')
    await expect(app['Parcel']!('2')['use']!(token)).rejects.toMatchObject({ code: 'HOLDER_REFUSED' })
  })

  test.each([false, true])(
    'makes the call of a step once, when it is renamed after the call and before the step is done (its callee renamed too: %s)',
    async (calleeToo) => {
      await opened()
      app.crashAfter('add', { stored: false })
      await app['Order']!('1')['begin']!(5)
      await app.settle()
      expect(app.runs('Order/1')[0]).toMatchObject({ status: 'running', steps: ['add: running'] })
      const ledger = calleeToo ? 'Book' : 'Ledger'
      await app.deploy(shop({ order: 'Parcel', ledger, renamed: { ...renamed, ...(calleeToo && { Ledger: ledger }) } }), { version: 'v2' })
      await app.advance('2h')
      expect(app.runs('Parcel/1')[0]).toMatchObject({ status: 'done', result: [1, 2] })
      expect(await app[ledger]!('main')['total']!()).toBe(2)
    },
  )

  test('goes on sending to who subscribed to the old noun: what waited first, each once and in order', async () => {
    await opened()
    await app['Order']!('1')['pay']!(1)
    await app.advance('1m')
    isClosed = true
    await app['Order']!('1')['pay']!(2)
    await app.advance('2s')
    await app.deploy(asParcel(), { version: 'v2' })
    await app['Parcel']!('1')['pay']!(3)
    await app.advance('1s')
    isClosed = false
    await app.advance('2h')
    await app['Parcel']!('1')['pay']!(4)
    await app.advance('1m')
    expect(await app['Desk']!('main')['notes']!()).toEqual([1, 2, 3, 4])
    expect(await app['Parcel']!('1')['notes']!()).toEqual(['own 1', 'own 2', 'own 3', 'own 4'])
    // There is still one subscription, and it reads by the noun of today.
    expect(await app['Parcel']!('1')['subscriptions']!()).toMatchObject([
      { owner: 'Desk/main', receiver: 'Desk/main', state: 'active', waiting: 0 },
    ])
    expect(await app['Desk']!('main')['subscribed']!()).toMatchObject([{ source: 'Parcel/1', state: 'active' }])
    expect(await app['Parcel']!('1')['sources']!()).toEqual(['Order/1', 'Order/1', 'Order/1', 'Order/1'])
  })

  test('goes on hearing what it has subscribed to, each once and in order, also when the sender was renamed with it', async () => {
    await opened()
    await app['Desk']!('main')['ring']!('a')
    await app.advance('1m')
    isClosed = true
    await app['Desk']!('main')['ring']!('b')
    await app.advance('2s')
    const both = { ...renamed, Desk: 'Counter' }
    await app.deploy(shop({ order: 'Parcel', desk: 'Counter', renamed: both }), { version: 'v2' })
    await app['Counter']!('main')['ring']!('c')
    isClosed = false
    await app.advance('2h')
    expect(await app['Parcel']!('1')['notes']!()).toEqual(['a', 'b', 'c'])
    await app.deploy(shop(), { version: 'v3', renamed: { Parcel: 'Order', Counter: 'Desk' } })
    await app['Desk']!('main')['ring']!('d')
    await app.advance('2h')
    expect(await app['Order']!('1')['notes']!()).toEqual(['a', 'b', 'c', 'd'])
  })

  test('goes on with its runs when the rename is taken back, and with what it did under the new noun', async () => {
    await opened()
    await app.deploy(asParcel(), { version: 'v2' })
    app.crashAfter('add', { stored: false })
    await app['Parcel']!('1')['begin']!(5)
    await app.settle()
    await app.deploy(shop(), { version: 'v3', renamed: { Parcel: 'Order' } })
    await app.advance('2h')
    expect(app.runs('Order/1')[0]).toMatchObject({ status: 'done', result: [1, 2] })
    expect(await app['Ledger']!('main')['total']!()).toBe(2)
  })

  test('is meant by graphs that were saved before, and by those that are saved now when the rename is taken back', async () => {
    await opened()
    const before = await app['Desk']!('main')['drawn']!('Order')
    await app.deploy(asParcel(), { version: 'v2' })
    expect(await app['Desk']!('main')['draw']!(before)).toEqual([])
    const now = await app['Desk']!('main')['drawn']!('Parcel')
    await app.deploy(shop(), { version: 'v3', renamed: { Parcel: 'Order' } })
    expect(await app['Desk']!('main')['draw']!(now)).toEqual([])
  })

  test('is in the index of the fleet by its new name at once, without being woken, once, and found by either', async () => {
    await opened()
    await app['Order']!('1')['fails']!().catch(() => undefined)
    await app.advance('1m')
    await app.deploy(asParcel(), { version: 'v2' })
    const fleet = new FleetView(outside())
    const found = async (query: object) => (await fleet.runs({ state: 'failed', ...query })).items.map(({ object }) => object)
    for (const query of [{}, { noun: 'Parcel' }, { noun: 'Order' }, { object: 'Parcel/1' }, { object: 'Order/1' }])
      expect(await found(query)).toEqual(['Parcel/1'])
    await app['Parcel']!('1')['fails']!().catch(() => undefined)
    await app.advance('1m')
    expect(await found({})).toEqual(['Parcel/1', 'Parcel/1'])
    expect((await fleet.objects()).items.map(({ object }) => object)).toEqual(['Parcel/1'])
    expect((await fleet.alerts()).items).toMatchObject([{ object: 'Parcel/1', count: 2 }])
  })

  test('can be renamed again: each step is a line, and only the last noun need ever have been deployed', async () => {
    await opened()
    const token = (await app['Desk']!('main')['token']!('Order', 9)) as string
    await app.deploy(shop({ order: 'Box', renamed: { Order: 'Parcel', Parcel: 'Box' } }), { version: 'v2' })
    expect(await app['Desk']!('main')['use']!(token)).toEqual([])
    await app['Box']!('1')['pay']!(1)
    await app.advance('1m')
    expect(await app['Desk']!('main')['notes']!()).toEqual([1])
    expect(await app['Parcel']!('1')['notes']!()).toEqual(['own 1'])
  })
})

/** A bell whose events go to an order by name, and which is told of its own failures. */
function tower(order: string | undefined, bell: string, renamed?: Record<string, string>) {
  const heard: unknown[] = []
  const Bell = DO.extend({
    init() {
      this.on['Bell']!['rang']!({ object: 'Order/1' })
      this.alerts.onFailure(({ object, text }) => void heard.push([object, text]))
    },
    ring() {
      this.send('Bell.rang')
    },
    letters() {
      return this.events.deadLetters()
    },
    async cracks(): Promise<unknown> {
      const crack = (): string => {
        throw new Error('cracked')
      }
      return await this.do(crack, { stepId: 'crack', retries: { limit: 0 } })
    },
  })
  const Order = DO.extend({
    init() {
      this.on['Bell']!['rang']!((_: unknown, { source }: { source: string }) => void heard.push(source), { id: 'rang' })
    },
  })
  const classes = { [bell]: Bell, ...(order !== undefined && { [order]: Order }), DotdoSystem }
  return { heard, app: { ...classes, default: serve({ ...(renamed && { renamed }) }) } }
}

describe('what a renamed noun', () => {
  test('is sent by a sink that names it by the old one arrives; an alert names it by the new one', async () => {
    app = (await testApp(tower('Order', 'Bell').app, { at: '2026-01-01T00:30Z' })) as App
    await app['Bell']!('main')['ring']!()
    await app.advance('1m')
    const after = tower('Parcel', 'Gong', { ...renamed, Bell: 'Gong' })
    await app.deploy(after.app, { version: 'v2' })
    await app['Gong']!('main')['ring']!()
    await app['Gong']!('main')['cracks']!().catch(() => undefined)
    await app.advance('1m')
    expect(after.heard).toEqual(['Bell/main', ['Gong/main', 'cracks() of Gong/main failed. cracked']])
  })
})

describe('a deploy that renames a class and does not say so', () => {
  test('ends what names the old noun in errors that say what to do, loses nothing of it, and is put right by the line', async () => {
    await opened()
    const token = (await app['Desk']!('main')['token']!('Order', 9)) as string
    await app.deploy(shop({ order: 'Parcel' }), { version: 'v2', renamed })
    const advice = { code: 'NOUN_UNKNOWN', message: expect.stringContaining("serve({ renamed: { Order: 'NewName' } })") as string }
    await expect(app['Desk']!('main')['use']!(token)).rejects.toMatchObject(advice)
    await expect(app['Desk']!('main')['calls']!('Order')).rejects.toMatchObject(advice)
    await app['Parcel']!('1')['pay']!(1)
    await app.advance('1m')
    await app.deploy(asParcel(), { version: 'v3' })
    await app['Desk']!('main')['notes']!()
    await app.advance('2h')
    expect(await app['Desk']!('main')['use']!(token)).toEqual(['own 1'])
    expect(await app['Desk']!('main')['notes']!()).toEqual([1])
  })

  test('has events that come by the old noun refused by who asked for them by the new one, in words that say what to do, and not ended', async () => {
    await opened()
    const [{ subscriptionId }] = (await app['Desk']!('main')['subscribed']!()) as [{ subscriptionId: string }]
    const batch = {
      version: 1,
      subscription: subscriptionId,
      to: { noun: 'Desk', name: 'main', handler: 'paid' },
      ordered: true,
      floor: 1,
      events: [],
    }
    const sent = async () => await outside().link('Desk', 'main').framework('receive', [batch])
    await expect(sent).rejects.toMatchObject({
      code: 'INVALID_SUBSCRIPTION',
      message: expect.stringContaining('serve({ renamed: {') as string,
    })
  })
})

describe('a class that is deleted', () => {
  test('leaves nothing behind that waits in silence: calls, tokens and subscriptions end in an error that says so', async () => {
    await opened()
    const token = (await app['Desk']!('main')['token']!('Order', 9)) as string
    await app['Order']!('1')['pay']!(1)
    await app.advance('1m')
    isDeleted = true
    const { Order: _, ...rest } = shop() as Record<string, object>
    await app.deploy(rest, { version: 'v2' })
    const gone = { code: 'NOUN_UNKNOWN', message: expect.stringContaining('If it was deleted, so were its objects') as string }
    await expect(app['Desk']!('main')['use']!(token)).rejects.toMatchObject(gone)
    await expect(app['Desk']!('main')['calls']!('Order')).rejects.toMatchObject(gone)
    // What the desk wanted of orders has ended with them.
    await app.advance('1m')
    expect(await app['Desk']!('main')['subscribed']!()).toEqual([])
    // What orders wanted of the desk might come back with a deploy. A day later nobody waits for that, and what was sent meanwhile is there to be seen.
    await app['Desk']!('main')['ring']!('a')
    await app.advance('2d')
    expect(await app['Desk']!('main')['subscriptions']!()).toMatchObject([
      { receiver: 'Order/1', state: 'suspended', waiting: 1, error: { code: 'NOUN_UNKNOWN' } },
    ])
  })
})

test('what is sent to an object of a class that is deleted becomes a dead letter that says so, and a run that calls one fails', async () => {
  app = (await testApp(tower('Order', 'Bell').app, { at: '2026-01-01T00:30Z' })) as App
  await app.deploy(tower(undefined, 'Bell').app, { version: 'v2' })
  await app['Bell']!('main')['ring']!()
  await app.advance('2d')
  expect(await app['Bell']!('main')['letters']!()).toMatchObject([{ error: { code: 'NOUN_UNKNOWN' } }])
  app.close()
  await opened()
  await app['Order']!('1')['begin']!(1)
  await app.advance('1m')
  const { Ledger: _, ...rest } = shop() as Record<string, object>
  await app.deploy(rest, { version: 'v2' })
  await app.advance('2h')
  expect(app.runs('Order/1')[0]).toMatchObject({ status: 'failed', error: { code: 'NOUN_UNKNOWN' } })
})

describe('renames that cannot be', () => {
  const cases: [string, () => object, string][] = [
    ['lead in a circle', () => ({ Order: 'Parcel', Parcel: 'Order' }), 'leads back to itself'],
    ['lead from a noun to itself', () => ({ Order: 'Order' }), 'leads back to itself'],
    ['make two nouns one', () => ({ Order: 'Box', Parcel: 'Box' }), "{ Order: 'Parcel', Parcel: 'Box' }"],
    ['name what is no noun', () => ({ order: 'Parcel' }), '"order" is no noun'],
    ['name an object of the framework', () => ({ Order: 'DotdoSystem' }), '"DotdoSystem" is no noun'],
  ]
  test.each(cases)('are refused where they %s', async (_, renames, words) => {
    await opened()
    expect(() => serve({ renamed: renames() as Record<string, string> })).toThrow(words)
    expect(() => serve({ renamed: renames() as Record<string, string> })).toThrow(
      expect.objectContaining({ code: 'RENAMED_INVALID' }) as Error,
    )
  })

  test.each(['singletons', 'services', 'offers', 'deploys'] as const)(
    'are refused where %s still speak of the old noun',
    async (option) => {
      await opened()
      const said = { singletons: { Order: ['main'] }, services: { Order: 'ORDERS' }, offers: ['Order'], deploys: { Order: 'pin' as const } }
      expect(() => serve({ renamed, [option]: said[option] })).toThrow(`serve({ ${option} }) still speaks of Order. Say it of Parcel`)
    },
  )

  test('are refused by every call and by every object while there still is a noun of the old name, and nothing is lost of either', async () => {
    await opened()
    await app['Order']!('1')['begin']!(1)
    const both = { ...shop(), Parcel: (asParcel() as Record<string, object>)['Parcel'], default: serve({ renamed }) }
    await app.deploy(both, { version: 'v2' })
    const refused = { code: 'RENAMED_INVALID', message: expect.stringContaining('there still is a noun Order') as string }
    for (const noun of ['Order', 'Parcel', 'Desk'])
      await expect(async () => await app[noun]!('1')['notes']!()).rejects.toMatchObject(refused)
    await app.advance('2h')
    await app.deploy(shop(), { version: 'v3' })
    await app.advance('3h')
    expect(app.runs('Order/1')[0]).toMatchObject({ status: 'done' })
  })

  test('end in an error where there is no noun of the new name', async () => {
    await opened()
    const { Order: _, ...rest } = shop() as Record<string, object>
    await app.deploy({ ...rest, default: serve({ renamed }) }, { version: 'v2' })
    await expect(async () => await app['Order']!('1')['notes']!()).rejects.toMatchObject({
      code: 'NOUN_UNKNOWN',
      message: expect.stringContaining('serve({ renamed }) says that Order is Parcel now, and there is no noun Parcel') as string,
    })
  })
})
