import { runDurableObjectAlarm } from 'cloudflare:test'
import { exports } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'
import type { BackfillView } from '../../src/base/views.ts'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'

const open = () => new Links(linkPorts('test', () => {}))
// oxlint-disable-next-line typescript/no-explicit-any
const almanac = (name: string): any => open().user('Almanac', name)
// oxlint-disable-next-line typescript/no-explicit-any
const inspector = (name: string): any => open().inspector('Almanac', name)
// oxlint-disable-next-line typescript/no-explicit-any
const native = (name: string) => (exports as any)['Almanac'].getByName(name)
const code = (call: PromiseLike<unknown>) =>
  Promise.resolve(call).then(
    () => 'none',
    (error: { code?: string }) => error.code,
  )

/** Reads again until it is as it should be. */
async function until<T>(read: () => PromiseLike<T>, done: (value: T) => boolean): Promise<T> {
  for (let i = 0; ; i++) {
    const value = await read()
    if (done(value) || i > 1000) return value
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const ended = (it: BackfillView) => it.status !== 'running'
const day = { from: '2026-01-01', to: '2026-01-02' }

describe('a schedule as a capability', () => {
  test('is called from afar: its next instants, pausing, resuming, running it', async () => {
    const schedule = almanac('afar').schedule()
    const [first, second] = await schedule.next(2)
    expect(second - first).toBe(3_600_000)
    await schedule.pause()
    expect(await schedule.view()).toMatchObject({ scheduleId: 'hourly', paused: true })
    await almanac('afar').schedule().resume()
    const runId = await almanac('afar').schedule().trigger()
    const runs = await until(
      () => almanac('afar').schedule().runs() as Promise<{ runId: string; status: string }[]>,
      ([run]) => run!.status === 'done',
    )
    expect(runs.map((it) => it.runId)).toEqual([runId])
  })

  test('is narrowed to what a tenant may do', async () => {
    const theirs = almanac('tenants').forTenants()
    await theirs.pause()
    expect(await theirs.next(1)).toHaveLength(1)
    expect(await code(almanac('tenants').forTenants().trigger())).toBe('CAPABILITY_DENIED')
    expect(await almanac('tenants').schedule().view()).toMatchObject({ paused: true })
  })

  test('is passed to another object, which pauses it', async () => {
    expect(await almanac('owner').giveTo('other')).toHaveLength(1)
    expect(await almanac('owner').schedule().view()).toMatchObject({ paused: true })
    expect(await almanac('other').schedule().view()).toMatchObject({ paused: false })
  })

  test('is what an operator reaches by its id', async () => {
    expect(await inspector('operator').schedule('hourly').view()).toMatchObject({ scheduleId: 'hourly' })
    expect(await code(inspector('operator').schedule('weekly').view())).toBe('SCHEDULE_UNKNOWN')
  })
})

describe('a backfill', () => {
  test('runs each missing window once, a few at a time, and their partitions are done', async () => {
    const schedule = almanac('filled').schedule()
    const backfill = schedule.backfill(day.from, day.to, { concurrency: 3 })
    const id = await backfill.id
    const view = await until(() => almanac('filled').schedule().openBackfill(id).progress() as Promise<BackfillView>, ended)
    expect(view).toMatchObject({ status: 'done', done: 24, failed: 0, windows: 24 })
    const { windows, most } = await almanac('filled').seen()
    expect([new Set(windows.map((it: { start: number }) => it.start)).size, windows.length, most]).toEqual([24, 24, 3])
    const { partitions } = await almanac('filled').schedule().partitions(day.from, day.to)
    expect(partitions.map((it: { state: string }) => it.state)).toEqual(Array.from({ length: 24 }, () => 'done'))
    const runs = await almanac('filled').schedule().runs({ limit: 2 })
    expect(runs.map((it: { runId: string }) => it.runId)).toEqual([partitions[23].runId, partitions[22].runId])
  })

  test('goes on where the object died in the middle of it', async () => {
    await almanac('dies').dieAfter(5)
    const id = await almanac('dies').schedule().backfill(day.from, day.to, { concurrency: 2 }).id
    // A call that was under way when it died is lost.
    const progress = () =>
      Promise.resolve(almanac('dies').schedule().openBackfill(id).progress() as Promise<BackfillView>).catch(() => undefined)
    const view = await until(progress, (it) => it !== undefined && ended(it))
    expect(view).toMatchObject({ status: 'done', done: 24, failed: 0 })
    const { windows } = await almanac('dies').seen()
    // The life that it ended in has run some of them, and the one before it the others.
    expect(windows.length).toBeGreaterThan(0)
    expect(windows.length).toBeLessThan(24)
  })

  test('is cancelled with what runs of it', async () => {
    const id = await almanac('cancelled').schedule().backfill('2025-01-01', '2026-01-01').id
    await almanac('cancelled').schedule().openBackfill(id).cancel()
    // A run that has ended is counted when its end was looked up.
    const progress = () => almanac('cancelled').schedule().openBackfill(id).progress() as Promise<BackfillView>
    const view = await until(progress, (it) => it.running === 0)
    expect(view).toMatchObject({ status: 'cancelled', windows: 8760 })
    expect(view.done + view.cancelled).toBeLessThan(100)
  })

  test('of a schedule that fails shows its failures, and the next one takes them', async () => {
    const id = await almanac('failing').theFailing().backfill('2026-01-01', '2026-01-04').id
    const view = await until(() => almanac('failing').theFailing().openBackfill(id).progress() as Promise<BackfillView>, ended)
    expect(view).toMatchObject({ status: 'done', failed: 3, done: 0 })
    const { partitions } = await inspector('failing').schedule('failing').partitions('2026-01-01', '2026-01-04')
    expect(partitions.map((it: { state: string }) => it.state)).toEqual(['failed', 'failed', 'failed'])
    expect(await inspector('failing').schedule('failing').view()).toMatchObject({ failures: 3 })
    expect(await inspector('failing').run(partitions[0].runId)).toMatchObject({ status: 'failed', error: { message: 'not this one' } })
    const again = await almanac('failing').theFailing().backfill('2026-01-01', '2026-01-04').id
    expect(again).not.toBe(id)
    expect(await runDurableObjectAlarm(native('failing'))).toBe(true)
  })
})
