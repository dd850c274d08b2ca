import { describe, expect, test } from 'vitest'
import type { LineageEdge } from '../../src/base/views.ts'
import { diffFork, type Rehearsed } from '../../src/journal/fork-diff.ts'
import { rehearsedRows, Rehearsal } from '../../src/journal/rehearsal.ts'
import type { Execution } from '../../src/journal/execution.ts'
import { collect, method, TestObject, type Handler } from './harness.ts'

/** Rehearses a fork of a run as an object does, and tells what came of it. */
async function rehearse(object: TestObject, runId: string, from?: string) {
  const origin = object.journal.rehearse(runId, from === undefined ? {} : { from })
  const changes = (): unknown => object.store.sql('SELECT total_changes() AS n')[0]!['n']
  const before = changes()
  const execute = (target: { kind: string; name?: string }, args: unknown[], execution: Execution): unknown =>
    object.context.run(execution, () => object.handlers[target.name!]!(execution, ...(args as never[])))
  const rehearsal = new Rehearsal({
    name: 'dry run',
    taken: origin.taken,
    waited: origin.waited,
    enter: (execution, work) => object.context.run(execution, work),
    execute: execute as never,
  })
  const outcome = await Promise.resolve(execute(origin.target as never, origin.args, rehearsal)).then(
    (value) => ({ value }),
    (thrown: unknown) => ({ thrown }),
  )
  await rehearsal.quiet()
  expect(changes()).toBe(before)
  const did = rehearsal.notes
  return { origin, rehearsal, outcome, states: rehearsal.steps.map(({ stepId, state }) => `${stepId} ${state}`), did }
}

describe('a rehearsal', () => {
  test('goes through steps of every kind as the run did, takes over what was before, and writes nothing', async () => {
    const main: Handler = async (run, n: never) => {
      const a = await run.step(() => Number(n) + 1, { stepId: 'a' })
      const stream = await run.step(
        async function* () {
          yield [a]
          yield [a, a]
        },
        { stepId: 'stream' },
      )
      await run.sleep('30d', { stepId: 'sleep' })
      const event = await run.waitFor<number>('A.b', { stepId: 'wait' })
      const squares = await run.map([1, 2], (it) => it * it, { stepId: (it) => `square ${it}` })
      const child = await run.callRun(method('child'), [a], { stepId: 'child' })
      return [stream.rows, await collect(stream), event?.payload, squares, child, run.nextKey('send').startsWith('dry run') ? 'dry' : 'run']
    }
    const object = new TestObject({ main, child: (run, n: never) => run.step(() => Number(n) * 2, { stepId: 'double' }) })
    const run = object.call('main', [4], 'origin')
    await object.advance(31 * 86_400_000)
    object.receive('A.b', 9)
    await object.advance(0)
    const result = [3, [[5], [5, 5]], 9, [1, 4], 10]
    expect(await run).toEqual([...result, 'run'])
    const whole = await rehearse(object, 'origin')
    expect(whole.outcome).toEqual({ value: [...result, 'dry'] })
    expect(whole.states).toEqual(
      ['a', 'stream', 'sleep', 'wait', 'square 1', 'square 2', 'child', 'child/double'].map((id) => `${id} done`),
    )
    const half = await rehearse(object, 'origin', 'square 2')
    expect(half.outcome).toEqual({ value: [...result, 'dry'] })
    expect(half.states).toEqual([
      ...['a', 'stream', 'sleep', 'wait', 'square 1'].map((id) => `${id} taken`),
      ...['square 2', 'child', 'child/double'].map((id) => `${id} done`),
    ])
  })

  test('finds a step that it would take over changed where it states another version or input, as the fork itself would', async () => {
    let version = 1
    const object = new TestObject({
      main: async (run) => {
        await run.step(() => 1, { stepId: 'a', version })
        await run.step(() => 2, { stepId: 'b', version })
      },
    })
    await object.call('main', [], 'origin')
    version = 2
    const { outcome, states } = await rehearse(object, 'origin', 'b')
    expect(outcome).toMatchObject({ thrown: { code: 'STEP_CHANGED' } })
    expect(states).toEqual(['a failed'])
    // From the beginning nothing is taken over, so nothing is compared.
    expect((await rehearse(object, 'origin')).states).toEqual(['a done', 'b done'])
  })

  test('joins a step that is used twice, and refuses one id for two functions, wrong options and a stream without end', async () => {
    const rehearsal = new Rehearsal({ name: 'dry run', enter: (_, work) => work() })
    let ran = 0
    const work = () => ++ran
    expect(await Promise.all([rehearsal.step(work, { stepId: 's' }), rehearsal.step(work, { stepId: 's' })])).toEqual([1, 1])
    await expect(rehearsal.step(() => 2, { stepId: 's' })).rejects.toMatchObject({ code: 'STEP_ID_REUSED' })
    await expect(rehearsal.step(work, {} as never)).rejects.toMatchObject({ code: 'STEP_ID_MISSING' })
    const endless = async function* () {
      for (;;) yield Array.from({ length: rehearsedRows })
    }
    await expect(rehearsal.step(endless, { stepId: 'endless' })).rejects.toMatchObject({ code: 'REHEARSAL_ENDED' })
    await expect(rehearsal.callRun(method('x'), [], { stepId: 'run' })).rejects.toMatchObject({ code: 'REHEARSAL_ENDED' })
  })

  test('is compared with what its origin noted, where that was done: by itself, by a run that it began, by one that it was forked from', async () => {
    const note = (target: string) => () => object.here.note({ kind: 'call', target, what: 'run' })
    const object: TestObject = new TestObject({
      main: async (run) => {
        await run.step(note('S/a'), { stepId: 'a' })
        await run.step(note('S/b'), { stepId: 'b' })
        await run.callRun(method('child'), [], { stepId: 'child' })
      },
      child: (run) => run.step(note('S/c'), { stepId: 'c' }),
    })
    await object.call('main', [], 'r0')
    object.journal.fork('r0', { from: 'b', runId: 'r1' })
    await object.journal.launch('r1')
    for (const runId of ['r0', 'r1']) {
      const { origin, did } = await rehearse(object, runId)
      expect([...origin.before.keys()].toSorted()).toEqual(['a', 'b', 'child/c'])
      expect(Object.fromEntries(did)).toEqual(Object.fromEntries(origin.before))
    }
    expect([...(await rehearse(object, 'r1', 'child')).origin.before.keys()]).toEqual(['child/c'])
  })
})

