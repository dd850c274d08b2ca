import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Budget } from '../../src/base/price.ts'
import type { ScheduleHandle, ScheduleHandler } from '../../src/schedule/declaration.ts'
import type { Firing } from '../../src/schedule/firing.ts'
import { jitterOf } from '../../src/schedule/policies.ts'
import { maxSchedules } from '../../src/schedule/declared.ts'
import type { Scheduler } from '../../src/schedule/scheduler.ts'
import { migrations } from '../../src/schedule/tables.ts'
import { SeededRandom } from '../support/fakes.ts'
import { World } from './world.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs
const at = (text: string) => Date.parse(text)
const fn = () => undefined

const ids = (scheduler: Scheduler) => scheduler.views().map((it) => it.scheduleId)
const runs = (firings: Firing[]) => firings.map((it) => it.runId)

describe('which schedules exist', () => {
  it('goes by id: as given, else the name of the handler, else the words, with numbers for repeats in order', () => {
    const scheduler = new World().wake(({ every }) => {
      every.hour(function sync() {})
      every.hour(function sync() {})
      every.hour(() => undefined)
      every.hour(() => undefined)
      every.day(fn, { id: 'etl' })
      every.day(fn.bind(null))
    })
    expect(ids(scheduler)).toEqual(['sync', 'sync#2', 'every hour', 'every hour#2', 'etl', 'fn'])
  })

  it('keeps two schedules of one pattern apart: both fire', () => {
    const world = new World()
    const scheduler = world.wake(({ every }) => (every.hour(() => 'a'), every.hour(() => 'b')))
    world.clock.ms = at('2026-01-01T01:00:00Z')
    expect(scheduler.due().map((it) => [it.runId, it.handler({ scheduledAt: 0, window: { start: 0, end: 0 } })])).toEqual([
      ['every hour@2026-01-01T01:00:00.000Z', 'a'],
      ['every hour#2@2026-01-01T01:00:00.000Z', 'b'],
    ])
  })

  it('retires what the code no longer declares, and takes it up again without what it missed in between', () => {
    const world = new World()
    world.wake(({ every }) => (every.hour(fn, { id: 'a' }), every.hour(fn, { id: 'b' })))
    world.clock.ms += hourMs
    const without = world.wake(({ every }) => void every.hour(fn, { id: 'a' }))
    expect([ids(without), runs(without.due())]).toEqual([['a'], ['a@2026-01-01T01:00:00.000Z']])
    world.clock.ms += hourMs
    const again = world.wake(({ every }) => (every.hour(fn, { id: 'a' }), every.hour(fn, { id: 'b' })))
    expect(runs(again.due())).toEqual(['a@2026-01-01T02:00:00.000Z'])
    expect(again.view('b', 1).next).toEqual([at('2026-01-01T03:00:00Z')])
  })

  it('forgets retired ones after 90 days, and keeps no more than 10,000', () => {
    const world = new World()
    for (const round of [0, 1]) world.wake(({ every }) => Array.from({ length: 7000 }, (_, i) => every.day(fn, { id: `${round}-${i}` })))
    world.wake(() => undefined)
    const count = () => world.store.sql('SELECT COUNT(*) AS n FROM dotdo_schedules')[0]!.n
    expect(count()).toBe(10_000)
    world.clock.advance(91 * dayMs)
    world.wake(() => undefined)
    expect(count()).toBe(0)
  })

  it('refuses a schedule after init, whose function would be lost when the object sleeps', () => {
    const world = new World()
    const it = world.open()
    it.scheduler.settle()
    expect(() => it.every.day(fn)).toThrow(expect.objectContaining({ code: 'SCHEDULE_TOO_LATE' }))
    expect(ids(it.scheduler)).toEqual([])
  })

  it('refuses more schedules than the limit', () => {
    new World().wake(({ every }) => {
      for (let i = 0; i < maxSchedules; i++) every.day(fn)
      expect(() => every.day(fn)).toThrow(expect.objectContaining({ code: 'TOO_MANY_SCHEDULES' }))
    })
  })

  it('writes nothing on a wake that declares what is there', () => {
    const world = new World()
    const init = ({ every }: ReturnType<World['open']>) => (every.day.at('2am')(fn), every(15).minutes(fn, { jitter: '1m' }))
    world.wake(init)
    expect(world.changed.splice(0)).toEqual(['fn', 'fn#2'])
    const written = () => world.store.sql('SELECT total_changes() AS n')[0]!.n
    const before = written()
    world.clock.advance(5 * minuteMs)
    world.wake(init)
    expect([world.changed, written()]).toEqual([[], before])
  })

  it('names those that exist when asked for one that does not', () => {
    const scheduler = new World().wake(({ every }) => (every.day(fn, { id: 'etl' }), every.hour(fn, { id: 'sync' })))
    for (const ask of [() => scheduler.trigger('elt'), () => scheduler.pause('elt'), () => scheduler.view('elt')]) {
      expect(ask).toThrow(
        expect.objectContaining({
          code: 'SCHEDULE_UNKNOWN',
          data: { scheduleId: 'elt', known: ['etl', 'sync'] },
          message: expect.stringContaining("'etl', 'sync'"),
        }),
      )
    }
  })
})

