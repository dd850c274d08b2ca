import { describe, expect, it } from 'vitest'
import type { OverlapRunsPolicy, ScheduleOptions } from '../../src/schedule/declaration.ts'
import { World } from './world.ts'

const hourMs = 3_600_000
const at = (text: string) => Date.parse(text)
const hour = (n: number) => at('2026-01-01T00:00:00Z') + n * hourMs
const fn = () => undefined

/** An hourly schedule whose run of 01:00 is under way. */
function busy(options: ScheduleOptions) {
  const world = new World()
  world.holding = true
  const init = ({ every }: ReturnType<World['open']>) => void every.hour(fn, options)
  world.wake(init)
  world.clock.ms = hour(1)
  const [first] = world.scheduler.due()
  return { world, init, first: first! }
}

const starts = (world: World) => world.started.map(({ scheduledAt, window }) => [scheduledAt, window.start])

describe('an instant that comes while the run before is still going', () => {
  it("does not fire with 'skip', and the next window covers it", () => {
    const { world, first } = busy({ overlapRuns: 'skip' })
    for (const n of [2, 3]) {
      world.clock.ms = hour(n)
      expect(world.scheduler.due()).toEqual([])
      expect(world.scheduler.nextWakeMs()).toBe(hour(n + 1))
    }
    world.end(first.runId)
    world.clock.ms = hour(4)
    world.scheduler.due()
    expect(starts(world)).toEqual([
      [hour(1), hour(0)],
      [hour(4), hour(1)],
    ])
  })

  it("waits with 'queue' without an alarm, and is made up when that run ends, all of it at once", () => {
    const { world, first } = busy({ overlapRuns: 'queue' })
    world.clock.ms = hour(2)
    expect([world.scheduler.due(), world.scheduler.nextWakeMs()]).toEqual([[], null])
    world.clock.ms = hour(3) + 5
    expect(world.scheduler.due()).toEqual([])
    world.changed.length = 0
    world.end(first.runId, 'failed')
    expect([world.changed, world.scheduler.nextWakeMs()! <= world.clock.ms]).toEqual([['fn'], true])
    world.scheduler.due()
    expect(starts(world)).toEqual([
      [hour(1), hour(0)],
      [hour(3), hour(1)],
    ])
  })

  it("is made up one by one, in order, with 'queue' and catchUp 'all'", () => {
    const { world, first } = busy({ catchUp: 'all' })
    world.clock.ms = hour(4)
    world.scheduler.due()
    world.end(first.runId)
    for (const n of [2, 3, 4]) {
      expect(world.scheduler.due().map((it) => it.scheduledAt)).toEqual([hour(n)])
      expect(world.scheduler.due()).toEqual([])
      world.end(world.started.at(-1)!.runId)
    }
    expect([world.scheduler.due(), world.scheduler.nextWakeMs()]).toEqual([[], hour(5)])
    expect(starts(world)).toEqual([1, 2, 3, 4].map((n) => [hour(n), hour(n - 1)]))
  })

  it("fires beside it with 'allow'", () => {
    const { world } = busy({ overlapRuns: 'allow' })
    world.clock.ms = hour(2)
    expect(world.scheduler.due()).toHaveLength(1)
    expect(world.runs.underWay()).toHaveLength(2)
  })

  it("cancels it with 'cancel-previous', and answers for its window too", () => {
    const { world, first } = busy({ overlapRuns: 'cancel-previous' })
    world.clock.ms = hour(2)
    const [second] = world.scheduler.due()
    expect(second!.window).toEqual({ start: hour(0), end: hour(2) })
    expect(world.runs.rows('fn').map((it) => [it.id, it.status])).toEqual([
      [first.runId, 'cancelled'],
      [second!.runId, 'running'],
    ])
    world.end(second!.runId)
    expect(world.scheduler.partitions('fn', hour(0), hour(2)).partitions.map((it) => [it.state, it.runId])).toEqual([
      ['done', second!.runId],
      ['done', second!.runId],
    ])
  })

  it.each<OverlapRunsPolicy>(['skip', 'queue', 'allow', 'cancel-previous'])(
    'has nothing to do with runs by hand and of backfills: %s',
    (overlapRuns) => {
      const world = new World()
      world.holding = true
      world.wake(({ every }) => void every.hour(fn, { overlapRuns }))
      world.scheduler.trigger('fn')
      world.scheduler.backfill('fn', hour(-3), hour(-1))
      world.clock.ms = hour(1)
      expect(world.scheduler.due()).toHaveLength(1)
      world.scheduler.trigger('fn')
      expect(world.runs.underWay()).toHaveLength(4)
    },
  )
})