describe('the difference that a fork would make', () => {
  const edge = (target: string, more: Partial<LineageEdge> = {}): LineageEdge => ({
    kind: 'call',
    target,
    what: 'run',
    n: 1,
    print: 1,
    ...more,
  })
  const rehearsed = (more: Partial<Rehearsed>): Rehearsed => ({
    forkedFrom: { runId: 'r', stepId: 's' },
    steps: [],
    did: new Map(),
    elsewhere: new Map(),
    before: new Map(),
    outcome: { value: 1 },
    beforeResult: { text: '1', sizeBytes: 1 },
    warnings: [],
    ...more,
  })

  test('is none where the same was done in another order, and reading is no difference', () => {
    const diff = diffFork(
      rehearsed({
        steps: [{ stepId: 's', state: 'done' }],
        did: new Map([['s', [edge('A'), edge('B'), { ...edge('x'), kind: 'read' }]]]),
        before: new Map([['s', [edge('B'), edge('A')]]]),
      }),
    )
    expect(diff).toMatchObject({ differs: false, steps: [{ same: 2 }] })
    expect(diff.text).toBe('a fork of r from s: done, and writes what the run wrote\n  s: done, as before')
  })

  test('is told by step and capability, as data and as text', () => {
    const snapshot = (what: string, rows: number): LineageEdge => ({ kind: 'write', target: 'R2/a.b', what, n: 1, print: 0, rows })
    const diff = diffFork(
      rehearsed({
        steps: [
          { stepId: 'kept', state: 'taken' },
          { stepId: 's', state: 'done' },
          { stepId: 'bad', state: 'failed', error: new Error('no') },
        ],
        did: new Map([
          ['s', [edge('A', { n: 2, input: '[2]' }), edge('C'), snapshot('', 5)]],
          ['bad', [snapshot('', 3)]],
        ]),
        before: new Map([
          ['s', [edge('A', { input: '[1]' }), edge('B'), snapshot('71', 5)]],
          ['bad', [snapshot('72', 4)]],
          ['gone', [edge('D')]],
        ]),
        elsewhere: new Map([['s', [{ object: 'A', writer: 'storage', target: 'run()', rows: 3, sample: [] }]]]),
        outcome: { thrown: new Error('no') },
        warnings: ['env.KV.put'],
      }),
    )
    expect(diff.differs).toBe(true)
    expect(diff.text).toBe(
      [
        'a fork of r from s: failed',
        '  no',
        '  kept: taken',
        '  s: done, 1 more as before',
        '    + called C.run',
        '    - called B.run',
        '    ~ called A.run [1]',
        '      called A.run ×2 [2]',
        '    · A would write storage run(), 3',
        '  bad: failed',
        '    ~ wrote R2/a.b, 4 rows',
        '      wrote R2/a.b, 3 rows',
        '  gone: gone',
        '    - called D.run',
        'warning: env.KV.put',
      ].join('\n'),
    )
  })
})
