/** Sleeps, waits, child runs and maps, and what becomes of a run that only rests. */
import { describe, expect, test } from 'vitest'
import type { DotdoError } from '../../src/base/errors.ts'
import type { Execution } from '../../src/journal/execution.ts'
import { matches } from '../../src/journal/signals.ts'
import { method, settle, TestObject } from './harness.ts'

const never = (): Promise<never> => new Promise(() => {})
const hour = 3_600_000
const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (thrown: DotdoError) => ({ code: thrown.code, message: thrown.message, name: thrown.name }),
  )
/** Lets a run go on although nobody is left to hear of it. */
const unheard = (promise: Promise<unknown>): void => void promise.catch(() => undefined)

describe('a sleep', () => {
  test('takes as long as it says, by a timer where it is short and by the alarm where it is long, in one incarnation without a replay', async () => {
    const at: number[] = []
    const object: TestObject = new TestObject({
      main: async (run) => {
        at.push(object.clock.now())
        await run.sleep('2s', { stepId: 'short' })
        at.push(object.clock.now())
        await run.sleep('2h', { stepId: 'long' })
        at.push(object.clock.now())
      },
    })
    const run = object.call('main', [], 'r')
    await object.advance(2000)
    expect(object.journal.run('r')).toMatchObject({
      status: 'running',
      steps: [
        { kind: 'sleep', status: 'done' },
        { kind: 'sleep', status: 'waiting' },
      ],
    })
    await object.advance(60_000)
    expect(object.timers).toBe(0)
    await object.advance(3 * hour)
    await run
    expect(at.map((it) => it - at[0]!)).toEqual([0, 2000, 2 * hour + 2000])
    expect(object.journal.run('r')).toMatchObject({ status: 'done', attempt: 1 })
  })

  test('parks its run after ten seconds: no watchdog, no timer, one alarm at its end; an evicted object takes it up there', async () => {
    let begun = 0
    const object: TestObject = new TestObject({
      main: async (run) => {
        begun++
        const before = await run.step(() => 'once', { stepId: 'a' })
        await run.sleep('30 days', { stepId: 'month' })
        return [before, object.clock.now()]
      },
    })
    const start = object.clock.now()
    object.begin('main')
    await object.advance(9000)
    expect(object.journal.nextWakeMs()).toBe(start + 30_000)
    await object.advance(1000)
    expect(object.journal.run('r')).toMatchObject({ status: 'running', parked: { until: start + 30 * 24 * hour } })
    expect(object.events.at(-1)).toMatchObject({ type: 'run.parked' })
    expect([object.timers, object.journal.nextWakeMs()]).toEqual([0, start + 30 * 24 * hour])
    object.evict()
    expect([object.timers, object.journal.nextWakeMs()]).toEqual([0, start + 30 * 24 * hour])
    await object.advance(29 * 24 * hour)
    expect(begun).toBe(1)
    await object.advance(2 * 24 * hour)
    expect(begun).toBe(2)
    expect(object.journal.result('r')).toEqual(['once', start + 30 * 24 * hour])
  })

  test('is no crash: a run that was evicted a hundred times in its sleep goes on', async () => {
    const object = new TestObject(
      {
        main: async (run) => {
          for (let night = 0; night < 100; night++) await run.sleep('1d', { stepId: `night ${night}` })
        },
      },
      { runResumes: 3 },
    )
    object.begin('main')
    for (let night = 0; night < 101; night++) {
      await object.advance(24 * hour)
      object.evict()
    }
    await object.advance(hour)
    expect(object.journal.run('r')).toMatchObject({ status: 'done' })
  })

  test('beside a step that works does not park the run, and a run that goes on is not parked any more', async () => {
    const gate = Promise.withResolvers<void>()
    const object = new TestObject({
      main: (run) => Promise.all([run.sleep('1h', { stepId: 's' }), run.step(() => gate.promise, { stepId: 'work' })]),
    })
    unheard(object.call('main', [], 'r'))
    await object.advance(60_000)
    expect(object.journal.run('r')).not.toHaveProperty('parked')
    gate.resolve()
    await object.advance(10_000)
    expect(object.journal.run('r')).toHaveProperty('parked')
    await object.advance(hour)
    expect(object.journal.run('r')).toMatchObject({ status: 'done' })
    expect(object.journal.run('r')).not.toHaveProperty('parked')
  })

  test('until an instant that has passed is over at once, whatever form the instant has', async () => {
    const object = new TestObject({
      main: async (run) => {
        await run.sleepUntil(0, { stepId: 'number' })
        await run.sleepUntil('2025-01-01T00:00:00Z', { stepId: 'text' })
        await run.sleepUntil(new Date(5), { stepId: 'date' })
        await run.sleep(0, { stepId: 'none' })
        await run.sleepUntil('2026-01-01T00:10:00Z', { stepId: 'later' })
      },
    })
    unheard(object.call('main', [], 'r'))
    await object.advance(599_000)
    expect(object.journal.run('r').steps?.map((step) => step.status)).toEqual(['done', 'done', 'done', 'done', 'waiting'])
    await object.advance(1000)
    expect(object.journal.run('r').status).toBe('done')
  })

  test('is not made longer by a clock that jumps back, where a duration was asked for', async () => {
    const object = new TestObject({ main: (run) => run.sleep('1h', { stepId: 's' }) })
    object.begin('main')
    await object.advance(5000)
    object.evict()
    object.clock.ms -= 10 * hour
    unheard(object.journal.launch('r'))
    await object.advance(hour + 1000)
    expect(object.journal.run('r').status).toBe('done')
  })

  test('goes on where it was when its run is retried', async () => {
    let fail = true
    const object: TestObject = new TestObject({
      main: (run) =>
        Promise.all([
          run.sleep('1h', { stepId: 's' }),
          run.step(
            () => {
              if (fail) throw new Error('no')
            },
            { stepId: 'a', retries: { limit: 0 } },
          ),
        ]),
    })
    await expect(object.call('main', [], 'r')).rejects.toThrow('no')
    await object.advance(hour / 2)
    fail = false
    unheard(object.journal.retry('r'))
    await object.advance(hour / 2 - 1000)
    expect(object.journal.run('r').status).toBe('running')
    await object.advance(2000)
    expect(object.journal.run('r')).toMatchObject({ status: 'done' })
  })

  test('ends with its run when that is cancelled, in memory and after an eviction', async () => {
    const object = new TestObject({ main: (run) => run.sleep('1h', { stepId: 's' }) })
    const run = outcome(object.call('main', [], 'r'))
    await object.advance(20_000)
    object.journal.cancel('r')
    expect(await run).toMatchObject({ code: 'RUN_CANCELLED' })
    object.begin('main', [], 'q')
    await object.advance(20_000)
    object.evict()
    object.journal.cancel('q')
    expect(object.journal.run('q')).toMatchObject({ status: 'cancelled', steps: [{ status: 'failed' }] })
    expect([object.timers, object.journal.nextWakeMs()]).toEqual([0, null])
  })

  test.each([
    [(run: Execution) => run.sleep('soon', { stepId: 'a' }), 'INVALID_DURATION'],
    [(run: Execution) => run.sleep('11000d', { stepId: 'a' }), 'INVALID_STEP_OPTIONS'],
    [(run: Execution) => run.sleepUntil('tomorrow', { stepId: 'a' }), 'INVALID_STEP_OPTIONS'],
    [(run: Execution) => run.sleepUntil('2026-02-30T02:00:00Z', { stepId: 'a' }), 'INVALID_STEP_OPTIONS'],
    [(run: Execution) => run.sleepUntil('2026-02-28T02:00:00', { stepId: 'a' }), 'INVALID_STEP_OPTIONS'],
    [(run: Execution) => run.sleepUntil(8.64e15 + 1, { stepId: 'a' }), 'INVALID_STEP_OPTIONS'],
    [(run: Execution) => run.sleep(1, { stepId: 'half a \ud83d' }), 'INVALID_STEP_ID'],
    [(run: Execution) => run.waitFor('order.approved', { stepId: 'a' }), 'INVALID_STEP_OPTIONS'],
    [(run: Execution) => run.waitFor('Order.Approved', { stepId: 'a' }), 'INVALID_STEP_OPTIONS'],
    [(run: Execution) => run.map(null as never, (n) => n, { stepId: () => 'a' }), 'INVALID_STEP_OPTIONS'],
    [(run: Execution) => run.map({ a: 1 } as never, (n) => n, { stepId: () => 'a' }), 'INVALID_STEP_OPTIONS'],
    [(run: Execution) => run.sleep(1, {} as never), 'STEP_ID_MISSING'],
    [(run: Execution) => run.sleep(1, { stepId: 'a', retries: {} } as never), 'INVALID_STEP_OPTIONS'],
    [(run: Execution) => run.waitFor('approved', { stepId: 'a' }), 'INVALID_STEP_OPTIONS'],
    [(run: Execution) => run.waitFor('Order.approved', { stepId: 'a', match: () => true }), 'NOT_STORABLE'],
    [(run: Execution) => run.waitFor('Order.approved', { stepId: 'a', match: 'x'.repeat(9000) }), 'INVALID_STEP_OPTIONS'],
    [(run: Execution) => run.map([1], (n) => n, { stepId: 'a' } as never), 'INVALID_STEP_OPTIONS'],
    [(run: Execution) => run.map([1], (n) => n, { stepId: () => 'a', concurrency: 0 }), 'INVALID_STEP_OPTIONS'],
    [async (run: Execution) => (await run.sleep(0, { stepId: 'a' }), run.sleep(0, { stepId: 'a' })), 'STEP_ID_REUSED'],
  ] as const)('%s is refused as %s', async (begin, code) => {
    const object = new TestObject({ main: (run) => begin(run) })
    await expect(object.call('main')).rejects.toMatchObject({ code })
  })
})