describe('what is due', () => {
  it('fires at its instant, not before, and says when next', () => {
    const world = new World()
    const scheduler = world.wake(({ every }) => void every.day.at('2am')(function runETL() {}))
    expect(scheduler.nextWakeMs()).toBe(at('2026-01-01T02:00:00Z'))
    world.clock.ms = at('2026-01-01T02:00:00Z') - 1
    expect(scheduler.due()).toEqual([])
    world.clock.ms += 1
    const [firing, ...more] = scheduler.due()
    expect([firing, more]).toMatchObject([
      {
        scheduleId: 'runETL',
        runId: 'runETL@2026-01-01T02:00:00.000Z',
        scheduledAt: at('2026-01-01T02:00:00Z'),
        window: { start: at('2025-12-31T02:00:00Z'), end: at('2026-01-01T02:00:00Z') },
      },
      [],
    ])
    expect([scheduler.due(), scheduler.nextWakeMs()]).toEqual([[], at('2026-01-02T02:00:00Z')])
    expect(scheduler.views(2)).toEqual([
      {
        scheduleId: 'runETL',
        pattern: 'every day at 02:00',
        timeZone: 'UTC',
        paused: false,
        next: [at('2026-01-02T02:00:00Z'), at('2026-01-03T02:00:00Z')],
        lastFiredAt: world.clock.ms,
        lastRunId: 'runETL@2026-01-01T02:00:00.000Z',
        lastStatus: 'done',
      },
    ])
  })

  it('does not skip a boundary that is seconds away from the declaration, or exactly at it', () => {
    for (const early of [0, 1, 20_000]) {
      const world = new World()
      world.clock.ms = at('2026-01-01T02:00:00Z') - early
      const scheduler = world.wake(({ every }) => void every.day.at('2am')(fn))
      world.clock.ms += early
      expect(runs(scheduler.due())).toEqual(['fn@2026-01-01T02:00:00.000Z'])
    }
  })

  it('fires once on wake for all that was missed, the latest of it, with a window over the whole', () => {
    const world = new World()
    world.wake(({ every }) => void every.hour(fn))
    world.clock.ms = at('2026-01-03T05:10:00Z')
    const scheduler = world.wake(({ every }) => void every.hour(fn))
    expect(scheduler.due()).toMatchObject([
      { runId: 'fn@2026-01-03T05:00:00.000Z', window: { start: at('2026-01-01T00:00:00Z'), end: at('2026-01-03T05:00:00Z') } },
    ])
    expect([scheduler.due(), scheduler.nextWakeMs()]).toEqual([[], at('2026-01-03T06:00:00Z')])
  })

  it("catchUp 'all' fires each that was missed, the newest up to the limit; the first window covers the rest", () => {
    const world = new World()
    const init = ({ every }: ReturnType<World['open']>) => void every.hour(fn, { catchUp: 'all', catchUpLimit: 3, overlapRuns: 'allow' })
    world.wake(init)
    world.clock.ms = at('2026-01-01T06:30:00Z')
    const hour = (n: number) => at('2026-01-01T00:00:00Z') + n * hourMs
    expect(
      world
        .wake(init)
        .due()
        .map((it) => [it.scheduledAt, it.window.start]),
    ).toEqual([
      [hour(4), hour(0)],
      [hour(5), hour(4)],
      [hour(6), hour(5)],
    ])
  })

  it("catchUp 'skip' fires what is at most a minute late, and gives up what was missed", () => {
    const world = new World()
    const init = ({ every }: ReturnType<World['open']>) => void every.hour(fn, { catchUp: 'skip' })
    world.wake(init)
    world.clock.ms = at('2026-01-01T03:01:00.001Z')
    const scheduler = world.wake(init)
    expect([scheduler.due(), scheduler.nextWakeMs()]).toEqual([[], at('2026-01-01T04:00:00Z')])
    world.clock.ms = at('2026-01-01T04:01:00Z')
    expect(scheduler.due()).toMatchObject([{ runId: 'fn@2026-01-01T04:00:00.000Z', window: { start: at('2026-01-01T03:00:00Z') } }])
  })

  it('catchUpWithin gives up what is later than that, and the next window covers it', () => {
    const world = new World()
    const init = ({ every }: ReturnType<World['open']>) => void every.day(fn, { catchUpWithin: '2h' })
    world.wake(init)
    world.clock.ms = at('2026-01-02T03:00:00Z')
    const scheduler = world.wake(init)
    expect(scheduler.due()).toEqual([])
    world.clock.ms = at('2026-01-03T01:00:00Z')
    expect(scheduler.due()).toMatchObject([{ window: { start: at('2026-01-01T00:00:00Z'), end: at('2026-01-03T00:00:00Z') } }])
  })

  it('looks at few instants however long the outage was', () => {
    const world = new World()
    const scheduler = world.wake(({ every }) => void every.minute(fn))
    world.clock.advance(40 * 365 * dayMs)
    const before = world.store.statements
    expect(scheduler.due()).toHaveLength(1)
    expect(world.store.statements - before).toBeLessThan(10)
  })

  it('fires a stored instant that the recurrence no longer has, as after new tables of time zones, and goes on from it', () => {
    const world = new World()
    const init = ({ every }: ReturnType<World['open']>) => void every.hour(fn, { catchUp: 'all', overlapRuns: 'allow' })
    world.wake(init)
    const stored = at('2026-01-01T01:30:00Z')
    world.store.sql('UPDATE dotdo_schedules SET next_at = ?, wake_at = ?', stored, stored)
    world.clock.ms = at('2026-01-01T01:40:00Z')
    const scheduler = world.wake(init)
    expect([runs(scheduler.due()), scheduler.nextWakeMs()]).toEqual([['fn@2026-01-01T01:30:00.000Z'], at('2026-01-01T02:00:00Z')])
    world.store.sql('UPDATE dotdo_schedules SET next_at = ?, wake_at = ?', at('2026-01-01T02:30:00Z'), stored)
    world.clock.ms = at('2026-01-01T04:10:00Z')
    expect(runs(scheduler.due())).toEqual(['fn@2026-01-01T03:00:00.000Z', 'fn@2026-01-01T04:00:00.000Z'])
  })

  it('takes a bounded number at once, and says that there is more', () => {
    const world = new World()
    const scheduler = world.wake(({ every }) => {
      for (let i = 0; i < 5; i++) every.minute(fn, { catchUp: 'all', catchUpLimit: 400, overlapRuns: 'allow' })
    })
    world.clock.advance(dayMs)
    const counts = []
    while (scheduler.nextWakeMs()! <= world.clock.now()) counts.push(scheduler.due().length)
    expect(counts).toEqual([1200, 800])
    expect(new Set(runs(world.started)).size).toBe(2000)
  })

  it('fires what is due together with as many statements as one alone', () => {
    const statements = (count: number, jitter?: string) => {
      const world = new World()
      const scheduler = world.wake(({ every }) => {
        for (let i = 0; i < count; i++) every(15 * (1 + (i % 3))).minutes(fn, { id: `s${i}`, ...(jitter && { jitter }) })
      })
      world.clock.advance(dayMs)
      const before = world.store.statements
      expect(scheduler.due()).toHaveLength(count)
      // Each run has a row of its own, which is the journal's.
      return world.store.statements - before - count
    }
    expect([statements(600), statements(600, '10m')]).toEqual([statements(1), statements(1)])
  })

  it('fires nothing twice when the clock jumps back', () => {
    const world = new World()
    const init = ({ every }: ReturnType<World['open']>) => void every.hour(fn)
    let scheduler = world.wake(init)
    world.clock.ms = at('2026-01-01T03:00:10Z')
    scheduler.due()
    world.clock.ms = at('2026-01-01T01:59:00Z')
    for (let i = 0; i < 240; i++) {
      if (i % 50 === 25) scheduler = world.wake(init)
      scheduler.due()
      world.clock.advance(minuteMs)
    }
    expect(runs(world.started)).toEqual([3, 4, 5].map((hour) => `fn@2026-01-01T0${hour}:00:00.000Z`))
  })

  it('keeps what is due when the recurrence is unchanged, and computes anew when it changed, never firing an instant twice', () => {
    const world = new World()
    world.wake(({ every }) => void every.hour(fn))
    world.clock.ms = at('2026-01-01T01:00:00Z')
    const changed = world.wake(({ every }) => void every(30).minutes(fn))
    expect(runs(changed.due())).toEqual(['fn@2026-01-01T01:00:00.000Z'])
    const back = world.wake(({ every }) => void every.hour(fn))
    expect([runs(back.due()), back.nextWakeMs()]).toEqual([[], at('2026-01-01T02:00:00Z')])
  })

  it('undoes everything when a run cannot be stored, and has it due still', () => {
    const world = new World()
    const scheduler = world.wake(({ every }) => (every.hour(fn), every.hour(fn)))
    world.clock.advance(hourMs)
    let calls = 0
    const full = () => {
      world.store.sql('CREATE TABLE IF NOT EXISTS mine (id TEXT)')
      if (++calls === 2) throw new Error('disk full')
      world.store.sql("INSERT INTO mine VALUES ('x')")
    }
    expect(() => scheduler.due(full)).toThrow('disk full')
    expect(world.store.sql("SELECT name FROM sqlite_master WHERE name = 'mine'")).toEqual([])
    expect(scheduler.due()).toHaveLength(2)
  })

  it('waits for the declaration before it fires what an earlier incarnation left', () => {
    const world = new World()
    world.wake(({ every }) => void every.hour(fn))
    world.clock.advance(hourMs)
    world.store = world.store.reopen()
    const next = world.open()
    expect([next.scheduler.due(), next.scheduler.nextWakeMs()]).toEqual([[], at('2026-01-01T01:00:00Z')])
    next.every.hour(fn)
    expect(runs(next.scheduler.due())).toEqual(['fn@2026-01-01T01:00:00.000Z'])
  })

  it('fires at midnight of a zone, and follows its daylight saving', () => {
    const world = new World()
    world.clock.ms = at('2026-03-07T12:00:00Z')
    const scheduler = world.wake(({ every }) => void every.day.in('America/New_York')(fn))
    expect(scheduler.view('fn', 3)).toMatchObject({
      timeZone: 'America/New_York',
      next: [at('2026-03-08T05:00:00Z'), at('2026-03-09T04:00:00Z'), at('2026-03-10T04:00:00Z')],
    })
  })
})

