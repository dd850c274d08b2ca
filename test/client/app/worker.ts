/** An app that is small and quick, for the tests of what a client meets. */
import { DO, DotdoError, extract, serve } from 'dotdo'

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
  echo(value: unknown) {
    return value
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

export default serve({ sources: { 'data-lake': 'R2_BUCKET' } })