describe('a wait', () => {
  const approval = (object: TestObject, options: object = {}): void => unheard(object.call('main', [options], 'r'))
  const waiting = (): TestObject =>
    new TestObject({
      main: async (run, options: object) => (await run.waitFor('Order.approved', { stepId: 'w', ...options }))?.payload ?? null,
    })

  test('ends with the first event of its type that has what it names, and with no other', async () => {
    const object = waiting()
    approval(object, { match: { order: { id: 7 }, tags: ['a'] } })
    await settle()
    object.receive('Order.approved', { order: { id: 8 }, tags: ['a'] })
    object.receive('Order.rejected', { order: { id: 7 }, tags: ['a'] })
    object.receive('Order.approved', { order: { id: 7 }, tags: ['a', 'b'] })
    await settle()
    expect(object.journal.run('r')).toMatchObject({ status: 'running', steps: [{ kind: 'wait', waitsFor: 'Order.approved' }] })
    object.receive('Order.approved', { order: { id: 7, cents: 5 }, tags: ['a'], by: 'Ann' })
    await settle()
    expect(object.journal.result('r')).toEqual({ order: { id: 7, cents: 5 }, tags: ['a'], by: 'Ann' })
  })

  test('survives an eviction: the event takes the run up again, without an alarm', async () => {
    const object = waiting()
    approval(object)
    await object.advance(20_000)
    expect(object.journal.nextWakeMs()).toBeNull()
    object.evict()
    expect(object.journal.resumeDue()).toEqual([])
    object.receive('Order.approved', 'yes')
    expect(object.wakes).toBeGreaterThan(0)
    expect(object.journal.nextWakeMs()).toBe(object.clock.now())
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.result('r')).toBe('yes')
  })

  test('finds the event that came before it began, but not one from before its run, nor one that is kept no longer', async () => {
    const object: TestObject = new TestObject({
      main: async (run, ms: number) => {
        await run.sleep(ms, { stepId: 's' })
        return (await run.waitFor('Order.approved', { stepId: 'w', timeout: '1m' }))?.payload ?? null
      },
      open: never,
    })
    object.begin('open', [], 'open')
    object.receive('Order.approved', 'before')
    object.begin('main', [5000], 'soon')
    object.begin('main', [25 * hour], 'late')
    object.receive('Order.approved', 'early')
    await object.advance(5000)
    expect(object.journal.result('soon')).toBe('early')
    await object.advance(26 * hour)
    expect(object.journal.result('late')).toBeNull()
  })

  test('takes an event once: the next wait of the run needs another, and a repeated delivery is none', async () => {
    const object: TestObject = new TestObject({
      main: async (run) => {
        const both = await Promise.all([run.waitFor<number>('A.b', { stepId: 'x' }), run.waitFor<number>('A.b', { stepId: 'y' })])
        return [...both, await run.waitFor<number>('A.b', { stepId: 'z' })].map((it) => it?.payload)
      },
      other: async (run) => (await run.waitFor<number>('A.b', { stepId: 'o' }))?.payload,
    })
    unheard(object.call('main', [], 'r'))
    unheard(object.call('other', [], 'o'))
    await settle()
    object.receive('A.b', 1, 'one')
    object.receive('A.b', 1, 'one')
    await settle()
    expect(object.journal.run('r').steps?.map((step) => step.status)).toEqual(['done', 'waiting'])
    // Each run has its own: the same event ends waits of both.
    expect(object.journal.result('o')).toBe(1)
    object.receive('A.b', 2, 'two')
    object.receive('A.b', 3, 'three')
    await settle()
    expect(object.journal.result('r')).toEqual([1, 2, 3])
  })

  test('gives null when its time is over, after an eviction too', async () => {
    const object = waiting()
    approval(object, { timeout: '2h' })
    await object.advance(20_000)
    object.evict()
    await object.advance(3 * hour)
    expect(object.journal.result('r')).toBeNull()
    object.receive('Order.approved', 'too late')
    expect(object.journal.result('r')).toBeNull()
  })

  test('that waits for something else than it did is told so', async () => {
    let match = { id: 1 }
    const object = new TestObject({ main: (run) => run.waitFor('Order.approved', { stepId: 'w', match }) })
    object.begin('main')
    await object.advance(20_000)
    object.evict()
    match = { id: 2 }
    await expect(object.journal.launch('r')).rejects.toMatchObject({ code: 'STEP_CHANGED', message: expect.stringContaining('{"id":2}') })
  })

  test('of a run that is retried finds what came while it had ended, also where no other run was there', async () => {
    for (const end of ['cancelled', 'failed', 'undoing'] as const) {
      let broken = true
      const object: TestObject = new TestObject({
        main: async (run) => {
          if (end === 'undoing') await run.step(() => 1, { stepId: 'pay', undo: () => run.sleep('1m', { stepId: 'u' }).catch(() => {}) })
          const work = run.waitFor<string>('Order.approved', { stepId: 'w', match: { id: 7 } })
          if (broken && end === 'failed') throw new Error('broken')
          return (await work)?.payload
        },
      })
      unheard(object.call('main', [], 'r'))
      await settle()
      if (end !== 'failed') object.journal.cancel('r')
      if (end === 'undoing') object.receive('Order.approved', { id: 7 })
      await settle()
      if (end === 'failed') await object.advance(0)
      object.evict()
      object.receive('Order.approved', { id: 8 })
      if (end !== 'undoing') object.receive('Order.approved', { id: 7 })
      broken = false
      const retried = object.journal.retry('r')
      unheard(retried)
      await settle()
      expect([end, object.journal.status('r').status, await retried]).toEqual([end, 'done', { id: 7 }])
    }
  })

  test('of a fork takes what came since its origin began and no wait of that one took', async () => {
    const object = new TestObject({
      main: async (run) => {
        const first = await run.waitFor<number>('A.b', { stepId: 'x' })
        await run.step(() => 1, { stepId: 'between' })
        return [first?.payload, (await run.waitFor<number>('A.b', { stepId: 'y' }))?.payload]
      },
    })
    unheard(object.call('main', [], 'r'))
    await settle()
    object.receive('A.b', 1)
    await settle()
    object.journal.cancel('r')
    object.receive('A.b', 2)
    const { runId } = object.journal.fork('r', { from: 'between' })
    expect(await object.journal.launch(runId)).toEqual([1, 2])
    // It takes the second as the first, and waits for another one.
    const whole = object.journal.fork('r').runId
    unheard(object.journal.launch(whole))
    await settle()
    expect(object.journal.run(whole).steps?.map(({ stepId, status }) => [stepId, status])).toEqual([
      ['x', 'done'],
      ['between', 'done'],
      ['y', 'waiting'],
    ])
    object.receive('A.b', 3)
    await settle()
    expect(object.journal.result(whole)).toEqual([2, 3])
  })

  test('keeps no event while no run can come to wait for it, and at most the newest', async () => {
    const object = new TestObject({ open: never }, { signalsKept: 5 })
    object.receive('A.b', 1)
    expect(object.store.sql('SELECT * FROM dotdo_signals')).toEqual([])
    object.begin('open')
    for (let i = 0; i < 40; i++) object.receive('A.b', 'x'.repeat(9000))
    expect(object.store.sql('SELECT seq FROM dotdo_signals').length).toBeLessThanOrEqual(5)
    expect(object.store.sql('SELECT DISTINCT id / 1048576 FROM dotdo_values').length).toBeLessThanOrEqual(5)
    object.clock.advance(25 * hour)
    object.journal.prune(object.clock.now())
    // The newest stays, because numbers never go back.
    expect(object.store.sql('SELECT seq FROM dotdo_signals')).toEqual([{ seq: 40 }])
  })

  test.each([
    [undefined, 1, true],
    [{}, { a: 1 }, true],
    [{ a: undefined }, {}, false],
    [{ a: 1 }, { a: 1, b: 2 }, true],
    [{ a: { b: [1, { c: 2 }] } }, { a: { b: [1, { c: 2, d: 3 }] } }, true],
    [{ a: [1] }, { a: [1, 2] }, false],
    [{ a: 1 }, null, false],
    [{ a: 1 }, 'a', false],
    [NaN, NaN, true],
    [new Date(5), new Date(5), true],
    [new Date(5), new Date(6), false],
    [new Map([[1, 2]]), new Map([[1, 2]]), true],
    [{ constructor: Object }, {}, false],
  ])('%j matches %j: %s', (match, payload, expected) => {
    expect(matches(match, payload)).toBe(expected)
  })

  test('a circle like itself, and nothing that differs on the way round', () => {
    const circle = (id: number, last: number, length = 1) => {
      const first: Record<string, unknown> = { id }
      let end = first
      for (let i = 1; i < length; i++) end = (end['next'] = { id }) as Record<string, unknown>
      end['next'] = { id: last, next: first }
      return first
    }
    expect(matches(circle(1, 2), circle(1, 2))).toBe(true)
    expect(matches(circle(1, 1, 2), circle(1, 1, 3))).toBe(true)
    expect(matches(circle(1, 2), circle(1, 3))).toBe(false)
    expect(matches(circle(1, 1), { id: 1, next: { id: 1 } })).toBe(false)
    const list: unknown[] = [1]
    list.push(list)
    expect([matches(list, list.slice()), matches(list, [1, [1]])]).toEqual([true, false])
  })

  test('a circle in an event, which is no fault of whoever sends it', async () => {
    const match: Record<string, unknown> = { id: 7 }
    match['self'] = match
    const object = new TestObject({ main: (run) => run.waitFor('Order.approved', { stepId: 'w', match }) })
    const run = object.call('main', [], 'r')
    await settle()
    object.evict()
    void object.journal.resumeDue()
    await settle()
    object.receive('Order.approved', { id: 7, self: { id: 7 } })
    object.receive('Order.approved', match)
    await settle()
    expect(object.journal.result('r')).toMatchObject({ payload: { id: 7 } })
    void run.catch(() => undefined)
  })
})