describe('pause, resume, cancel, trigger', () => {
  it('pauses across restarts; resuming goes on from now, and the window covers the pause', () => {
    const world = new World()
    const init = ({ every }: ReturnType<World['open']>) => void every.hour(fn)
    let scheduler = world.wake(init)
    world.clock.ms = at('2026-01-01T01:00:00Z')
    scheduler.due()
    scheduler.pause('fn')
    world.clock.ms = at('2026-01-01T03:30:00Z')
    scheduler = world.wake(init)
    expect([scheduler.due(), scheduler.nextWakeMs(), scheduler.view('fn', 1)]).toMatchObject([
      [],
      null,
      { paused: true, next: [at('2026-01-01T04:00:00Z')] },
    ])
    scheduler.resume('fn')
    scheduler.resume('fn')
    expect([scheduler.due(), scheduler.nextWakeMs()]).toEqual([[], at('2026-01-01T04:00:00Z')])
    world.clock.ms = at('2026-01-01T04:00:00Z')
    expect(scheduler.due()).toMatchObject([{ window: { start: at('2026-01-01T01:00:00Z'), end: at('2026-01-01T04:00:00Z') } }])
  })

  it('covers a pause before the first firing too', () => {
    const world = new World()
    const scheduler = world.wake(({ every }) => void every.hour(fn))
    scheduler.pause('fn')
    world.clock.ms = at('2026-01-01T02:30:00Z')
    scheduler.resume('fn')
    world.clock.advance(hourMs)
    expect(scheduler.due()).toMatchObject([{ window: { start: at('2026-01-01T00:00:00Z'), end: at('2026-01-01T03:00:00Z') } }])
  })

  it('resuming one that is not paused keeps what is due', () => {
    const world = new World()
    const scheduler = world.wake(({ every }) => void every.hour(fn))
    world.clock.advance(hourMs)
    scheduler.resume('fn')
    expect(scheduler.due()).toHaveLength(1)
  })

  it('cancels across restarts, repeatably, until the code states another recurrence', () => {
    const world = new World()
    const init = ({ every }: ReturnType<World['open']>) => {
      const handle = every.hour(fn)
      handle.cancel()
      handle.pause()
      handle.resume()
      expect(handle.next(3)).toEqual([])
    }
    world.wake(init)
    world.clock.advance(hourMs)
    const scheduler = world.wake(init)
    expect([ids(scheduler), scheduler.due(), scheduler.nextWakeMs()]).toEqual([[], [], null])
    expect(() => scheduler.trigger('fn')).toThrow(/it was cancelled/)
    expect(ids(world.wake(({ every }) => void every.day(fn)))).toEqual(['fn'])
  })

  it('triggers beside its instants, with run ids of their own, also while paused', async () => {
    const world = new World()
    let handle: ScheduleHandle | undefined
    const scheduler = world.wake(({ every }) => void (handle = every.hour(fn)))
    world.clock.ms = at('2026-01-01T01:00:00Z')
    const byHand = [await handle!.trigger(), scheduler.trigger('fn')]
    expect(byHand[0]).toMatch(/^fn@2026-01-01T01:00:00\.000Z\.manual_[0-9a-z]{26}$/)
    expect(new Set([...byHand, ...runs(scheduler.due())]).size).toBe(3)
    expect(runs(world.started)).toEqual([...byHand, 'fn@2026-01-01T01:00:00.000Z'])
    expect(world.started[0]!.window).toEqual({ start: at('2026-01-01T00:00:00Z'), end: at('2026-01-01T01:00:00Z') })
    scheduler.pause('fn')
    scheduler.trigger('fn')
    expect([world.started.length, scheduler.view('fn').lastRunId]).toEqual([4, world.started[3]!.runId])
  })

  it('a run by hand takes nothing from the next instant: its window begins where the one before it ended', async () => {
    const world = new World()
    let handle: ScheduleHandle | undefined
    const scheduler = world.wake(({ every }) => void (handle = every.hour(fn)))
    const [one, half, two] = [at('2026-01-01T01:00:00Z'), at('2026-01-01T01:30:00Z'), at('2026-01-01T02:00:00Z')]
    world.clock.ms = one
    scheduler.due()
    world.clock.ms = half
    await handle!.trigger()
    world.clock.ms = two
    scheduler.due()
    expect(world.started.slice(1).map(({ window }) => window)).toEqual([
      { start: one, end: half },
      { start: one, end: two },
    ])
  })

  it('a trigger whose run cannot be stored has not happened', () => {
    const world = new World()
    const scheduler = world.wake(({ every }) => void every.hour(fn))
    world.runs.start = () => {
      throw new Error('disk full')
    }
    expect(() => scheduler.trigger('fn')).toThrow('disk full')
    expect(scheduler.view('fn')).not.toHaveProperty('lastRunId')
  })

  it('begins each run with the budget of its schedule, and one by hand with its own where it has one', async () => {
    const world = new World()
    let handle: ScheduleHandle
    const scheduler = world.wake(({ every }) => void (handle = every.hour(fn, { budget: { requests: 5 } })))
    world.clock.ms = at('2026-01-01T01:00:00Z')
    scheduler.due()
    scheduler.trigger('fn')
    await handle!.trigger({ budget: { wallMs: 1 } })
    expect(world.started.map(({ budget }) => budget)).toEqual([{ requests: 5 }, { requests: 5 }, { wallMs: 1 }])
    expect(scheduler.view('fn').budget).toEqual({ requests: 5 })
    // The code says another one, and then none.
    for (const budget of [{ r2: 1 }, undefined]) {
      world.wake(({ every }) => void every.hour(fn, budget && { budget })).trigger('fn')
      expect(world.started.at(-1)!.budget).toEqual(budget)
    }
  })

  it('refuses a budget that is none, by hand and where it is declared, and begins nothing', () => {
    const world = new World()
    const scheduler = world.wake(({ every }) => void every.hour(fn))
    const wrong = { cpu: 3 } as Budget
    const refusal = expect.objectContaining({ code: 'INVALID_BUDGET' })
    expect(() => scheduler.trigger('fn', { budget: wrong })).toThrow(refusal)
    expect(() => scheduler.backfill('fn', 0, 1, { budget: wrong })).toThrow(refusal)
    expect(() => new World().wake(({ every }) => void every.hour(fn, { budget: wrong }))).toThrow(refusal)
    expect(world.started).toEqual([])
  })

  it('gives the handler that takes up an interrupted run', () => {
    const handler: ScheduleHandler = () => 1
    const scheduler = new World().wake(({ every }) => void every.hour(handler))
    expect([scheduler.handlerOf('handler'), scheduler.handlerOf('other')]).toEqual([handler, undefined])
  })
})

