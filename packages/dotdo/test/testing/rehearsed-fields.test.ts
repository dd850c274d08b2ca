/** What a dry run of a schedule's handler warns of: fields that it may change, and not the handles that every object keeps. */
import { afterEach, expect, test } from 'vitest'
import type { ForkDiff } from '../../src/base/fork-views.ts'
import { DO } from '../../src/index.ts'
import type { ScheduleHandle } from '../../src/schedule/declaration.ts'
import { testApp } from '../../src/testing.ts'

let app: Awaited<ReturnType<typeof testApp>> | undefined
afterEach(() => app?.close())

const Loads = (counts: boolean) =>
  DO.extend({
    init() {
      const self = this as unknown as { daily: ScheduleHandle; counted?: number }
      self.daily = this.every.day.at('2am')(() => this.do(() => 1, { stepId: 'load' }), { id: 'daily' })
      if (counts) self.counted = 0
    },
    rehearse(runId: string) {
      return this.runs.fork(runId, { dryRun: true })
    },
  })

test.each([
  [false, []],
  [true, [`the handler of a schedule has the object's own fields (counted): what it changes of them stays changed`]],
])('an object that keeps a schedule, and a number besides: %s', async (counts, warnings) => {
  app = await testApp(Loads(counts))
  await app.advance('1d')
  const [run] = app.runs()
  const object = app.Pipeline!('main') as unknown as { rehearse(runId: string): Promise<ForkDiff> }
  expect((await app.until(object.rehearse(run!.runId))).warnings).toEqual(warnings)
})
