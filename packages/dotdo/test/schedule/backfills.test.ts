import { describe, expect, it } from 'vitest'
import type { BackfillHandle, ScheduleHandle } from '../../src/schedule/declaration.ts'
import { World } from './world.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const at = (text: string) => Date.parse(text)
const hour = (n: number) => at('2026-01-01T00:00:00Z') + n * hourMs
const fn = () => undefined

/** An hourly schedule, declared at 00:30, whose runs end when they are told to. */
function hourly(options = {}) {
  const world = new World()
  world.holding = true
  let handle!: ScheduleHandle
  const init = ({ every }: ReturnType<World['open']>) => void (handle = every.hour(fn, options))
  world.wake(init)
  return { world, init, handle: () => handle }
}

/** Ends what is under way, again and again, until nothing is. Gives the most that were under way together. */
function drain(world: World, status: (index: number) => 'done' | 'failed' = () => 'done'): number {
  let most = 0
  for (let index = 0; ; index++) {
    const underWay = world.runs.underWay()
    most = Math.max(most, underWay.length)
    const [first] = underWay
    if (!first) return most
    world.end(first.id, status(index))
  }
}

const fill = (handle: ScheduleHandle, from: number, to: number, options = {}): BackfillHandle =>
  handle.backfill(hour(from), hour(to), options)

