/** An object whose runs call, read and write elsewhere, and the object that they load into. */
import { DO, IcebergWriter, lineage } from '../../src/index.ts'

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
  begin(method: 'load', args: unknown[]) {
    return this.runs.start(method, args)
  },
  comesFrom(snapshotId: number) {
    return lineage({ table: 'lineage.events', snapshotId })
  },
})