describe('single instants', () => {
  it('after() counts from the first declaration, not from the last wake, and fires once', () => {
    const world = new World()
    const init = ({ after }: ReturnType<World['open']>) => void after('10m')(fn)
    for (let i = 0; i < 4; i++) {
      expect(world.wake(init).due()).toEqual([])
      world.clock.advance(3 * minuteMs)
    }
    expect(runs(world.wake(init).due())).toEqual(['fn@2026-01-01T00:40:00.000Z'])
    world.clock.advance(dayMs)
    const later = world.wake(init)
    expect([later.due(), later.nextWakeMs(), later.view('fn').next]).toEqual([[], null, []])
  })

  it('after(0) fires at once', () => {
    expect(new World().wake(({ after }) => void after(0)(fn)).due()).toHaveLength(1)
  })

  it('at() fires late when it was missed or paused over, and not in an object that came later', () => {
    const world = new World()
    const init = (it: ReturnType<World['open']>) => void it.at('2026-01-01T02:00:00Z')(fn)
    world.wake(init).pause('fn')
    world.clock.ms = at('2026-01-05T00:00:00Z')
    const scheduler = world.wake(init)
    scheduler.resume('fn')
    expect(runs(scheduler.due())).toEqual(['fn@2026-01-01T02:00:00.000Z'])
    const young = new World()
    young.clock.ms = at('2026-01-05T00:00:00Z')
    expect(young.wake(init).nextWakeMs()).toBeNull()
  })
})

