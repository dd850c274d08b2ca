import { describe, expect, it } from 'vitest'
import { takeDue } from '../../src/schedule/firing.ts'
import { defaultPolicies, jitterOf, maxCatchUp, readPolicies, type SchedulePolicies } from '../../src/schedule/policies.ts'
import { cron, interval, once, openRecurrence, storeRecurrence, type Recurrence } from '../../src/schedule/recurrence.ts'
import type { ScheduleRow } from '../../src/schedule/schedule-table.ts'
import { SeededRandom } from '../support/fakes.ts'

const minuteMs = 60_000
const begin = Date.UTC(2026, 9, 31, 12)

function rowOf(recurrence: Recurrence, policies: SchedulePolicies, nextAt: number, coveredTo: number | null): ScheduleRow {
  const text = storeRecurrence(recurrence)
  return {
    id: 's',
    status: 'active',
    paused: false,
    declared: text,
    recurrence: text,
    pattern: '',
    policies,
    nextAt,
    wakeAt: nextAt,
    lastScheduledAt: null,
    coveredTo,
    lastFiredAt: null,
    lastRunId: null,
    openRun: null,
    failures: 0,
    fired: 0,
    position: 0,
    changedAt: 0,
  }
}

/** The policies, said in the plainest way: list every instant, then leave out what does not fire. */
function naive(recurrence: Recurrence, policies: SchedulePolicies, nextAt: number, now: number) {
  const instants = openRecurrence(recurrence)
  const started = (instant: number) => instant + jitterOf('s', instant, policies.jitterMs, instants.next(instant))
  const due = []
  for (let at: number | null = nextAt; at !== null && started(at) <= now; at = instants.next(at)) due.push(at)
  const late = due
    .slice(-policies.catchUpLimit)
    .filter((it) => policies.catchUpWithinMs === null || now - started(it) <= policies.catchUpWithinMs)
  // Where runs queue, one is taken at a time and the rest stays due.
  const fired = policies.overlapRuns === 'queue' ? late.slice(0, 1) : late
  const last = policies.overlapRuns === 'queue' && late.length > 1 ? late[0]! : due.at(-1)!
  return { fired, last, next: instants.next(last) }
}

describe('what is taken of a schedule that is due', () => {
  it('is what listing every instant gives, for random recurrences, policies and lateness', () => {
    const random = new SeededRandom(5)
    const recurrences = [
      interval(7 * minuteMs),
      cron('*/20 * * * *', { timeZone: 'America/New_York', overlap: 'both' }),
      cron('5,6,50 * * * *'),
      cron('30 1 * * *', { timeZone: 'America/New_York' }),
    ]
    let several = 0
    let none = 0
    for (let i = 0; i < 1500; i++) {
      const recurrence = recurrences[random.below(recurrences.length)]!
      const policies = readPolicies({
        ...[
          { catchUp: 'latest' as const },
          { catchUp: 'skip' as const },
          {
            catchUp: 'all' as const,
            overlapRuns: random.next() < 0.7 ? ('allow' as const) : ('queue' as const),
            catchUpLimit: 1 + random.below(20),
          },
        ][random.below(3)],
        ...(random.next() < 0.3 && { catchUpWithin: random.below(120 * minuteMs) }),
        ...(random.next() < 0.5 && { jitter: random.below(30 * minuteMs) }),
      })
      const instants = openRecurrence(recurrence)
      const nextAt = instants.next(begin + random.below(1440 * minuteMs))!
      const now =
        nextAt +
        jitterOf('s', nextAt, policies.jitterMs, instants.next(nextAt)) +
        (random.next() < 0.5 ? random.below(5 * minuteMs) : random.below(600 * minuteMs))
      const coveredTo = random.next() < 0.5 ? nextAt - 1 - random.below(600 * minuteMs) : instants.previous(nextAt - 1)

      const taken = takeDue(rowOf(recurrence, policies, nextAt, coveredTo), instants, nextAt, now)
      const expected = naive(recurrence, policies, nextAt, now)
      const what = { i, recurrence, policies, nextAt, now }
      expect({ ...what, fired: taken.events.map((it) => it.scheduledAt), last: taken.lastScheduledAt, next: taken.nextAt }).toEqual({
        ...what,
        ...expected,
      })

      // Windows end at their instant and follow each other; the first one begins where the last firing's ended.
      expect(taken.events.map((it) => it.window.end)).toEqual(expected.fired)
      const start = policies.catchUp === 'skip' ? instants.previous((expected.fired[0] ?? 0) - 1) : coveredTo
      expect(taken.events.map((it) => it.window.start)).toEqual([start, ...expected.fired].slice(0, expected.fired.length))
      if (expected.fired.length > 1) several++
      if (expected.fired.length === 0) none++
    }
    expect([several > 100, none > 20]).toEqual([true, true])
  })

  it('of a single instant is that one, with an empty window, and then none', () => {
    const recurrence = once(begin)
    expect(takeDue(rowOf(recurrence, defaultPolicies, begin, null), openRecurrence(recurrence), begin, begin + 5000)).toEqual({
      events: [{ scheduledAt: begin, window: { start: begin, end: begin } }],
      lastScheduledAt: begin,
      nextAt: null,
    })
  })

  it('looks back over no more instants than the limit', () => {
    const policies = readPolicies({ catchUp: 'all', catchUpLimit: 7, overlapRuns: 'allow' })
    const instants = openRecurrence(interval(1000))
    let looks = 0
    const counted = { next: (it: number) => (looks++, instants.next(it)), previous: (it: number) => (looks++, instants.previous(it)) }
    expect(takeDue(rowOf(interval(1000), policies, begin, begin - 1000), counted, begin, begin + 1e10).events).toHaveLength(7)
    expect(looks).toBeLessThan(12)
  })
})

