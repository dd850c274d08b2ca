import type { RunView, StepView } from 'dotdo/client'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { layOutTimeline, tickStep } from '../src/timeline.ts'

const run = (steps: StepView[], over: Partial<RunView> = {}): RunView => ({
  runId: 'a',
  target: { kind: 'method', name: 'go' },
  status: 'running',
  attempt: 1,
  startedAt: 1000,
  steps,
  ...over,
})
const step = (over: Partial<StepView>): StepView => ({ stepId: 's', status: 'done', attempt: 1, startedAt: 1000, ...over })

test('a run that has ended fills the axis, and steps that ran at once lie over one another', () => {
  const steps = [
    step({ startedAt: 1000, endedAt: 3000 }),
    step({ startedAt: 1000, endedAt: 5000 }),
    step({ startedAt: 5000, endedAt: 11_000 }),
  ]
  const { rows, spanMs } = layOutTimeline(run(steps, { status: 'done', endedAt: 11_000 }), 99_999)
  expect(spanMs).toBe(10_000)
  expect(rows.map(({ bar }) => bar)).toEqual([
    { left: 0, width: 20 },
    { left: 0, width: 40 },
    { left: 40, width: 60 },
  ])
})

test('the axis of a running run ends at a tick, and its bars grow to the present', () => {
  const at = (now: number) => layOutTimeline(run([step({ status: 'running' })]), now)
  expect(at(7500)).toMatchObject({ spanMs: 8000, rows: [{ bar: { left: 0, width: 81.25 }, elapsedMs: 6500 }] })
  expect(at(7600).spanMs).toBe(8000)
  expect(at(7500).ticks.map(({ label }) => label)).toEqual(['0', '2 s', '4 s', '6 s', '8 s'])
})

test('ticks read like a clock', () => {
  const labels = (ms: number) => layOutTimeline(run([], { status: 'done', endedAt: 1000 + ms }), 0).ticks.map(({ label }) => label)
  expect(labels(2100)).toEqual(['0', '500 ms', '1 s', '1.5 s', '2 s'])
  expect(labels(240_000)).toEqual(['0', '1 min', '2 min', '3 min', '4 min'])
  expect(labels(3 * 3_600_000)).toEqual(['0', '30 min', '1 h', '1 h 30 min', '2 h', '2 h 30 min', '3 h'])
})

test('on a narrow axis the words of ticks are left out that would lie on others, and never the first and the last', () => {
  const shown = (ms: number) =>
    layOutTimeline(run([], { status: 'done', endedAt: 1000 + ms }), 0)
      .ticks.filter(({ isCrowded }) => !isCrowded)
      .map(({ label }) => label)
  expect(shown(30_000)).toEqual(['0', '5 s', '10 s', '15 s', '20 s', '25 s', '30 s'])
  expect(shown(150 * 60_000)).toEqual(['0', '30 min', '1 h', '1 h 30 min', '2 h 30 min'])
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e12 }), (ms) => {
      const { ticks } = layOutTimeline(run([], { status: 'done', endedAt: 1000 + ms }), 0)
      expect([ticks[0]!.isCrowded, ticks.at(-1)!.isCrowded]).toEqual([false, false])
    }),
  )
})

test('the wait for the next attempt is drawn as far as the axis reaches', () => {
  const waiting = step({ status: 'waiting', attempt: 2, startedAt: 1000, nextAttemptAt: 60_000 })
  const { rows } = layOutTimeline(run([waiting]), 8000)
  expect(rows[0]).toMatchObject({ bar: { left: 0, width: 87.5 }, waiting: { left: 87.5, width: 12.5 } })
  expect(layOutTimeline(run([{ ...waiting, nextAttemptAt: 7000 }]), 8000).rows[0]).not.toHaveProperty('waiting')
})

test('whatever the instants, each bar lies on the axis and there are few ticks', () => {
  const instant = fc.integer({ min: 0, max: 1e12 })
  const anyStep = fc.record(
    {
      stepId: fc.string(),
      status: fc.constantFrom('running', 'waiting', 'done', 'failed'),
      attempt: fc.nat(5),
      startedAt: instant,
      endedAt: instant,
      nextAttemptAt: instant,
    },
    { requiredKeys: ['stepId', 'status', 'attempt', 'startedAt'] },
  ) as fc.Arbitrary<StepView>
  fc.assert(
    fc.property(fc.array(anyStep), instant, fc.option(instant, { nil: undefined }), instant, (steps, startedAt, endedAt, now) => {
      const { rows, ticks } = layOutTimeline(run(steps, { startedAt, ...(endedAt !== undefined && { endedAt }) }), now)
      expect(ticks.length).toBeGreaterThan(0)
      expect(ticks.length).toBeLessThanOrEqual(8)
      for (const { bar, waiting, elapsedMs } of rows) {
        for (const { left, width } of waiting ? [bar, waiting] : [bar]) {
          expect(left).toBeGreaterThanOrEqual(0)
          expect(width).toBeGreaterThanOrEqual(0)
          expect(left + width).toBeLessThanOrEqual(100 + 1e-9)
        }
        expect(elapsedMs).toBeGreaterThanOrEqual(0)
      }
    }),
  )
})

test('at most six intervals fit a span, up to years', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e12 }), (span) => {
      expect(span / tickStep(span)).toBeLessThanOrEqual(6)
    }),
  )
})