describe('jitter', () => {
  it('is only ever later, below the following instant, the same each time, and spread', () => {
    const found = new Set<number>()
    for (let i = 0; i < 300; i++) {
      const instant = i * hourMs
      const jitter = jitterOf('sync', instant, 10 * minuteMs, instant + hourMs)
      expect([jitter >= 0, jitter <= 10 * minuteMs, jitterOf('sync', instant, 10 * minuteMs, instant + hourMs)]).toEqual([
        true,
        true,
        jitter,
      ])
      expect(jitterOf('sync', instant, dayMs, instant + 1000)).toBeLessThan(1000)
      found.add(Math.floor(jitter / minuteMs))
    }
    expect(found.size).toBeGreaterThanOrEqual(10)
    expect(jitterOf('a', 0, hourMs, null)).not.toBe(jitterOf('b', 0, hourMs, null))
  })

  it('delays the start and not the instant, even where it is longer than the interval', () => {
    const world = new World()
    const scheduler = world.wake(({ every }) => void every(10).minutes(fn, { jitter: '1h' }))
    const lateness = []
    for (let i = 0; i < 600; i++) {
      for (const firing of scheduler.due()) lateness.push(world.clock.now() - firing.scheduledAt)
      world.clock.advance(minuteMs / 4)
    }
    expect(world.started.map((it) => it.scheduledAt)).toEqual(
      Array.from({ length: world.started.length }, (_, i) => at('2026-01-01T00:30:00Z') + i * 10 * minuteMs),
    )
    expect([world.started.length >= 14, Math.max(...lateness) < 10.5 * minuteMs, Math.max(...lateness) > minuteMs]).toEqual([
      true,
      true,
      true,
    ])
  })

  it('never starts early, also when an older instant is overdue', () => {
    const world = new World()
    const scheduler = world.wake(({ every }) => void every(10).minutes(fn, { jitter: '1h' }))
    const random = new SeededRandom(3)
    for (let i = 0; i < 500; i++) {
      world.clock.advance(random.below(25 * minuteMs))
      for (const { scheduledAt } of scheduler.due()) {
        expect(world.clock.now() - scheduledAt).toBeGreaterThanOrEqual(jitterOf('fn', scheduledAt, hourMs, scheduledAt + 10 * minuteMs))
      }
    }
    expect(world.started.length).toBeGreaterThan(300)
  })
})

