/** Objects whose schedules are handed out. */
import { DO, narrow, type Remote, type ScheduleHandle } from '../../src/index.ts'

/** Has one schedule that does, one that fails, and hands both out. */
export const Almanac = DO.extend({
  hourly: null as ScheduleHandle | null,
  failing: null as ScheduleHandle | null,
  windows: [] as { start: number; end: number }[],
  most: 0,
  underWay: 0,
  diesAfter: Number.POSITIVE_INFINITY,

  init() {
    this.hourly = this.every.hour(
      async ({ window }) => {
        this.underWay++
        this.most = Math.max(this.most, this.underWay)
        await this.do(() => new Promise((resolve) => setTimeout(resolve, 5)), { stepId: 'wait' })
        this.windows.push(window)
        if (this.windows.length === this.diesAfter) this.ctx.abort('for the test')
        this.underWay--
      },
      { id: 'hourly' },
    )
    this.failing = this.every.day.at('2am')(() => Promise.reject(new Error('not this one')), { id: 'failing' })
  },

  schedule() {
    return this.hourly!
  },
  theFailing() {
    return this.failing!
  },
  /** What a tenant gets. */
  forTenants() {
    return narrow(this.hourly!, { only: ['pause', 'next'] })
  },
  async giveTo(name: string) {
    return await this.Almanac(name).take(this.hourly!)
  },
  /** Pauses a schedule of another object. */
  async take(theirs: Remote<ScheduleHandle>) {
    await theirs.pause()
    return await theirs.next(1)
  },
  /** Once: the next of its lives does not know of it. */
  dieAfter(windows: number) {
    this.diesAfter = windows
  },
  seen() {
    return { windows: this.windows, most: this.most }
  },
})