describe('a backfill', () => {
  it('runs the windows of its range, oldest first, so many at a time, and says how far it is', () => {
    const { world, handle } = hourly()
    const backfill = fill(handle(), -10, 0, { concurrency: 3 })
    expect(backfill.progress()).toMatchObject({ status: 'running', windows: 10, running: 3, done: 0, upTo: hour(-7), concurrency: 3 })
    world.end('every hour@2025-12-31T15:00:00.000Z'.replace('every hour', 'fn'))
    expect(backfill.progress()).toMatchObject({ running: 3, done: 1, upTo: hour(-6) })
    expect(drain(world)).toBe(3)
    expect(backfill.progress()).toMatchObject({
      status: 'done',
      running: 0,
      done: 10,
      failed: 0,
      passed: 0,
      upTo: hour(0),
      endedAt: world.clock.ms,
    })
    expect(world.started.map(({ window }) => [window.start, window.end])).toEqual(
      Array.from({ length: 10 }, (_, index) => [hour(index - 10), hour(index - 9)]),
    )
  })

  it('begins its runs with its own budget, or else the schedule’s, also after a crash', () => {
    const { world, init, handle } = hourly({ budget: { requests: 9 } })
    fill(handle(), -4, -3, { concurrency: 1 })
    const own = fill(handle(), -2, 0, { budget: { rowsWritten: 7 } })
    expect(own.progress().budget).toEqual({ rowsWritten: 7 })
    world.wake(init)
    drain(world)
    expect(world.started.map(({ budget }) => budget)).toEqual([{ requests: 9 }, { rowsWritten: 7 }, { rowsWritten: 7 }])
  })

  it('goes on when runs fail, counts them, and a second one takes those alone, under new run ids', () => {
    const { world, handle } = hourly()
    const first = fill(handle(), -6, 0)
    drain(world, (index) => (index % 2 ? 'failed' : 'done'))
    expect(first.progress()).toMatchObject({ status: 'done', done: 3, failed: 3 })
    const second = fill(handle(), -6, 0)
    drain(world)
    expect(second.progress()).toMatchObject({ status: 'done', done: 3, failed: 0, passed: 3 })
    expect(world.started.slice(6).map((it) => it.runId)).toEqual([20, 22, 24].map((n) => `fn@${new Date(hour(n - 24)).toISOString()}#2`))
    expect(fill(handle(), -6, 0).progress()).toMatchObject({ status: 'done', done: 0, passed: 6 })
  })

  it('takes what is stale, and what is done where that is said', () => {
    const { world, handle } = hourly()
    fill(handle(), -4, 0)
    drain(world)
    handle().markStale(hour(-3), hour(-2))
    const stale = fill(handle(), -4, 0)
    drain(world)
    expect(stale.progress()).toMatchObject({ done: 1, passed: 3 })
    const all = fill(handle(), -4, 0, { take: ['missing', 'done'] })
    drain(world)
    expect(all.progress()).toMatchObject({ done: 4, passed: 0 })
    const ids = world.started.map((it) => it.runId)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('leaves windows that are still to fire to that, and those that have not ended', () => {
    const { world, handle } = hourly({ jitter: '30m' })
    world.clock.ms = hour(1) + 1
    // 01:00 has come, and its start waits for its jitter.
    expect(world.scheduler.due()).toEqual([])
    const backfill = fill(handle(), -1, 5)
    drain(world)
    expect(backfill.progress()).toMatchObject({ done: 1, status: 'done', to: hour(1) - 1 })
    world.clock.ms = hour(1) + 31 * 60_000
    expect(world.scheduler.due()).toMatchObject([{ window: { start: hour(0), end: hour(1) } }])
  })

  it('over a pause moves the start of the next window behind what it has run, without a hole', () => {
    const { world, handle } = hourly()
    handle().pause()
    world.clock.ms = hour(4) + 5
    fill(handle(), 0, 2)
    drain(world)
    fill(handle(), 3, 4)
    drain(world)
    handle().resume()
    world.clock.ms = hour(5)
    expect(world.scheduler.due()).toMatchObject([{ window: { start: hour(2), end: hour(5) } }])
  })

  it('passes over windows that run by themselves now, and is passed over by another one', () => {
    const { world, handle } = hourly()
    world.clock.ms = hour(1)
    world.scheduler.due()
    const first = fill(handle(), -1, 1, { concurrency: 5 })
    const second = fill(handle(), -1, 1, { concurrency: 5 })
    expect([first.progress().running, second.progress()]).toMatchObject([1, { status: 'done', passed: 2 }])
  })

  it('is cancelled with its runs: their windows are missing, and nothing of it begins any more', () => {
    const { world, handle } = hourly()
    const backfill = fill(handle(), -10, 0, { concurrency: 2 })
    backfill.cancel()
    backfill.cancel()
    expect(backfill.progress()).toMatchObject({ status: 'cancelled', running: 0, cancelled: 2, upTo: hour(-8) })
    expect([world.runs.underWay(), world.started.length]).toEqual([[], 2])
    expect(
      handle()
        .partitions(hour(-10), hour(-8))
        .partitions.map((it) => it.state),
    ).toEqual(['missing', 'missing'])
    fill(handle(), -10, -8)
    expect(world.started.at(-1)!.runId).toBe('fn@2025-12-31T15:00:00.000Z#2')
  })

  it('ends with its schedule, cancelled or no longer declared', () => {
    const { world, handle, init } = hourly()
    const cancelled = fill(handle(), -5, 0)
    handle().cancel()
    expect(cancelled.progress()).toMatchObject({ status: 'cancelled', cancelled: 1 })
    expect(() => fill(handle(), -5, 0)).toThrow(/it was cancelled/)
    const other = hourly()
    const id = fill(other.handle(), -5, 0).id
    other.world.wake(() => undefined)
    other.world.wake(other.init)
    expect(other.handle().openBackfill(id).progress().status).toBe('cancelled')
    expect([world.runs.underWay(), init]).toHaveLength(2)
  })

  it('goes on in the next incarnation, also where its runs ended with nobody there', () => {
    const { world, handle, init } = hourly()
    const { id } = fill(handle(), -6, 0, { concurrency: 2 })
    for (const run of world.runs.underWay()) world.runs.end(run.id, 'done')
    world.wake(init)
    expect(handle().openBackfill(id).progress()).toMatchObject({ done: 2, running: 2 })
    expect(drain(world)).toBe(2)
    expect(handle().openBackfill(id).progress()).toMatchObject({ status: 'done', done: 6 })
  })

  it('looks at a bounded number of windows at once, and asks to be woken for the others', () => {
    const { world, handle } = hourly()
    world.holding = false
    const done = fill(handle(), -1, 0)
    expect(done.progress().running).toBe(1)
    world.scheduler.ran('fn', hour(0), 'fn@2026-01-01T00:00:00.000Z', 'done')
    // 3,500 windows, none of which is in the state that is taken.
    const backfill = fill(handle(), -3500, 0, { take: ['failed'] })
    expect([backfill.progress().passed, world.scheduler.nextWakeMs()]).toEqual([1000, world.clock.ms])
    for (let i = 0; i < 3; i++) world.scheduler.due()
    expect([backfill.progress(), world.scheduler.nextWakeMs()]).toMatchObject([{ status: 'done', passed: 3500, windows: 3500 }, hour(1)])
  })

  it('goes on looking in the next incarnation, where nothing of it runs whose end would begin the rest', () => {
    const { world, handle, init } = hourly()
    const { id } = fill(handle(), -2500, 0, { take: ['failed'] })
    world.wake(init)
    expect([handle().openBackfill(id).progress(), world.scheduler.nextWakeMs()]).toMatchObject([
      { passed: 1000, running: 0 },
      world.clock.ms,
    ])
    for (let i = 0; i < 2; i++) world.scheduler.due()
    expect(handle().openBackfill(id).progress()).toMatchObject({ status: 'done', passed: 2500 })
  })

  it('does not count what would take long to count', () => {
    const { handle } = hourly()
    expect(fill(handle(), -20_000, 0)).not.toHaveProperty('windows')
  })

  it('of 5,000 windows leaves few stretches behind', () => {
    const { world, handle } = hourly()
    fill(handle(), -5000, 0, { concurrency: 100 })
    drain(world)
    expect(Number(world.store.sql('SELECT COUNT(*) AS n FROM dotdo_partitions')[0]!.n)).toBeLessThan(1300)
  })

  it('is listed with its schedule, newest first, and forgotten 30 days after its end', () => {
    const { world, handle } = hourly()
    const first = fill(handle(), -2, 0)
    world.clock.ms += 1000
    drain(world)
    const second = fill(handle(), -3, -2)
    expect(
      handle()
        .backfills()
        .map((it) => it.backfillId),
    ).toEqual([second.id, first.id])
    world.clock.ms += 31 * dayMs
    drain(world)
    expect(() => first.progress()).toThrow(expect.objectContaining({ code: 'BACKFILL_UNKNOWN' }))
    expect(() => handle().openBackfill('backfill_x')).toThrow(expect.objectContaining({ code: 'BACKFILL_UNKNOWN' }))
  })

  it('whose run cannot be stored has not begun', () => {
    const { world, handle } = hourly()
    world.runs.start = () => {
      throw new Error('disk full')
    }
    expect(() => fill(handle(), -2, 0)).toThrow('disk full')
    expect([
      handle().backfills(),
      handle()
        .partitions(hour(-2), hour(0))
        .partitions.map((it) => it.state),
    ]).toEqual([[], ['missing', 'missing']])
  })

  it.each([
    ['an end before its beginning', { from: 0, to: -1 }, {}],
    ['no window at a time', {}, { concurrency: 0 }],
    ['too many at a time', {}, { concurrency: 101 }],
    ['half a window at a time', {}, { concurrency: 1.5 }],
    ['an option that does not exist', {}, { parallel: 3 }],
    ['no states', {}, { take: [] }],
  ])('is refused with %s', (_what, range, options) => {
    const { from = -5, to = 0 } = range as { from?: number; to?: number }
    expect(() => fill(hourly().handle(), from, to, options)).toThrow(expect.objectContaining({ code: 'INVALID_BACKFILL' }))
  })

  it('is refused with a state that does not exist or runs, and with a date that does not exist', () => {
    const { handle } = hourly()
    expect(() => fill(handle(), -5, 0, { take: ['running'] })).toThrow(/take cannot be "running"/)
    expect(() => handle().backfill('2026-02-29', '2026-03-01')).toThrow(expect.objectContaining({ code: 'INVALID_INSTANT' }))
  })

  it('is refused beside a hundred others', () => {
    const { handle } = hourly()
    for (let index = 0; index < 100; index++) fill(handle(), -1000 + index * 2, -998 + index * 2)
    expect(() => fill(handle(), -5, 0)).toThrow(expect.objectContaining({ code: 'TOO_MANY_BACKFILLS', retryable: true }))
  })
})