describe('over a crash', () => {
  it('what waits goes on waiting while the run is taken up, and fires when it has ended', () => {
    const { world, init, first } = busy({ overlapRuns: 'queue' })
    world.clock.ms = hour(2)
    world.scheduler.due()
    world.wake(init)
    expect([world.scheduler.due(), world.scheduler.nextWakeMs()]).toEqual([[], null])
    world.end(first.runId)
    expect(world.scheduler.due()).toHaveLength(1)
  })

  it('a run that is still going holds instants up in the next incarnation as well', () => {
    const { world, init } = busy({ overlapRuns: 'skip' })
    world.wake(init)
    world.clock.ms = hour(2)
    expect(world.scheduler.due()).toEqual([])
  })

  it('an end that nobody was told of is read from the run', () => {
    const { world, init, first } = busy({ overlapRuns: 'queue' })
    world.clock.ms = hour(2)
    world.scheduler.due()
    world.runs.end(first.runId, 'failed')
    world.wake(init)
    expect(world.scheduler.view('fn').failures).toBe(1)
    expect(world.scheduler.due()).toHaveLength(1)
  })
})

describe('a run that a deploy holds', () => {
  it('is under way for what comes after it, and its schedule says so, with the instants that went by, also after a restart and a run by hand', () => {
    const { world, init, first } = busy({ overlapRuns: 'skip' })
    world.end(first.runId, 'held')
    expect([world.seen.map(({ held }) => held), world.changed.at(-1)]).toEqual([[{ runId: first.runId, skipped: 0 }], 'fn'])
    for (const n of [2, 3]) {
      world.clock.ms = hour(n)
      expect(world.scheduler.due()).toEqual([])
    }
    world.wake(init)
    const held = { runId: first.runId, skipped: 2 }
    expect(world.scheduler.view('fn')).toMatchObject({ lastStatus: 'held', held })
    const [window] = world.scheduler.partitions('fn', hour(0), hour(1)).partitions
    expect(window).toMatchObject({ state: 'running', held: true, runId: first.runId })
    world.scheduler.trigger('fn')
    expect(world.scheduler.glances(['fn'])[0]).toMatchObject({ lastStatus: 'running', held })
    // It goes on, and then ends: told both times.
    world.changed.length = 0
    world.runs.end(first.runId, 'running')
    world.scheduler.ran('fn', hour(1), first.runId, 'running')
    expect([world.changed, world.scheduler.view('fn').held]).toEqual([['fn'], undefined])
    world.end(first.runId)
    world.clock.ms = hour(4)
    expect(world.scheduler.due()).toHaveLength(1)
  })

  it("keeps what is queued waiting, and ends with 'cancel-previous'", () => {
    const queued = busy({ overlapRuns: 'queue' })
    queued.world.end(queued.first.runId, 'held')
    queued.world.clock.ms = hour(2)
    expect(queued.world.scheduler.due()).toEqual([])
    const replaced = busy({ overlapRuns: 'cancel-previous' })
    replaced.world.end(replaced.first.runId, 'held')
    replaced.world.clock.ms = hour(2)
    expect(replaced.world.scheduler.due()).toMatchObject([{ window: { start: hour(0), end: hour(2) } }])
  })
})

describe('a schedule that fails', () => {
  it('goes on being scheduled, counts its failures until one is done, and tells whoever watches', () => {
    const world = new World()
    world.holding = true
    world.wake(({ every }) => void every.hour(fn))
    for (const [n, status] of [
      [1, 'failed'],
      [2, 'failed'],
      [3, 'cancelled'],
      [4, 'done'],
    ] as const) {
      world.clock.ms = hour(n)
      const [firing] = world.scheduler.due()
      world.end(firing!.runId, status)
    }
    expect(world.seen.map((it) => [it.failures, it.lastStatus])).toEqual([
      [1, 'failed'],
      [2, 'failed'],
      [undefined, 'done'],
    ])
    expect(world.started).toHaveLength(4)
  })

  it('counts runs of many that end together', () => {
    const world = new World()
    world.holding = true
    world.wake(({ every }) => (every.hour(fn, { id: 'a', overlapRuns: 'allow' }), every.hour(fn, { id: 'b' })))
    const told: (() => void)[] = []
    // Two of one schedule and one of another are told before any of them is written.
    for (const n of [1, 2]) {
      world.clock.ms = hour(n)
      world.scheduler.due()
    }
    for (const { id, schedule, at: scheduledAt } of world.runs.underWay()) {
      world.runs.end(id, 'failed')
      told.push(() => world.scheduler.ran(schedule, scheduledAt, id, 'failed'))
    }
    for (const tell of told) tell()
    expect([world.scheduler.view('a').failures, world.scheduler.view('b').failures]).toEqual([2, 1])
  })
})
