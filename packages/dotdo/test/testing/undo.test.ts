/** Undoing, where nobody has called: what a schedule began, and what a new life takes up. */
import { expect, test } from 'vitest'
import { DO, NonRetryableError } from '../../src/index.ts'
import { testApp } from '../../src/testing.ts'

const undone: string[] = []

const Orders = DO.extend({
  init() {
    this.every.day.at('2am')(() => this.order('nightly'), { id: 'nightly' })
  },
  async order(name: string) {
    const undo = (result: string) => this._takeBack(`${name} ${result}`)
    await this.do(() => 'paid', { stepId: 'pay', undo })
    await this.do(() => fetch('https://shop.test/ship').then(({ status }) => status), { stepId: 'ship' })
    throw new NonRetryableError('sold out', { code: 'SOLD_OUT' })
  },
  _takeBack(what: string) {
    undone.push(what)
  },
})
const shop = () => new Response('ok')

test('a run of a schedule is undone', async () => {
  undone.length = 0
  const app = await testApp(Orders, { fetch: shop })
  await app.advance('1d')
  expect(undone).toEqual(['nightly paid'])
  expect(app.runs()[0]).toMatchObject({ status: 'failed', error: { code: 'SOLD_OUT' } })
})

test('a run whose object died before it could remember an undo is undone by the next life', async () => {
  undone.length = 0
  const app = await testApp(Orders, { fetch: shop })
  app.crashAfter('undo:pay', { stored: false })
  app
    .Pipeline('main')
    .order('called')
    .then(undefined, () => undefined)
  await app.advance('1h')
  expect(undone).toEqual(['called paid', 'called paid'])
  expect(app.runs()[0]).toMatchObject({ status: 'failed', error: { code: 'SOLD_OUT' } })
})