describe('a run within a run', () => {
  test('is done once, has steps of its own, and its result is the step of the one that waits', async () => {
    const calls: unknown[] = []
    const object: TestObject = new TestObject({
      main: async (run) => [
        await run.callRun(method('child'), [1], { stepId: 'one' }),
        await run.callRun(method('child'), [2], { stepId: 'two' }),
      ],
      child: async (run, n: number) => run.step(() => (calls.push(n), { n }), { stepId: 'a' }),
    })
    expect(await object.call('main', [], 'r')).toEqual([{ n: 1 }, { n: 2 }])
    expect(object.journal.run('r/one')).toMatchObject({ status: 'done', parent: { runId: 'r', stepId: 'one' }, steps: [{ stepId: 'a' }] })
    expect(object.journal.run('r').steps).toMatchObject([
      { kind: 'run', status: 'done' },
      { kind: 'run', status: 'done' },
    ])
    expect(calls).toEqual([1, 2])
  })

  test('that sleeps lets the one that waits park too, and wakes it when both were evicted', async () => {
    const object: TestObject = new TestObject({
      main: async (run) => [await run.callRun(method('child'), [], { stepId: 'c' }), 'and on'],
      child: async (run) => (await run.sleep('1d', { stepId: 's' }), 'slept'),
    })
    object.begin('main')
    await object.advance(20_000)
    expect(object.journal.runs().map((run) => run.parked !== undefined)).toEqual([true, true])
    object.evict()
    await object.advance(25 * hour)
    expect(object.journal.result('r')).toEqual(['slept', 'and on'])
  })

  test('that fails fails the step, and a retry of the run takes it up again where it was', async () => {
    let fail = true
    const calls: string[] = []
    const object: TestObject = new TestObject({
      main: (run) => run.callRun(method('child'), [], { stepId: 'c' }),
      child: async (run) => {
        await run.step(() => calls.push('a'), { stepId: 'a' })
        return run.step(
          () => {
            if (fail) throw Object.assign(new Error('no'), { code: 'NO' })
            return 'well'
          },
          { stepId: 'b', retries: { limit: 0 } },
        )
      },
    })
    await expect(object.call('main', [], 'r')).rejects.toMatchObject({ code: 'NO' })
    fail = false
    expect(await object.journal.retry('r')).toBe('well')
    expect(calls).toEqual(['a'])
    expect(object.journal.run('r/c')).toMatchObject({ status: 'done', attempt: 2 })
  })

  test('is cancelled with the one that waits for it, and is kept as long as that may ask for its result', async () => {
    const object: TestObject = new TestObject({
      main: (run) => run.callRun(method('child'), [], { stepId: 'c' }),
      child: never,
      long: async (run) => (await run.callRun(method('quick'), [], { stepId: 'q' }), never()),
      quick: () => 'result',
    })
    unheard(object.call('main', [], 'r'))
    await settle()
    object.journal.cancel('r')
    expect(object.journal.run('r/c').status).toBe('cancelled')
    object.begin('long', [], 'l')
    await settle()
    object.clock.advance(1000)
    object.journal.prune(object.clock.now())
    expect(object.journal.runs().map((run) => run.runId)).toEqual(['l/q', 'l'])
  })
})

