import { describe, expect, test } from 'vitest'
import type { LiveEvent } from '../../src/base/views.ts'
import { entriesOf, entryLine, entryOf, keyOf } from '../../src/cli/log-entries.ts'
import { width } from '../../src/cli/text.ts'
import { look, noon, run, step } from './machine.ts'

const object = 'Pipeline/main'
const error = { name: 'Error', code: 'LOAD_FAILED', message: 'dry' }
const live = (event: object): LiveEvent => ({ seq: 1, at: noon, ...event }) as LiveEvent

describe('what is told live', () => {
  test('is one flat entry, with stable fields', () => {
    expect(entryOf(object, live({ type: 'run.done', run: run() }))).toEqual({
      at: noon,
      object,
      type: 'run.done',
      runId: run().runId,
      attempt: 1,
      startedBy: 'schedule daily',
      tookMs: 4000,
    })
    const retried = step('load', 0, 50, { status: 'waiting', attempt: 2, error, progress: { rows: 3, bytes: 9 } })
    expect(entryOf(object, live({ type: 'step.retrying', runId: 'r', step: retried }))).toEqual({
      at: noon,
      object,
      type: 'step.retrying',
      runId: 'r',
      stepId: 'load',
      attempt: 2,
      tookMs: 50,
      rows: 3,
      bytes: 9,
      error,
    })
    expect(entryOf(object, live({ type: 'event.dead', eventId: 'e', eventType: 'Order.paid', handler: 'ship', error }))).toEqual({
      at: noon,
      object,
      type: 'event.dead',
      eventId: 'e',
      eventType: 'Order.paid',
      handler: 'ship',
      error,
    })
  })

  test('of a kind that does not exist yet is told by its type', () => {
    expect(entryOf(object, live({ type: 'moon.risen', moon: 'full' }))).toEqual({ at: noon, object, type: 'moon.risen' })
  })
})

describe('what is stored', () => {
  const stored = entriesOf(object, run({ steps: [step('a', 0, 10), step('b', 0, undefined)] }))

  test('is told in the order of time, as its events would have been', () => {
    expect(stored.map(({ type, stepId }) => [type, stepId])).toEqual([
      ['run.started', undefined],
      ['step.started', 'a'],
      ['step.started', 'b'],
      ['step.done', 'a'],
      ['run.done', undefined],
    ])
  })

  test('is known again when it is told live', () => {
    const events = [
      live({ type: 'run.started', run: run({ status: 'running' }) }),
      live({ type: 'step.started', runId: run().runId, step: step('a', 0, undefined) }),
      live({ type: 'step.done', runId: run().runId, step: step('a', 0, 10) }),
      live({ type: 'run.done', run: run() }),
    ]
    const keys = new Set(stored.map(keyOf))
    for (const event of events) expect(keys).toContain(keyOf(entryOf(object, event)))
    expect(keys).not.toContain(keyOf(entryOf('Pipeline/other', events[0]!)))
    expect(keys).not.toContain(
      keyOf(entryOf(object, live({ type: 'step.done', runId: run().runId, step: step('a', 0, 10, { attempt: 2 }) }))),
    )
  })
})

test('a line says when, where, what, how long, and why', () => {
  const entry = entryOf(
    object,
    live({ type: 'step.failed', runId: 'r1', step: step('load', 0, 50, { status: 'failed', attempt: 2, error }) }),
  )
  expect(entryLine(entry, false, look())).toBe(
    '12:00:00.000  Pipeline/main  ✗ step.failed  load  50 ms  attempt 2  LOAD_FAILED: dry  of r1',
  )
  expect(entryLine(entry, true, look())).toBe('12:00:00.000  ✗ step.failed  load  50 ms  attempt 2  LOAD_FAILED: dry  of r1')
  expect(width(entryLine(entry, false, look(60)))).toBeLessThanOrEqual(60)
  expect(entryLine(entry, true, look(Infinity, true))).toContain('\u001b[31m✗ step.failed\u001b[0m')
  const ended = entryOf(object, live({ type: 'run.failed', run: run({ status: 'failed', error }) }))
  expect(entryLine(ended, true, look())).toBe(`12:00:00.000  ✗ run.failed  schedule daily  4.0 s  LOAD_FAILED: dry  ${run().runId}`)
  // What is cut off first says least.
  expect(entryLine(ended, true, look(70))).toContain('LOAD_FAILED: dry')
  expect(entryLine(entryOf(object, live({ type: 'event.sent', eventId: 'e', eventType: 'Order.paid' })), true, look())).toBe(
    '12:00:00.000  • event.sent  Order.paid',
  )
})
