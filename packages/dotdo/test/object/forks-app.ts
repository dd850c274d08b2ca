/** An object whose runs call, read and write elsewhere, and the object that they load into. */
import { DO, IcebergWriter, lineage } from '../../src/index.ts'

/** What the code is, for a test that deploys another: outside of any object. */
export const code = { version: 1 }

const rowsOf = (n: number) =>
  Array.from({ length: n }, (_, i) => ({ type: 'e', entityId: `e${i}`, payload: { i }, ts: Date.UTC(2026, 0, 2) }))

export const Depot = DO.extend({
  iceberg: null as IcebergWriter | null,
  stored: 0,
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS notes (text TEXT)')
    this.iceberg = new IcebergWriter({ bucket: this.env.R2_BUCKET, namespace: 'lineage', tableName: 'events' })
  },
  /** Writes without a step of its own. */
  async store(rows: ReturnType<typeof rowsOf>) {
    return (await this.iceberg!.write(rows)).snapshotId
  },
  /** The same in a step of its own. */
  async keep(rows: ReturnType<typeof rowsOf>) {
    return await this.do(async () => (await this.iceberg!.write(rows)).snapshotId, { stepId: 'write' })
  },
  note(text: string) {
    this.stored++
    this.ctx.storage.sql.exec('INSERT INTO notes VALUES (?)', text)
    return this.stored
  },
  /** Sends when its caller has the answers of faster calls already. */
  async slow() {
    await new Promise((resolve) => setTimeout(resolve, 20))
    this.send('Depot.slow')
    return 'slow'
  },
  notes() {
    return { rows: this.ctx.storage.sql.exec('SELECT text FROM notes').toArray().length, stored: this.stored }
  },
})

export const Etl = DO.extend({
  async load(how: 'store' | 'keep', n: number) {
    const rows = await this.do(() => rowsOf(n), { stepId: 'extract' })
    const snapshotId = await this.do(async () => (await this.Depot(this.id)[how](rows)) as number, { stepId: 'load' })
    this.send('Etl.loaded', { n })
    return snapshotId
  },
  seen: [] as number[],
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS own (n INTEGER)')
  },
  /** Uses every capability that writes; the second version some of them otherwise. */
  async nightly(n: number) {
    const rows = await this.do(() => rowsOf(n), { stepId: 'extract' })
    const noted = await this.do(() => this.Depot(this.id).note(`n ${n}`), { stepId: 'note' })
    const kept = code.version === 1 ? rows : rows.slice(1)
    await this.do(() => this.Depot(this.id).keep(kept), { stepId: 'load' })
    await this.do(
      async () => {
        this.seen.push(n)
        this.ctx.storage.sql.exec('INSERT INTO own VALUES (?)', n)
        await Promise.resolve()
        const [row] = this.ctx.storage.sql.exec('INSERT INTO own VALUES (?) RETURNING n', n).toArray()
        if (code.version > 1) await this.env.R2_BUCKET.put('forks/bare', 'x')
        return row
      },
      { stepId: 'own' },
    )
    if (code.version > 1) {
      const answer = await this.do(
        async () => (await fetch('https://nowhere.invalid/hook?secret=1', { method: 'POST', body: 'hi' })).status,
        {
          stepId: 'tell',
        },
      )
      const run = this.runs.start('load', ['store', 1])
      this.after('1h')(() => {}, { id: 'later' })
      this.send('Etl.told', { answer, started: run.runId.startsWith('dry-run') })
    }
    this.send('Etl.loaded', { n })
    return { noted, seen: this.seen.length }
  },
  async together() {
    return await this.do(() => Promise.all([this.Depot(this.id).note('fast'), this.Depot(this.id).slow()]), { stepId: 'both' })
  },
  async waits() {
    await this.do(() => 1, { stepId: 'first' })
    const event = await this.waitFor<{ n: number }>('Etl.go', { stepId: 'go' })
    if (code.version > 1) await this.waitFor('Etl.more', { stepId: 'more' })
    return event.payload.n
  },
  go(n: number) {
    this.send('Etl.go', { n })
  },
  refuses() {
    return this.runs.list().map((run) => this.runs.get(run.runId).cancel())
  },
  own() {
    return { rows: this.ctx.storage.sql.exec('SELECT n FROM own').toArray().length, seen: [...this.seen] }
  },
  begin(method: 'load' | 'nightly' | 'together' | 'waits' | 'refuses', args: unknown[]) {
    return this.runs.start(method, args)
  },
  comesFrom(snapshotId?: number) {
    return lineage({ table: 'lineage.events', ...(snapshotId !== undefined && { snapshotId }) })
  },
})
