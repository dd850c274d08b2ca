import { describe, expect, test } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import type { ForkDiff } from '../../src/base/fork-views.ts'
import { changeOf, type HeldRun } from '../../src/journal/code-change.ts'
import type { RehearsedStep } from '../../src/journal/rehearsal.ts'

const held = (steps: string, more: Partial<HeldRun> = {}): HeldRun => ({
  runId: 'r',
  startedAt: 0,
  began: 'v1',
  now: 'v2',
  // `a b c?`: the last one is not done.
  steps: steps.split(' ').map((word) => ({ stepId: word.replace('?', ''), isDone: !word.endsWith('?') })),
  ...more,
})
const diff = (outcome: ForkDiff['outcome'] = 'done', error?: string): ForkDiff => ({
  forkedFrom: { runId: 'r' },
  outcome,
  ...(error !== undefined && { error }),
  result: {},
  steps: [],
  differs: false,
  warnings: [],
  text: '',
})
/** `a b+`: the second is done by the dry run, the first stays. */
const dry = (steps: string): RehearsedStep[] =>
  steps.split(' ').map((word) => ({ stepId: word.replace('+', ''), state: word.endsWith('+') ? 'done' : 'taken' }))
const linesOf = (...args: Parameters<typeof changeOf>) => changeOf(...args).text.split('\n')

describe('what changed for a run that is held', () => {
  test('is nothing where the new code does the same steps', () => {
    expect(changeOf(held('a b c?'), dry('a b c+ d+'), diff())).toMatchObject({
      kept: ['a', 'b'],
      next: ['c', 'd'],
      added: [],
      removed: [],
      changed: [],
      missing: [],
    })
    expect(linesOf(held('a b c?'), dry('a b c+ d+'), diff())).toEqual([
      "r began with version 'v1', and version 'v2' runs now",
      '  2 steps that are done stay so',
      '  · c, d: to come',
      '  no step is seen to differ',
      '  it would come to its end',
    ])
  })

  test('is a step before what is done that the run has never had, and one that is done and is not come to', () => {
    const change = changeOf(held('a b'), dry('a check+ b'), diff())
    expect(change).toMatchObject({ kept: ['a', 'b'], added: ['check'], removed: [], next: [] })
    expect(changeOf(held('a b c'), dry('a c d+'), diff())).toMatchObject({ removed: ['b'], next: ['d'], added: [] })
    expect(linesOf(held('a b c'), dry('a new+ c'), diff())).toEqual(
      expect.arrayContaining(['  + new: new, before what is done', '  - b: done, and the new code does without']),
    )
  })

  test('is not what lies behind the place where the dry run stopped: that is not known', () => {
    // It waits for an event at w, which the run waits for, too: what was done before w is known to be gone, and d is not.
    const run = held('a b w? d')
    expect(changeOf(run, dry('a w+'), diff('stopped'))).toMatchObject({ removed: ['b'], missing: [] })
    expect(changeOf(run, dry('a'), diff('failed', 'no'))).toMatchObject({ removed: [] })
    expect(linesOf(run, dry('a'), diff('failed', 'no')).at(-1)).toBe('  it would fail: no')
  })

  test('is found by a run of the former version, too: what it has done and this one will not, and what it has not', () => {
    const run = held('a', { comparedWith: { runId: 'before', steps: ['a', 'b', 'child', 'c'] } })
    const change = changeOf(run, dry('a b+ child+ child/x+ mail+'), diff())
    expect(change).toMatchObject({ next: ['b', 'child', 'child/x'], added: ['mail'], missing: ['c'], comparedWith: 'before' })
    expect(change.text).toContain('+ mail: new, as run before of the former version shows')
    expect(change.text).toContain('- c: to come by run before of the former version')
    // Where the dry run did not come to its end, nothing is said to be missing.
    expect(changeOf(run, dry('a b+'), diff('stopped'))).toMatchObject({ missing: [] })
  })

  test('is a step that is another one now, by what it states of itself', () => {
    const error = new DotdoError('STEP_CHANGED', `Step 'b' of run 'r' has changed`)
    const steps: RehearsedStep[] = [...dry('a'), { stepId: 'b', state: 'failed', error }]
    const change = changeOf(held('a b'), steps, diff('failed', 'STEP_CHANGED: it'))
    expect(change).toMatchObject({ changed: [{ stepId: 'b', error: error.message }], next: [], removed: [] })
    expect(change.text).toContain(`~ b: ${error.message}`)
    // A step that fails otherwise is one to come.
    expect(changeOf(held('a b?'), [...dry('a'), { stepId: 'b', state: 'failed', error: new Error('x') }], diff())).toMatchObject({
      changed: [],
      next: ['b'],
    })
  })

  test('names twenty steps of a kind, and how many more there are', () => {
    const many = Array.from({ length: 25 }, (_, i) => `s${i}+`).join(' ')
    expect(linesOf(held('a'), dry(`a ${many}`), diff())[2]).toMatch(/ s19, and 5 more: to come$/)
  })

  test('says what is known where nothing tells versions apart', () => {
    const { began: _began, now: _now, ...bare } = held('a')
    expect(linesOf(bare, dry('a'), diff())[0]).toBe('r')
  })
})
