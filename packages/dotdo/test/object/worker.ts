/** The app that the tests of `object/` run in workerd. */
import { RpcTarget } from 'capnweb'
import { DO, DotdoError, extract, graph, IcebergWriter, serve } from '../../src/index.ts'

export { Keeper, Shelf } from './authority-app.ts'
export { Almanac } from './schedules-app.ts'
export { Bills, Shop } from './events-app.ts'
export { DotdoEntrypoint, DotdoSystem } from '../../src/index.ts'
export { Depot, Etl } from './forks-app.ts'
export { Orders } from './runs-app.ts'
export { Watched } from './fleet-app.ts'
export { Streamer } from './streamer.ts'

export { Ledger, Payer } from './ledger-app.ts'
export { Driver, World } from './conformance-objects.ts'

/** What happened, outside of any object: tests look here. */
export const log: unknown[] = []

export const Counter = DO.extend({
  items: [] as number[],
  _secret: 1,
  add(n: number) {
    this.items.push(n)
    return this.items.length
  },
  _hidden() {
    return 'not for you'
  },
  get size() {
    return this.items.length
  },
  whoami() {
    return { id: this.id, hasEnv: 'R2_BUCKET' in this.env, hasCtx: typeof this.ctx.storage }
  },
})

class Door extends RpcTarget {
  open() {
    return 'opened'
  }
}

export const Stage = DO.extend({
  executed: [] as unknown[],
  execute(data: unknown) {
    this.executed.push(data)
  },
  history() {
    return this.executed
  },
  run(batch: number[]) {
    return batch.map((n) => n + 1)
  },
  fail(): never {
    throw new DotdoError('STAGE_BROKE', 'the stage broke', { data: { id: this.id } })
  },
  door() {
    return new Door()
  },
})