describe('policies', () => {
  it('have the defaults that are stated', () => {
    expect(readPolicies({})).toEqual(defaultPolicies)
    expect(readPolicies({ catchUp: 'all' })).toMatchObject({ catchUpLimit: 100, catchUpWithinMs: null })
    expect(readPolicies({ catchUp: 'skip', catchUpWithin: '5m' })).toMatchObject({ catchUpLimit: 1, catchUpWithinMs: 5 * minuteMs })
    expect(readPolicies({ catchUp: 'all', catchUpLimit: maxCatchUp }).catchUpLimit).toBe(1000)
  })

  it.each([0, 1.5, maxCatchUp + 1, NaN])('refuse %s as the limit of what is made up', (catchUpLimit) => {
    expect(() => readPolicies({ catchUp: 'all', catchUpLimit })).toThrow(
      expect.objectContaining({ code: 'INVALID_SCHEDULE', data: expect.objectContaining({ option: 'catchUpLimit' }) }),
    )
  })

  it.each(['skip', 'queue', 'allow', 'cancel-previous'] as const)('store %s for runs that overlap', (overlapRuns) => {
    expect(readPolicies({ overlapRuns }).overlapRuns).toBe(overlapRuns)
  })

  it("queue what catchUp 'all' makes up, and refuse what would give all but one of it up", () => {
    expect(readPolicies({ catchUp: 'all' }).overlapRuns).toBe('queue')
    expect(readPolicies({ catchUp: 'all', overlapRuns: 'allow' }).overlapRuns).toBe('allow')
    for (const overlapRuns of ['skip', 'cancel-previous'] as const)
      expect(() => readPolicies({ catchUp: 'all', overlapRuns })).toThrow(/overlapRuns with catchUp 'all' cannot be .*Use 'queue', 'allow'/)
  })

  it('refuse what is misspelt, with what exists', () => {
    expect(() => readPolicies({ overlapRuns: 'drop' as 'skip' })).toThrow(
      /overlapRuns cannot be "drop"\. Use 'skip', 'queue', 'allow', 'cancel-previous'/,
    )
    expect(() => readPolicies({ timezone: 'UTC' } as never)).toThrow(/no option "timezone"\. There are id, timeZone/)
  })
})
