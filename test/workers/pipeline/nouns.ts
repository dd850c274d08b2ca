/** The nouns that put stages together. The same code finds them in its own Worker, by bindings, or behind a service. */
import { DO, grants, IcebergWriter, narrow, QueryCoordinator, restore, revoke, save } from 'dotdo'
import type { Row } from '../stages/nouns.ts'

const shards = ['a', 'b', 'c']

export const Warehouse = DO.extend({
  iceberg: null as IcebergWriter | null,
  init() {
    this.iceberg = new IcebergWriter({ bucket: this.env.R2_BUCKET, namespace: 'two', tableName: this.id })
  },
  async load(rows: Row[]) {
    const receipt = await this.do(
      () => this.iceberg!.write(rows.map((row) => ({ type: 'sale', entityId: row.user, payload: row, ts: 1_000 * row.id }))),
      { stepId: 'load' },
    )
    return { rows: receipt.rows, stages: rows[0]?.stages }
  },
  async rows() {
    return (await this.iceberg!.snapshot())?.rows ?? 0
  },
})

export const Pipeline = DO.extend({
  /** The whole product: a source, two stages, a table, and a query over shards. */
  async everything(table = 'sales') {
    const rows = this.Source('events').extract()
    const clean = this.Stage('clean').run(rows)
    const enriched = this.Stage('enrich').run(clean)
    const loaded = this.Warehouse(table).load(enriched)
    const filled = shards.map((id, index) => this.Shard(id).fill(enriched, index, shards.length))
    const counts: number[] = await Promise.all(filled)
    const coordinator = new QueryCoordinator(shards.map((id) => this.Shard(id).scanner()))
    const [load, users] = await Promise.all([
      loaded as Promise<{ rows: number; stages: string[] }>,
      coordinator.query('SELECT user, COUNT(*) AS n, SUM(amount) AS amount FROM events GROUP BY user ORDER BY user'),
    ])
    return { ...load, filled: counts, users }
  },

  /** Saves a stage of whichever Worker has it. */
  async handOut(stage: string, options: object): Promise<string> {
    return await save(this.Stage(stage), options)
  },
  /** Saves what calls lead to from it. */
  async handOutStep(stage: string): Promise<string> {
    return await save(narrow(this.Stage(stage).step(), { only: ['depth'] }))
  },
  /** Saves a shard, by the noun of today or by its earlier one. */
  async handOutShard(noun: 'Shard' | 'Bin', id: string): Promise<string> {
    const shards = this as unknown as Record<'Shard' | 'Bin', (id: string) => { fill(): unknown }>
    return await save(shards[noun](id), { only: ['fill'] })
  },
  async useToken(token: string, method: string, ...args: unknown[]): Promise<unknown> {
    return await restore<any>(token)[method](...args)
  },
  async takeBack(token: string): Promise<boolean> {
    return await revoke(token)
  },
  async handedOut(stage: string) {
    return (await grants(this.Stage(stage))).map(({ noun, name, by, status }) => ({ noun, name, by, status }))
  },

  /** A chain of `depth` calls in one object, each on what the one before it gives. */
  async chain(depth: number) {
    let step = this.Stage('chain').step()
    for (let i = 2; i < depth; i++) step = step.step()
    return depth === 1 ? await this.Stage('chain').double(1) : ((await step.depth()) as number) + 1
  },
  /** Three objects in a row: each gives the next one, which is called before it is there. */
  async passage() {
    return await this.Stage('passage 0').next('passage 1').next('passage 2').double(21)
  },
  /** The same, each awaited before the next one is called: what is awaited is called itself. */
  async walk(depth: number) {
    let at = this.Stage('walk 0')
    for (let i = 1; i < depth; i++) at = await at.next(`walk ${i}`)
    return await at.double(21)
  },
  /** One object, `depth` calls, each with the answer of the one before it as an argument. */
  async nested(depth: number) {
    const stage = this.Stage('nested')
    let n = stage.double(1)
    for (let i = 1; i < depth; i++) n = stage.add(n, 1)
    return await n
  },
  /** A graph in which two results are used twice. */
  async shared() {
    const stage = this.Stage('shared')
    const two = stage.double(1)
    const four = stage.add(two, two)
    const six = stage.add(four, two)
    return await Promise.all([two, four, six, stage.add(four, six)])
  },
  /** A call on each of many capabilities. */
  async mapped(length: number) {
    const depths = (await this.Stage('mapped')
      .steps(length)
      .map((step: { depth(): number }) => step.depth())) as number[]
    return depths.reduce((sum, depth) => sum + depth, 0)
  },
  /** The same on plain values, with the object itself called for each. */
  async mappedBack(length: number) {
    const stage = this.Stage('mapped')
    const doubled = (await stage.list(length).map((n: number) => stage.double(n))) as number[]
    return doubled.reduce((sum, n) => sum + n, 0)
  },
  /** The same with another object called for each: one of the same class, and one of this Worker's. */
  async mappedOver(length: number) {
    const other = this.Stage('mapped over')
    const own = this.Pipeline('mapped over')
    return await this.Stage('mapped')
      .list(length)
      .map((n: number) => [other.double(n), own.add(n, 1)])
  },
  /** The same with an object of either Worker that is given what an object of the other has made of the element, both ways round. */
  async mappedThrough(length: number) {
    const pan = this.Stage('pan')
    const pot = this.Pipeline('pot')
    return await this.Stage('mapped')
      .list(length)
      .map((n: number) => [pot.add(pan.double(n), n), pan.add(pot.add(n, 1), n)])
  },
  /** Rows that go from one object to another, and are only named here. */
  async handed(count: number) {
    return await this.Stage('handed').count(this.Source('handed').extract(count))
  },
  /** One result, several consumers. */
  async consumed(count: number) {
    const before = await this.Source('consumed').times()
    const rows = this.Source('consumed').extract(count)
    const counts = await Promise.all(['a', 'b', 'c'].map((id) => this.Stage(`consumer ${id}`).count(rows)))
    return { counts, extracted: (await this.Source('consumed').times()) - before }
  },
  async handedFailure() {
    return await this.Stage('handed').count(this.Source('dry').fail())
  },

  async add(a: number, b: number) {
    return await this.Stage('plain').add(a, b)
  },
  async readName() {
    return await this.Stage('named').name
  },
  async cursor() {
    const cursor = this.Source('cursor').cursor()
    return [await cursor.take(2), await cursor.take(1)]
  },
  async callback(count: number) {
    const done: number[] = []
    const rows = await this.Source('callback').extract(count)
    return { rows: await this.Stage('callback').report(rows, (id: number) => done.push(id)), done }
  },
  async ordered(count: number) {
    const stage = this.Stage(`ordered ${count}`)
    for (let i = 0; i < count; i++) void stage.note(i)
    return await stage.notes()
  },
  forget(value: string) {
    void this.Stage('forgotten').note(value)
  },
  async forgotten() {
    return await this.Stage('forgotten').notes()
  },
  async bytes(length: number) {
    const bytes = (await this.Source('bytes').bytes(length)) as Uint8Array
    return [bytes.constructor.name, bytes.length, bytes.at(-1)]
  },
  /** One buffer, filled anew for each of its calls, as readers do. */
  async refilled(times: number, length: number) {
    const stage = this.Stage('refilled')
    const bytes = new Uint8Array(length)
    const answers = Array.from({ length: times }, (_, i) => stage.firstAndLast(bytes.fill(i + 1)) as Promise<number[]>)
    bytes.fill(0)
    return await Promise.all(answers)
  },
  async streamed(pieces: number, pieceBytes: number) {
    const stream = (await this.Source('stream').stream(pieces, pieceBytes)) as AsyncIterable<Uint8Array>
    let bytes = 0
    for await (const piece of stream) bytes += piece.length
    return bytes
  },
  async streamedTo(pieces: number, pieceBytes: number) {
    const stream = new ReadableStream({
      pull(controller) {
        if (pieces-- > 0) controller.enqueue(new Uint8Array(pieceBytes))
        else controller.close()
      },
    })
    return await this.Stage('stream').length(stream)
  },
  async fail() {
    return await this.Source('dry').fail()
  },
  async missing() {
    return await this.Source('events').nothing()
  },
  async nowhere() {
    return await this.Nowhere('x').go()
  },
  async vault() {
    return await this.Vault('x').notes()
  },
  /** The fast answer must not wait for the slow one. */
  async slowAndFast() {
    const order: string[] = []
    await Promise.all([
      this.Source('slow')
        .slow(150)
        .then(() => order.push('slow')),
      this.Source('slow')
        .times()
        .then(() => order.push('fast')),
    ])
    return order
  },
  /** What a stateless entrypoint gives, not yet there, as an argument to an object; and again, awaited by the caller too. */
  async rateNow() {
    const rate = this.env.RATES.slow()
    return [await this.Stage('rates').double(rate), await rate]
  },
  /** A property of it. */
  async ratePart() {
    return await this.Stage('rates').double(this.env.RATES.current().usd)
  },
  async rateBroken() {
    return await this.Stage('rates').double(this.env.RATES.broken())
  },
  /** The entrypoint itself as an argument, what it handed out, and both within a value. */
  async ratePassedOn() {
    const ledger = await this.env.RATES.ledger()
    const stage = this.Stage('rates')
    return await Promise.all([
      stage.rate(this.env.RATES),
      stage.rate(ledger),
      stage.rate(this.env.RATES.ledger()),
      stage.rateAll({ rates: [this.env.RATES, ledger] }),
    ])
  },
  /** The entrypoint as a result, called before it is there by whoever asked for it. */
  rates() {
    return this.env.RATES
  },
})
