/** An app that is small and quick, for the tests of what a client meets. */
import { DO, DotdoError, extract, save, serve } from 'dotdo'

export { DotdoSystem } from 'dotdo'

export const Counter = DO.extend({
  total: 0,
  add(n: number) {
    return (this.total += n)
  },
  get value() {
    return this.total
  },
  /** Another counter, as a capability. */
  next(name: string) {
    return this.Counter(name)
  },
  fail(): never {
    throw new DotdoError('COUNTER_BROKE', `The counter ${this.id} broke at ${this.total}. Take another one.`, {
      data: { id: this.id, total: this.total },
    })
  },
  async slow(ms: number) {
    await new Promise((resolve) => setTimeout(resolve, ms))
    return 'at last'
  },
  /** Adds at once, and answers after `ms`. */
  async addSlowly(n: number, ms: number) {
    const total = (this.total += n)
    await new Promise((resolve) => setTimeout(resolve, ms))
    return total
  },
  /** Adds where it is kept: an eviction does not undo it. */
  keep(n: number) {
    const total = Number(this.ctx.storage.kv.get('kept') ?? 0) + n
    this.ctx.storage.kv.put('kept', total)
    return total
  },
  async keepSlowly(n: number, ms: number) {
    this.ctx.storage.kv.put('kept', Number(this.ctx.storage.kv.get('kept') ?? 0) + n)
    await new Promise((resolve) => setTimeout(resolve, ms))
    return Number(this.ctx.storage.kv.get('kept'))
  },
  async tell(listener: (n: number) => void, ms: number) {
    await new Promise((resolve) => setTimeout(resolve, ms))
    listener(this.total)
  },
  text(length: number) {
    this.total++
    return 'x'.repeat(length)
  },
  echo(value: unknown) {
    return value
  },
  /** A token for this counter, or for the next one. */
  async hand(options: object) {
    return await save(this, options)
  },
  _hidden() {
    return 'not for you'
  },
})

export const Runner = DO.extend({
  init() {
    this.every.day.at('3am')(() => this.work(), { id: 'nightly' })
  },
  async work() {
    await this.do(
      async () =>
        void (await this.env.R2_BUCKET.put('rows.ndjson', Array.from({ length: 5000 }, (_, id) => JSON.stringify({ id })).join('\n'))),
      { stepId: 'lay-out' },
    )
    const rows = await this.do(() => extract('s3://data-lake/rows.ndjson'), { stepId: 'read' })
    return rows.length
  },
})

/** All tests are one network here: one that is cut off must not keep the next one waiting. The wait has tests of its own. */
export default serve({ sources: { 'data-lake': 'R2_BUCKET' }, limits: { client: { comebackMs: 0 } } })
