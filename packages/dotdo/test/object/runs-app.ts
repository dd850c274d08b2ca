/** Objects whose runs sleep, wait, begin others and are undone. */
import { DO, type Budget } from '../../src/index.ts'

/** How often user code ran, outside of any object. */
export const ran: string[] = []

/** Lets go of the calls that hold. */
export const held: (() => void)[] = []

export const Orders = DO.extend({
  init() {
    this.on.Order.placed(() => {})
  },
  async process(order: string) {
    const reserved = await this.do(() => (ran.push(`reserve ${order}`), { order }), { stepId: 'reserve' })
    const approval = await this.waitFor<{ order: string; by: string }>('Order.approved', { stepId: 'approval', match: { order } })
    await this.sleep(20, { stepId: 'pause' })
    const lines = await this.map(['a', 'b', 'c'], (line) => `${reserved.order} ${line}`, {
      stepId: (line) => `line ${line}`,
      concurrency: 2,
    })
    const shipped = await this.runs.call<string>('ship', [order], { stepId: 'ship' })
    return { by: approval.payload.by, lines, shipped }
  },
  async ship(order: string) {
    return await this.do(() => `shipped ${order}`, { stepId: 'ship' })
  },
  approve(order: string) {
    this.send('Order.approved', { order, by: 'Ann' })
  },
  start(order: string) {
    return this.runs.start('process', [order], { key: `order ${order}`, tags: ['orders', order] })
  },
  /** As `start`, without a capability that would keep the object in memory. */
  begin(order: string) {
    return this.runs.start('process', [order]).runId
  },
  async nap(ms: number) {
    await this.sleep(ms, { stepId: 'nap' })
    return 'rested'
  },
  beginNap(ms: number) {
    return this.runs.start('nap', [ms]).runId
  },
  /** Begins a step when it has ended, awaited or not, and notes what became of it. */
  late(bytes: Uint8Array, isAsync: boolean) {
    const note = (became: string) => ran.push(`late ${bytes.byteLength} ${isAsync}: ${became}`)
    void new Promise((resolve) => setTimeout(resolve, 5))
      .then(() => this.do(() => 'done', { stepId: 'late' }))
      .then(note, (error: { code: string; message: string }) => note(`${error.code} ${error.message}`))
    return isAsync ? Promise.resolve(bytes.byteLength) : bytes.byteLength
  },
  run(runId: string) {
    return this.runs.get(runId)
  },
  tagged(tag: string) {
    return this.runs.list({ tag }).map((run) => run.runId)
  },
  async book() {
    await this.do(() => 'F1', { stepId: 'flight', undo: (seat) => void ran.push(`undo ${seat}`) })
    await this.do(
      () => {
        throw new Error('no room')
      },
      { stepId: 'hotel', retries: { limit: 0 } },
    )
  },
  async silent() {
    void this.do(
      () => {
        throw new Error('nobody looks')
      },
      { stepId: 'silent', retries: { limit: 0 } },
    )
    await this.do(() => 1, { stepId: 'other' })
  },
  /** Uses a little of everything, in a step each and between them. */
  async costly(rows: number) {
    const { sql } = this.ctx.storage
    sql.exec('CREATE TABLE IF NOT EXISTS lines (n INTEGER)')
    await this.do(
      () => {
        for (let n = 0; n < rows; n++) sql.exec('INSERT INTO lines VALUES (?)', n)
      },
      { stepId: 'write' },
    )
    await this.do(() => [...sql.exec('SELECT n FROM lines')].length + sql.exec('SELECT n FROM lines').toArray().length, { stepId: 'read' })
    await this.do(() => Promise.all([this.Counter('costly').add(1), this.Counter('costly').add(2)]), { stepId: 'call' })
    const bucket = this.env.R2_BUCKET
    await this.do(
      () =>
        bucket
          .put('costly', 'x')
          .then(() => bucket.head('costly'))
          .then(() => bucket.delete('costly')),
      { stepId: 'bucket' },
    )
    await this.do(() => fetch('data:text/plain,x').then((it) => it.text()), { stepId: 'ask' })
    sql.exec('SELECT count(*) FROM lines').one()
    return 'spent'
  },
  startCostly(rows: number, budget?: Budget) {
    return this.runs.start('costly', [rows], budget ? { budget } : {})
  },
  /** Holds until somebody lets go, here or in another object. */
  async hold(): Promise<string> {
    if (this.id !== 'latch') return (await this.Orders('latch').hold()) as string
    return await new Promise<string>((resolve) => held.push(() => resolve('let go')))
  },
  letGo() {
    for (const letGo of held.splice(0)) letGo()
    return this.id
  },
  async slow() {
    await this.do(
      async ({ progress, signal }) => {
        progress({ rows: 7 })
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
      },
      { stepId: 'slow' },
    )
  },
  async readLong(batches: number) {
    const stream = (await this.do(
      async function* () {
        for (let n = 0; n < batches; n++) yield [`${n} `.padEnd(300_000, 'ab')]
      },
      { stepId: 'long' },
    )) as AsyncIterable<string[]>
    const count = async (): Promise<number> => {
      let chars = 0
      for await (const [text] of stream) chars += text!.length
      return chars
    }
    return this.do(count, { stepId: 'count' })
  },
  startLong(batches: number) {
    return this.runs.start('readLong', [batches])
  },
  handleOf(runId: string) {
    return this.runs.get(runId)
  },
  async list(length: number) {
    return await this.do(() => Array.from({ length }, () => crypto.randomUUID()), { stepId: 'list' })
  },
  startList(length: number) {
    return this.runs.start('list', [length])
  },
  rowsOfValues() {
    return this.ctx.storage.sql.exec('SELECT 1 FROM dotdo_values').toArray().length
  },
  startSlow() {
    return this.runs.start('slow')
  },
})
