/** An app that takes what it is given, so that the tests can give it what is wrong. */
import type { R2Bucket, R2PutOptions } from '@cloudflare/workers-types'
import { DO, extract, IcebergWriter, QueryCoordinator, serve, SqliteScanner } from 'dotdo'

export { DotdoSystem } from 'dotdo'

export const Shard = DO.extend({
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS events (user_id TEXT, amount INTEGER)')
  },
  fill() {
    this.ctx.storage.sql.exec("INSERT INTO events VALUES ('u1', 1), ('u2', 2)")
  },
  scanner() {
    return new SqliteScanner(this, ['events'])
  },
  async query(sql: string) {
    return await new QueryCoordinator([this.Shard(this.id).scanner()]).query(sql)
  },
  nowhere() {
    return this.Nowhere!('x').go()
  },
})

/** A bucket of which every second write breaks off in the middle of its bytes, while `breaks` says so. */
function breaking(bucket: R2Bucket, breaks: () => boolean): R2Bucket {
  let writes = 0
  return new Proxy(bucket, {
    get(target, name) {
      const member = Reflect.get(target, name) as unknown
      if (name !== 'put') return typeof member === 'function' ? (member.bind(target) as unknown) : member
      return async (key: string, value: Uint8Array, options?: R2PutOptions) => {
        if (!breaks() || ++writes % 2 === 1) return target.put(key, value, options)
        // The platform keeps no half object: a write that breaks off leaves nothing, and the caller is told.
        throw new Error('put: We encountered an internal error. Please try again. (10001)')
      }
    },
  })
}

export const Sink = DO.extend({
  broken: false,
  iceberg: null as IcebergWriter | null,
  init() {
    const bucket = breaking(this.env['R2_BUCKET'] as R2Bucket, () => this.broken)
    this.iceberg = new IcebergWriter({ bucket, warehouse: 'R2_BUCKET', namespace: 'analytics', tableName: 'events' })
  },
  async load(records: unknown[]) {
    return await this.do(() => this.iceberg!.write(records as never), { stepId: 'load', retries: { limit: 0 } })
  },
  breakBucket(broken: boolean) {
    this.broken = broken
  },
  async table() {
    return await this.iceberg!.snapshot()
  },
  async twice() {
    await this.do(() => 1, { stepId: 'load' })
    return await this.do(() => 2, { stepId: 'load' })
  },
  daily(time: string) {
    this.every.day.at(time)(() => {})
  },
})

export const Reader = DO.extend({
  async lay(key: string, text: string) {
    await (this.env['R2_BUCKET'] as R2Bucket).put(key, text)
  },
  async read(source: string) {
    return await this.do(() => extract(source), { stepId: 'read', retries: { limit: 0 } })
  },
})

export default serve({ sources: { 'data-lake': 'R2_BUCKET' } })
