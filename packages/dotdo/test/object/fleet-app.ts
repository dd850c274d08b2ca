/** Objects that fail when they are told to, and whoever is told of it. */
import { DO, type AlertPayload } from '../../src/index.ts'

/** `Watched/ops` is told; the others tell. */
export const Watched = DO.extend({
  broken: true,
  own: [] as string[],

  init() {
    if (this.id === 'ops') {
      this.on.Alert['*']((alert: AlertPayload, event: { type: string }) =>
        this.ctx.storage.kv.put('alerts', [...this.alerted(), [event.type, alert.object, alert.subject.id, alert.text]]),
      )
      return
    }
    const nightly = this.every.day.at('2am')(() => this.load(), { id: 'nightly' })
    const ops = { object: 'Watched/ops' }
    this.alerts.onFailure(ops, { schedule: nightly })
    this.alerts.onFailure(({ subject }) => void this.own.push(`failed ${subject.id}`))
    this.alerts.onLate('1h', ops, { schedule: 'nightly' })
    this.alerts.onRecovered(ops)
    this.on.Job.lost(() => Promise.reject(new Error('nobody wants it')), { id: 'lost', retries: { limit: 0 } })
  },
  async load() {
    return await this.do(() => this.work(), { stepId: 'work', retries: { limit: 0 } })
  },
  work() {
    if (this.broken) throw new Error('the source is gone')
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS worked (at INTEGER)')
    this.ctx.storage.sql.exec('INSERT INTO worked VALUES (1)')
    return 'loaded'
  },
  tag(tag: string) {
    return this.runs.start('work', [], { tags: [tag] }).runId
  },
  lose() {
    this.send('Job.lost', { n: 1 })
  },
  mend() {
    this.broken = false
  },
  ownAlerts() {
    return this.own
  },
  alerted() {
    return this.ctx.storage.kv.get<unknown[]>('alerts') ?? []
  },
  tooLate() {
    this.alerts.onFailure({ object: 'Watched/ops' })
  },
})
