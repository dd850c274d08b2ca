import type { LiveEvent, RunView, ScheduleView, StepView } from 'dotdo/client'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { emptyObject, pageSize, reduceObject, type ObjectAction, type ObjectState } from '../src/live-runs.ts'

const run = (runId: string, startedAt: number, over: Partial<RunView> = {}): RunView => ({
  runId,
  target: { kind: 'method', name: 'go' },
  status: 'running',
  attempt: 1,
  startedAt,
  ...over,
})
const step = (stepId: string, over: Partial<StepView> = {}): StepView => ({
  stepId,
  status: 'running',
  attempt: 1,
  startedAt: 100,
  ...over,
})
let seq = 0
type Body = LiveEvent extends infer Event ? (Event extends LiveEvent ? Omit<Event, 'seq' | 'at'> : never) : never
const event = (body: Body, at = 0): ObjectAction => ({ type: 'event', event: { seq: seq++, at, ...body } as LiveEvent, receivedAt: 0 })
const after = (...actions: ObjectAction[]): ObjectState => actions.reduce(reduceObject, emptyObject)
const read = (runs: RunView[], open?: RunView, schedules: ScheduleView[] = []): ObjectAction => ({ type: 'read', runs, schedules, open })
const ids = (state: ObjectState) => state.runs.map(({ runId }) => runId)

test('a run that starts stands first, once, and has its steps from the events that follow', () => {
  const state = after(
    read([run('a', 1)]),
    event({ type: 'run.started', run: run('b', 2, { steps: [] }) }),
    event({ type: 'run.started', run: run('b', 2) }),
  )
  expect(ids(state)).toEqual(['b', 'a'])
  const later = reduceObject(
    reduceObject(state, event({ type: 'step.started', runId: 'b', step: step('s') })),
    event({ type: 'step.started', runId: 'a', step: step('s') }),
  )
  // Of the older run not all steps are known: it has none rather than some.
  expect(later.runs.map(({ steps }) => steps?.length)).toEqual([1, undefined])
  const ended = reduceObject(later, event({ type: 'run.done', run: run('b', 2, { status: 'done', endedAt: 9 }) }))
  expect(ended.runs[0]).toMatchObject({ status: 'done', steps: [{ stepId: 's' }] })
})

test('only the newest runs keep the steps that events told', () => {
  const state = after(...Array.from({ length: 8 }, (_, index) => event({ type: 'run.started', run: run(`r${index}`, index) })))
  expect(state.runs.map(({ steps }) => steps !== undefined)).toEqual([true, true, true, true, true, false, false, false])
})

test('the end of a run changes the list and the run that is looked at', () => {
  const state = after(
    read([run('a', 1)], run('a', 1, { steps: [step('s')] })),
    event({ type: 'run.failed', run: run('a', 1, { status: 'failed', endedAt: 9, error: { name: 'Error', message: 'x' } }) }),
  )
  expect(state.runs[0]).toMatchObject({ status: 'failed', endedAt: 9 })
  expect(state.open).toMatchObject({ status: 'failed', error: { message: 'x' }, steps: [{ stepId: 's' }] })
})

test('what has ended is not taken back by an event that comes late', () => {
  const ended = run('a', 1, { status: 'done', endedAt: 5, steps: [step('s', { status: 'done', endedAt: 4 })] })
  const state = after(
    read([ended], ended),
    event({ type: 'run.started', run: run('a', 1) }),
    event({ type: 'step.progress', runId: 'a', step: step('s', { progress: { rows: 1 } }) }),
  )
  expect(state.runs[0]?.status).toBe('done')
  expect(state.open).toEqual(ended)
})

test('a run that is taken up again shows its new attempt', () => {
  const state = after(
    read([run('a', 1)]),
    event({ type: 'run.resumed', run: run('a', 1, { attempt: 2 }) }),
    event({ type: 'run.started', run: run('a', 1) }),
  )
  expect(state.runs[0]?.attempt).toBe(2)
})

test('events of another run do not touch the one that is looked at', () => {
  const before = after(read([run('a', 1)], run('a', 1, { steps: [] })))
  expect(reduceObject(before, event({ type: 'step.started', runId: 'b', step: step('s') })).open).toBe(before.open)
})

test('a retried step waits, begins anew without its old progress, and ends', () => {
  const actions = [
    read([run('a', 1)], run('a', 1, { steps: [] })),
    event({ type: 'step.started', runId: 'a', step: step('s') }),
    event({ type: 'step.progress', runId: 'a', step: step('s', { progress: { rows: 10 } }) }),
    event({ type: 'step.retrying', runId: 'a', step: step('s', { status: 'waiting', nextAttemptAt: 900 }) }),
    event({ type: 'step.started', runId: 'a', step: step('s', { attempt: 2 }) }),
    event({ type: 'step.done', runId: 'a', step: step('s', { attempt: 2, status: 'done', endedAt: 999, progress: { rows: 20 } }) }),
  ]
  const seen = actions.map((_, index) => after(...actions.slice(0, index + 1)).open?.steps?.[0])
  expect(seen.map((step) => step?.status)).toEqual([undefined, 'running', 'running', 'waiting', 'running', 'done'])
  expect(seen.map((step) => step?.progress?.rows)).toEqual([undefined, undefined, 10, 10, undefined, 20])
})