describe('storage', () => {
  it('has a version, and its statements are pinned: they are added to and never edited', () => {
    const text = (version: number) =>
      createHash('sha256')
        .update(migrations[version - 1]!.join('\n'))
        .digest('hex')
        .slice(0, 16)
    expect(migrations.map((_, index) => text(index + 1))).toEqual([
      '0004db7dfdfaa0f5',
      '6fa02e576b772c56',
      'b406629e61ef114c',
      'ba935faafcd8d4b4',
    ])
  })

  it('opens what the first release has stored: nothing that is due is lost, and nothing fired is known to be open', () => {
    const world = new World()
    for (const statement of migrations[0]!) world.store.sql(statement)
    world.store.sql('CREATE TABLE dotdo_versions (room TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID')
    world.store.sql("INSERT INTO dotdo_versions VALUES ('schedule', 1)")
    world.store.sql(
      `INSERT INTO dotdo_schedules VALUES ('fn', 'active', 0, ?1, ?1, 'every hour', ?2, ?3, ?3, ?4, ?4, ?4, 'fn@x', 0, 0)`.replace(
        /\?(\d)/g,
        (_, n) =>
          [
            '',
            '\'{"version":1,"kind":"interval","everyMs":3600000}\'',
            '\'j{"catchUp":"latest","catchUpLimit":1,"catchUpWithinMs":null,"overlapRuns":"skip","jitterMs":0}\'',
            String(at('2026-01-01T00:00:00Z')),
            String(at('2025-12-31T23:00:00Z')),
          ][Number(n)]!,
      ),
    )
    const scheduler = world.wake(({ every }) => void every(1).hour(fn))
    expect(scheduler.due()).toMatchObject([
      { runId: 'fn@2026-01-01T00:00:00.000Z', window: { start: at('2025-12-31T23:00:00Z'), end: at('2026-01-01T00:00:00Z') } },
    ])
  })

  it('refuses tables of a later release', () => {
    const world = new World()
    world.open()
    world.store.sql("UPDATE dotdo_versions SET version = 99 WHERE room = 'schedule'")
    expect(() => world.open()).toThrow(expect.objectContaining({ code: 'STATE_TOO_NEW' }))
  })
})
