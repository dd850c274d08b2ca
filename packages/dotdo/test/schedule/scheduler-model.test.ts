import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { ScheduleOptions } from '../../src/schedule/declaration.ts'
import { createEvery } from '../../src/schedule/every.ts'
import type { Firing } from '../../src/schedule/firing.ts'
import { Scheduler } from '../../src/schedule/scheduler.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

/** Runs that have ended when they begin. */
const ended = (start: (firing: Firing) => void) => ({
  start,
  statuses: (ids: readonly string[]) => new Map(ids.map((id) => [id, 'done' as const])),
  cancel: () => undefined,
  list: () => [],
})

/** What may happen to an object, in any order. */
type Action =
  | { do: 'pass'; minutes: number }
  | { do: 'due' | 'pause' | 'resume' | 'trigger' | 'crash' }
  | { do: 'wake'; minutes: 15 | 30 | 60; declared: boolean; jitter: boolean }

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('pass' as const), minutes: fc.integer({ min: -40, max: 200 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('due' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const, 'trigger' as const, 'crash' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('wake' as const),
      minutes: fc.constantFrom(15 as const, 30 as const, 60 as const),
      declared: fc.boolean(),
      jitter: fc.boolean(),
    }),
  },
)

it('keeps its invariants whatever happens to it in whatever order', () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 5, maxLength: 60 }), (actions) => {
      const clock = new ManualClock(Date.UTC(2026, 0, 1))
      const random = new SeededRandom(1)
      let store = new SqliteStore()
      let fired: Firing[] = []
      /** What the store would bring back after a crash. */
      let flushed: Firing[] = []
      let paused = false
      let scheduler!: Scheduler
      let init: Extract<Action, { do: 'wake' }> = { do: 'wake', minutes: 60, declared: true, jitter: false }

      const wake = () => {
        scheduler = new Scheduler({ store, clock, random, runs: ended((firing) => void fired.push(firing)) })
        const options: ScheduleOptions = { id: 's', ...(init.jitter && { jitter: '10m' }) }
        if (init.declared) createEvery(scheduler.declare.bind(scheduler))(init.minutes).minutes(() => undefined, options)
        scheduler.settle()
        paused = scheduler.views()[0]?.paused ?? paused
        store.flush()
        flushed = [...fired]
      }
      wake()

      for (const step of actions) {
        if (step.do === 'pass') clock.ms += step.minutes * minuteMs
        if (step.do === 'wake') {
          store = store.reopen()
          init = step
          wake()
        }
        if (step.do === 'crash') {
          store.crash()
          store = store.reopen()
          fired = [...flushed]
          wake()
        }
        if (step.do === 'due') {
          const wakeAt = scheduler.nextWakeMs()
          const taken = scheduler.due()
          // nextWakeMs and due agree: something fires exactly when it was said, and then no more until the next time that is said.
          expect(taken.length).toBe(wakeAt !== null && wakeAt <= clock.now() ? 1 : 0)
          if (paused || !init.declared) expect(taken).toEqual([])
          expect(scheduler.due()).toEqual([])
          expect(scheduler.nextWakeMs() ?? Infinity).toBeGreaterThan(clock.now())
        }
        if (init.declared && (step.do === 'pause' || step.do === 'resume')) {
          scheduler[step.do]('s')
          paused = step.do === 'pause'
        }
        if (init.declared && step.do === 'trigger') {
          const before = scheduler.nextWakeMs()
          scheduler.trigger('s')
          expect(scheduler.nextWakeMs()).toBe(before)
        }
        if (step.do !== 'pass' && random.next() < 0.5) {
          store.flush()
          flushed = [...fired]
        }
      }

      expect(new Set(fired.map((it) => it.runId)).size).toBe(fired.length)
      const nominal = fired.filter((it) => !it.runId.includes('.manual_'))
      for (const [index, { scheduledAt, window }] of nominal.entries()) {
        const before = nominal[index - 1]
        expect([scheduledAt % (15 * minuteMs), window.end]).toEqual([0, scheduledAt])
        // Only forwards, and each window from where the one before ended: nothing is left out or covered twice.
        expect(window.start).toBe(before?.scheduledAt ?? window.start)
        expect(scheduledAt).toBeGreaterThan(before?.scheduledAt ?? -Infinity)
      }
      if (nominal[0]) expect(nominal[0].window.start).toBeLessThanOrEqual(Date.UTC(2026, 0, 1) + hourMs)
    }),
    { numRuns: 400, seed: 20261122 },
  )
}, 60_000)