test('an event that comes while a read is under way is not lost in its older answer', () => {
  const state = after({ type: 'reading' }, event({ type: 'run.started', run: run('b', 2) }), read([run('a', 1)]))
  expect(ids(state)).toEqual(['b', 'a'])
  // A read that was sent after the event is newer than it.
  expect(ids(reduceObject(reduceObject(state, { type: 'reading' }), read([run('a', 1)])))).toEqual(['a'])
})

test('a read stands in the place of what was known, also where it is less', () => {
  const state = after(
    read([run('a', 1, { status: 'done' })], run('a', 1, { steps: [step('s', { attempt: 3 })] })),
    { type: 'reading' },
    read([run('a', 1)], run('a', 1, { steps: [step('s')] })),
  )
  expect(state.open?.steps?.[0]?.attempt).toBe(1)
})

test('older runs stay below the newest page when it is read again', () => {
  const page = Array.from({ length: pageSize }, (_, index) => run(`new-${index}`, 10_000 - index))
  const older = after(read(page), { type: 'older', runs: [run('old', 5), page.at(-1)!] })
  expect(older.hasOlder).toBe(false)
  const again = reduceObject(reduceObject(older, { type: 'reading' }), read([run('newest', 20_000), ...page.slice(0, -1)]))
  // The run that the newest one pushed off the page is still there.
  expect(ids(again)).toHaveLength(pageSize + 2)
  expect([ids(again)[0], ids(again).at(-1)]).toEqual(['newest', 'old'])
})

test('a full page tells that there may be more, a short one that there is not', () => {
  expect(after(read(Array.from({ length: pageSize }, (_, index) => run(`r${index}`, index)))).hasOlder).toBe(true)
  expect(after(read([run('a', 1)])).hasOlder).toBe(false)
})

test('a schedule that changes takes its own place', () => {
  const schedule = (scheduleId: string, paused: boolean): ScheduleView => ({
    scheduleId,
    pattern: 'every hour',
    timeZone: 'UTC',
    paused,
    next: [],
  })
  const state = after(
    read([], undefined, [schedule('a', false), schedule('b', false)]),
    event({ type: 'schedule.changed', schedule: schedule('a', true) }),
    event({ type: 'schedule.changed', schedule: schedule('c', false) }),
  )
  expect(state.schedules.map(({ scheduleId, paused }) => [scheduleId, paused])).toEqual([
    ['a', true],
    ['b', false],
    ['c', false],
  ])
})

test('the clock of the object is taken from the event that travelled fastest', () => {
  const state = after(
    event({ type: 'run.started', run: run('a', 1) }, -5000),
    event({ type: 'run.started', run: run('b', 1) }, -4200),
    event({ type: 'run.started', run: run('c', 1) }, -4900),
  )
  expect(state.clockAheadMs).toBe(-4200)
})

test('wherever a read falls between the events of a run, the page ends with the same run', () => {
  // The run as the object knows it after each event; a read may answer with any of these that is not older than the moment it was sent.
  const steps: Body[] = [
    { type: 'run.started', run: run('a', 1) },
    { type: 'step.started', runId: 'a', step: step('x') },
    { type: 'step.started', runId: 'a', step: step('y', { startedAt: 101 }) },
    { type: 'step.progress', runId: 'a', step: step('x', { progress: { rows: 5 } }) },
    { type: 'step.retrying', runId: 'a', step: step('y', { startedAt: 101, status: 'waiting', nextAttemptAt: 300 }) },
    { type: 'step.done', runId: 'a', step: step('x', { status: 'done', endedAt: 200, progress: { rows: 9 } }) },
    { type: 'step.started', runId: 'a', step: step('y', { startedAt: 101, attempt: 2 }) },
    { type: 'step.failed', runId: 'a', step: step('y', { startedAt: 101, attempt: 2, status: 'failed', endedAt: 400 }) },
    { type: 'run.failed', run: run('a', 1, { status: 'failed', endedAt: 401 }) },
  ]
  const known = (until: number) => {
    const state = after(read([run('a', 1)], run('a', 1, { steps: [] })), ...steps.slice(0, until).map((body) => event(body)))
    return { runs: state.runs, open: state.open! }
  }
  const cuts = fc
    .tuple(fc.nat(steps.length), fc.nat(steps.length), fc.nat(steps.length))
    .map((three) => three.sort((a, b) => a - b) as [number, number, number])
  fc.assert(
    fc.property(cuts, ([sent, answered, received]) => {
      const { runs, open } = known(answered)
      const state = after(
        read([run('a', 1)], run('a', 1, { steps: [] })),
        ...steps.slice(0, sent).map((body) => event(body)),
        { type: 'reading' },
        ...steps.slice(sent, received).map((body) => event(body)),
        read(runs, open),
        ...steps.slice(received).map((body) => event(body)),
      )
      expect({ runs: state.runs, open: state.open }).toEqual(known(steps.length))
    }),
  )
})