export const Pipeline = DO.extend({
  /** Calls a counter of this name that has to stay somewhere. */
  async countIn(name: string, jurisdiction: string) {
    return (await this.Counter(name, { jurisdiction }).add(1)) as number
  },
  attempts: 0,
  handled: [] as unknown[],
  fired: [] as unknown[],
  iceberg: null as IcebergWriter | null,

  init() {
    this.iceberg = new IcebergWriter({ bucket: this.env.R2_BUCKET, namespace: 'analytics', tableName: 'events' })
    this.every.day.at('2am')(
      async (event) => {
        this.fired.push(event)
        return await this.do(() => 'nightly', { stepId: 'nightly' })
      },
      { id: 'nightly' },
    )
    this.every.month.on(1)(
      graph(() => this.Stage('graph scheduled').execute('from a graph')),
      { id: 'graph' },
    )
    this.every.hour(() => this.fired.push('hour one'))
    this.every.hour(() => this.fired.push('hour two'))
    this.on.Pipeline.completed((payload) => {
      this.handled.push(payload)
    })
    this.on['*'].flaky(
      () => {
        if (this.handled.push('try') < 3) throw new Error('not yet')
      },
      { retries: { delay: 1 } },
    )
  },

  getStage(n: number) {
    return this.Stage(`stage ${n}`)
  },
  async fanOut(count: number) {
    const names = Array.from({ length: count }, (_, i) => `fan ${i}`)
    names.forEach((name) => this.Stage(name).execute('sent'))
  },
  async sequence() {
    return await this.Stage('a').run(this.Stage('b').run([1]))
  },
  /** Calls other objects for each number of a list of a third: plainly, of its own class, in a graph and its rehearsal, and in a step. */
  async mappedOver() {
    const mapped = () => {
      const last = this.Counter('mapped')
      return this.Stage('mapped')
        .run([1, 2])
        .map((n: number) => ({ size: last.size, run: this.Stage('other').run([n]) }))
    }
    return [
      await mapped(),
      await graph(mapped).send(),
      (await graph(mapped).dryRun()).result,
      await this.do(async () => (await mapped()) as unknown, { stepId: 'mapped' }),
    ]
  },
  async missingNoun() {
    return await this.Nowhere('x').run()
  },
  async missingMethod() {
    return await this.Stage('a').explode()
  },
  async steps(fail: number) {
    const first = await this.do(() => 2, { stepId: 'first' })
    const [a, b] = await Promise.all([
      this.do(async () => first * 10, { stepId: 'a' }),
      this.do(
        () => {
          if (this.attempts++ < fail) throw new Error('again')
          return this.attempts
        },
        { stepId: 'b', retries: { limit: 3, delay: 1 } },
      ),
    ])
    this.send('Pipeline.completed', { a, b })
    return { a, b }
  },
  async reused() {
    await this.do(() => 1, { stepId: 'load' })
    await this.do(() => 2, { stepId: 'load' })
  },
  async graphs() {
    const doubled = graph(() => this.Stage('graph b').run(this.Stage('graph a').run([1, 2])))
    const loaded = graph.load<number[]>(doubled.save())
    return {
      sent: await doubled.send(),
      loaded: await loaded.send(),
      step: await this.do(doubled, { stepId: 'doubled' }),
      text: doubled.explain().text,
    }
  },
  async rehearse(count: number) {
    return await graph(() => [this.Pipeline('rehearsed').load(count), this.Pipeline('rehearsed').flaky()]).dryRun()
  },
  /** Rehearses calls that write to the fields of a counter: one alone, a chain's, and several of one turn. */
  async rehearseFields(name: string) {
    const one = await graph(() => this.Counter(name).add(1)).dryRun()
    const several = await graph(() => [this.Counter(name).add(2), this.Counter(name).add(3), this.Counter(name).size]).dryRun()
    const given = await graph(() => this.Counter(name).add(this.Counter(name).size)).dryRun()
    return [one.result, several.result, given.result, await this.Counter(name).size]
  },
  flaky() {
    return this.send('Order.flaky')
  },
  seen() {
    return { handled: this.handled, fired: this.fired }
  },
  async load(count: number, ts: unknown = Date.UTC(2026, 0, 2)) {
    return await this.do(
      () => this.iceberg!.write(Array.from({ length: count }, (_, i) => ({ type: 'event', entityId: `e${i}`, payload: { i }, ts }))),
      { stepId: 'load' },
    )
  },
  table() {
    return this.iceberg!.snapshot()
  },
  async read(address: string) {
    return await this.do(() => extract(address), { stepId: `read ${address}` })
  },
  async fetched(address: string) {
    const response = await fetch(address)
    return { status: response.status, body: response.ok ? await response.json() : await response.text() }
  },
})

export const Broken = DO.extend({
  init() {
    throw new Error('no init today')
  },
  ping() {
    return 'pong'
  },
})

/** Calls itself by other names, and tells where it woke. */
export const Abyss = DO.extend({
  alarms: 0,
  async go(n: number): Promise<string> {
    return n === 0 ? 'end' : `${this.id} ${await this.Abyss(`d${n - 1}`).go(n - 1)}`
  },
  async circle(): Promise<string> {
    return this.Abyss(this.id === 'a' ? 'b' : 'a').circle()
  },
  async order(n: number, calls: number): Promise<number[]> {
    if (n > 0) return this.Abyss(`o${n - 1}`).order(n - 1, calls)
    const last = this.Abyss('last')
    await Promise.all(Array.from({ length: calls }, (_, i) => last.note(i)))
    return last.noted
  },
  list: [] as number[],
  note(n: number) {
    this.list.push(n)
  },
  get noted() {
    return this.list
  },
})

export default serve({
  limits: { depth: { callDepth: 6, callDepthEnd: 40 } },
  singletons: { Pipeline: ['main'], Almanac: ['forever'] },
  queues: { orders: { to: 'Shop/queued' }, raw: { to: 'Shop/queued', type: 'Order.received' } },
  sources: { 'data-lake': 'R2_BUCKET', users: 's3://data-lake/users/' },
})