describe('a map', () => {
  test('does each item once, at most so many at a time, and gives results in order, also after a crash', async () => {
    let open = 0
    let most = 0
    const gates: (() => void)[] = []
    const done: number[] = []
    let lives = 0
    const object: TestObject = new TestObject({
      main: (run) =>
        run.map(
          [5, 4, 3, 2, 1],
          async (n) => {
            most = Math.max(most, ++open)
            if (lives === 0) await new Promise<void>((resolve) => gates.push(resolve))
            open--
            done.push(n)
            return n * 10
          },
          { stepId: (n) => `item ${n}`, concurrency: 2 },
        ),
    })
    object.begin('main')
    await settle()
    gates[1]?.()
    await settle()
    expect([done, open]).toEqual([[4], 2])
    object.store.flush()
    open = 0
    lives = 1
    object.crash()
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.result('r')).toEqual([50, 40, 30, 20, 10])
    expect(most).toBe(2)
    expect(done.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5])
  })

  test('has ten under way where nothing else is said', async () => {
    let open = 0
    const object: TestObject = new TestObject({
      main: (run) =>
        run.map(
          Array.from({ length: 25 }, (_, n) => n),
          () => new Promise(() => void open++),
          { stepId: (n) => `item ${n}` },
        ),
    })
    object.begin('main')
    await settle()
    expect(open).toBe(10)
    object.crash()
  })

  test('takes from an endless list only what it needs, and ends it after a failure', async () => {
    let made = 0
    let closed = false
    const object = new TestObject({
      main: (run) =>
        run.map(
          (async function* () {
            try {
              for (;;) yield made++
            } finally {
              closed = true
            }
          })(),
          (n) => {
            if (n === 7) throw new Error('seven')
            return n
          },
          { stepId: (n) => `item ${n}`, concurrency: 3, retries: { limit: 0 } },
        ),
    })
    await expect(object.call('main', [], 'r')).rejects.toThrow('seven')
    expect(made).toBeLessThan(12)
    expect(closed).toBe(true)
  })

  test('that nobody awaits is part of the run, and fails it', async () => {
    const object = new TestObject({
      main: (run) => {
        void run.map(
          [1, 2, 3],
          async (n) => {
            await settle()
            if (n === 3) throw new Error('three')
          },
          { stepId: (n) => `item ${n}`, concurrency: 1, retries: { limit: 0 } },
        )
        return 'returned'
      },
    })
    await expect(object.call('main', [], 'r')).rejects.toThrow('three')
    expect(object.journal.run('r').steps).toHaveLength(3)
  })
})

test('executions that only wait are let go of over a bound, and whoever waits for them is answered by the next one', async () => {
  const begun: string[] = []
  const object = new TestObject(
    { main: async (run, name: string) => (begun.push(name), await run.waitFor('A.go', { stepId: 'w', match: { name } }), `${name} went`) },
    { parkedInMemory: 2 },
  )
  const runs = ['a', 'b', 'c', 'd'].map((name) => object.call('main', [name], name))
  await object.advance(20_000)
  for (const name of ['d', 'a']) object.receive('A.go', { name })
  await Promise.all(object.journal.resumeDue())
  expect(await Promise.all([runs[0], runs[3]])).toEqual(['a went', 'd went'])
  // The two that were parked first were let go of: one of them was replayed.
  expect(begun).toEqual(['a', 'b', 'c', 'd', 'a'])
  const cancelled = outcome(runs[1] ?? never())
  object.journal.cancel('b')
  expect(await cancelled).toMatchObject({ code: 'RUN_CANCELLED' })
})
