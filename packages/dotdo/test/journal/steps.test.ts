import { describe, expect, test } from 'vitest'
import { DotdoError, fromErrorRecord } from '../../src/base/errors.ts'
import type { Execution } from '../../src/journal/execution.ts'
import { NonRetryableError, planStep, retryDelayMs } from '../../src/journal/step-options.ts'
import { settle, TestObject } from './harness.ts'

/** The outcome of a promise as a value, so that a rejection can be looked at later. */
const outcome = (promise: Promise<unknown>): Promise<{ value?: unknown; code?: unknown; message?: string }> =>
  promise.then(
    (value) => ({ value }),
    (thrown: Error & { code?: unknown }) => ({ code: thrown.code, message: thrown.message }),
  )

describe('a step is memoised', () => {
  test('a run that is replayed gets the stored result and does not call the function again', async () => {
    let calls = 0
    const gate = Promise.withResolvers<void>()
    const object = new TestObject({
      main: async (run) => {
        const rows = await run.step(() => (calls++, { when: new Date(5), map: new Map([[1, 2n]]) }), { stepId: 'extract' })
        await gate.promise
        return rows
      },
    })
    object.begin('main')
    await settle()
    object.store.flush()
    object.crash()
    gate.resolve()
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.result('r')).toEqual({ when: new Date(5), map: new Map([[1, 2n]]) })
    expect(calls).toBe(1)
  })

  test('its memo belongs to its run: the second night loads again', async () => {
    const loads: string[] = []
    const object = new TestObject({ night: (run, day) => run.step(() => loads.push(day), { stepId: 'load' }) })
    await object.call('night', ['monday'], 'etl@monday')
    await object.call('night', ['tuesday'], 'etl@tuesday')
    expect(loads).toEqual(['monday', 'tuesday'])
  })

  test('is no older than its run, though the clock was put back: what its calls have given is kept while a run began as early', async () => {
    const began: (number | undefined)[] = []
    const object = new TestObject({
      main: async (run) => {
        object.clock.ms -= 3_600_000
        await run.step(() => began.push(object.here.stepStartedAt), { stepId: 'load' })
      },
    })
    const at = object.clock.now()
    await object.call('main', [], 'r')
    expect(began).toEqual([at])
    expect(object.journal.oldestOpen(0)).toBeLessThanOrEqual(at)
  })

  test('undefined, a thrown text and a result that is an error are kept for what they are', async () => {
    const object = new TestObject({
      main: async (run) => [
        await run.step(() => undefined, { stepId: 'a' }),
        await run.step(() => new RangeError('kept'), { stepId: 'b' }),
      ],
    })
    await object.call('main', [], 'r')
    expect(object.journal.result('r')).toMatchObject([undefined, { name: 'RangeError', message: 'kept' }])
  })

  test('two uses of one id join when the function is the same object, at the same time and later', async () => {
    let calls = 0
    const load = async (): Promise<number> => (await settle(), ++calls)
    const object = new TestObject({
      main: async (run) => [
        ...(await Promise.all([run.step(load, { stepId: 'load' }), run.step(load, { stepId: 'load' })])),
        await run.step(load, { stepId: 'load' }),
      ],
    })
    expect(await object.call('main')).toEqual([1, 1, 1])
  })

  test('a loop that uses one id for different work is told so, with both places', async () => {
    const loaded: string[] = []
    const object = new TestObject({
      main: async (run) => {
        for (const x of ['a', 'b']) await run.step(() => loaded.push(x), { stepId: 'load' })
      },
      named: (run) =>
        Promise.all([run.step(function extractUsers() {}, { stepId: 'x' }), run.step(function extractEvents() {}, { stepId: 'x' })]),
    })
    await expect(object.call('main')).rejects.toMatchObject({
      code: 'STEP_ID_REUSED',
      message: expect.stringMatching(/first for `\(\) => loaded.push\(x\)`, then for `\(\) => loaded/),
    })
    expect(loaded).toEqual(['a'])
    await expect(object.call('named')).rejects.toMatchObject({
      code: 'STEP_ID_REUSED',
      data: { stepId: 'x', first: `'extractUsers'`, second: `'extractEvents'` },
    })
  })

  test.each([
    [undefined, 'STEP_ID_MISSING'],
    [{}, 'STEP_ID_MISSING'],
    [{ stepId: '' }, 'INVALID_STEP_ID'],
    [{ stepId: 'x'.repeat(257) }, 'INVALID_STEP_ID'],
    [{ stepId: 7 }, 'INVALID_STEP_ID'],
    [{ stepId: 'a', retries: 3 }, 'INVALID_STEP_OPTIONS'],
    [{ stepId: 'a', retries: { limit: -1 } }, 'INVALID_STEP_OPTIONS'],
    [{ stepId: 'a', retries: { limit: 1.5 } }, 'INVALID_STEP_OPTIONS'],
    [{ stepId: 'a', retries: { limit: 1001 } }, 'INVALID_STEP_OPTIONS'],
    [{ stepId: 'a', retries: { backoff: 'square' } }, 'INVALID_STEP_OPTIONS'],
    [{ stepId: 'a', retries: { delay: 'soon' } }, 'INVALID_DURATION'],
    [{ stepId: 'a', timeout: -1 }, 'INVALID_DURATION'],
    [{ stepId: 'a', timeout: {} }, 'INVALID_STEP_OPTIONS'],
  ])('options %j are refused as %s and nothing runs', async (options, code) => {
    let calls = 0
    const object = new TestObject({ main: (run) => run.step(() => calls++, options as never) })
    await expect(object.call('main')).rejects.toMatchObject({ code })
    expect(calls).toBe(0)
    expect(object.journal.runs()[0]).toMatchObject({ status: 'failed', error: { code } })
  })

  test('an id of 256 characters is right, and what is no function is refused', async () => {
    const object = new TestObject({
      long: (run) => run.step(() => 1, { stepId: 'x'.repeat(256) }),
      none: (run) => run.step(Promise.resolve(1) as never, { stepId: 'a' }),
    })
    expect(await object.call('long')).toBe(1)
    await expect(object.call('none')).rejects.toMatchObject({ code: 'INVALID_STEP_OPTIONS' })
  })
})

describe('a step is retried', () => {
  test('with growing pauses, each attempt with its number and all with one key, until it works', async () => {
    const seen: { attempt: number; key: string; at: number }[] = []
    const object = new TestObject({
      main: (run) =>
        run.step(
          ({ attempt, idempotencyKey }) => {
            seen.push({ attempt, key: idempotencyKey, at: object.clock.now() })
            if (attempt < 4) throw new Error(`attempt ${attempt}`)
            return 'ok'
          },
          { stepId: 'flaky' },
        ),
    })
    const begun = object.clock.now()
    const run = object.call('main', [], 'r')
    await object.advance(500)
    expect(object.journal.run('r').steps).toMatchObject([
      { status: 'waiting', attempt: 1, error: { message: 'attempt 1' }, nextAttemptAt: expect.any(Number) },
    ])
    await object.advance(20_000)
    expect(await run).toBe('ok')
    expect(seen.map((it) => it.attempt)).toEqual([1, 2, 3, 4])
    expect(new Set(seen.map((it) => it.key))).toEqual(new Set(['r/flaky']))
    const pauses = seen.map((it, i) => it.at - (seen[i - 1]?.at ?? begun))
    for (const [i, pause] of [0, 1000, 2000, 4000].entries()) {
      expect(pauses[i]).toBeGreaterThanOrEqual(pause)
      expect(pauses[i]).toBeLessThanOrEqual(pause * 1.1)
    }
    const [step] = object.journal.run('r').steps ?? []
    expect(step).toMatchObject({ status: 'done', attempt: 4 })
    expect(step).not.toHaveProperty('error')
    expect(object.timers).toBe(0)
  })

  test('five times by default, and then its error reaches the function with code and data', async () => {
    let calls = 0
    const object = new TestObject({
      main: (run) =>
        run
          .step(
            () => {
              calls++
              throw new DotdoError('SOURCE_DOWN', 'the source is down', { data: { status: 503 }, retryable: true })
            },
            { stepId: 'a' },
          )
          .catch((thrown: DotdoError) => ({ code: thrown.code, data: thrown.data })),
    })
    const run = object.call('main')
    await object.advance(60_000)
    expect(await run).toEqual({ code: 'SOURCE_DOWN', data: { status: 503 } })
    expect(calls).toBe(6)
  })

  test('not at all when the error is terminal', async () => {
    let calls = 0
    const object = new TestObject({
      terminal: (run) =>
        run.step(
          () => {
            calls++
            throw new NonRetryableError('no such table', { code: 'NO_TABLE', data: { table: 't' } })
          },
          { stepId: 'a' },
        ),
      limit: (run) =>
        run.step(
          () => {
            calls++
            throw new Error('once')
          },
          { stepId: 'a', retries: { limit: 0 } },
        ),
    })
    await expect(object.call('terminal')).rejects.toMatchObject({
      name: 'NonRetryableError',
      code: 'NO_TABLE',
      retryable: false,
      data: { table: 't' },
    })
    await expect(object.call('limit')).rejects.toThrow('once')
    expect(calls).toBe(2)
  })

  test('a failed step fails again the same way on replay, without a call', async () => {
    let calls = 0
    const gate = Promise.withResolvers<void>()
    const caught: unknown[] = []
    const object = new TestObject({
      main: async (run) => {
        await run
          .step(
            () => {
              calls++
              throw Object.assign(new TypeError('bad row'), { code: 'BAD_ROW', data: { row: 7 }, retryable: false })
            },
            { stepId: 'a' },
          )
          .catch((thrown: Error) =>
            caught.push([
              thrown.name,
              thrown.message,
              Reflect.get(thrown, 'code'),
              Reflect.get(thrown, 'data'),
              thrown instanceof TypeError,
            ]),
          )
        await gate.promise
        return 'went on'
      },
    })
    object.begin('main')
    await settle()
    object.store.flush()
    object.crash()
    gate.resolve()
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.result('r')).toBe('went on')
    expect(calls).toBe(1)
    expect(caught[1]).toEqual(caught[0])
    expect(caught[0]).toEqual(['TypeError', 'bad row', 'BAD_ROW', { row: 7 }, false])
  })

  test('the original error is the cause of the one that is thrown', async () => {
    const original = new Error('socket hang up')
    const object = new TestObject({
      main: (run) =>
        run
          .step(
            () => {
              throw original
            },
            { stepId: 'a', retries: { limit: 0 } },
          )
          .catch((thrown: Error) => thrown.cause === original),
    })
    expect(await object.call('main')).toBe(true)
  })

  test('a pause goes on after a crash until its time, and not longer', async () => {
    const at: number[] = []
    const object = new TestObject({
      main: (run) =>
        run.step(
          () => {
            at.push(object.clock.now())
            if (at.length === 1) throw new Error('first')
          },
          { stepId: 'a', retries: { delay: '1h', backoff: 'constant' } },
        ),
    })
    object.begin('main')
    await object.advance(1_800_000)
    object.store.flush()
    object.crash()
    void object.journal.resumeDue()
    await object.advance(1_700_000)
    expect(at).toHaveLength(1)
    await object.advance(1_000_000)
    expect(at).toHaveLength(2)
    expect(object.journal.run('r').status).toBe('done')
  })

  test('a clock that jumps back an hour cannot make a pause longer than the longest one', async () => {
    let calls = 0
    const object = new TestObject(
      {
        main: (run) =>
          run.step(
            () => {
              if (++calls === 1) throw new Error('first')
            },
            { stepId: 'a' },
          ),
      },
      { retryDelayMs: 10_000 },
    )
    object.begin('main')
    await settle()
    object.store.flush()
    object.crash()
    object.clock.ms -= 3_600_000
    void object.journal.resumeDue()
    await object.advance(11_000)
    expect(calls).toBe(2)
  })

  test.each([
    ['constant', [100, 100, 100, 100]],
    ['linear', [100, 200, 300, 400]],
    ['exponential', [100, 200, 400, 800]],
  ] as const)('%s backoff pauses %j', (backoff, pauses) => {
    const plan = planStep({ stepId: 'a', retries: { delay: 100, backoff } })
    expect([1, 2, 3, 4].map((attempt) => retryDelayMs(plan, attempt, 10_000, 0))).toEqual(pauses)
    expect(retryDelayMs(plan, 1, 10_000, 1)).toBe(110)
    expect(retryDelayMs(plan, 1000, 350, 0)).toBe(backoff === 'constant' ? 100 : 350)
  })
})

describe('a step has an end', () => {
  test('a timeout aborts the signal, is retried, and ends as STEP_TIMEOUT', async () => {
    const aborted: unknown[] = []
    const object = new TestObject({
      main: (run) =>
        run.step(
          ({ signal }) => {
            signal.addEventListener('abort', () => aborted.push((signal.reason as DotdoError).code))
            return new Promise(() => {})
          },
          { stepId: 'slow', timeout: '2s', retries: { limit: 1, delay: 0 } },
        ),
    })
    const run = outcome(object.call('main', [], 'r'))
    await object.advance(10_000)
    expect(await run).toMatchObject({ code: 'STEP_TIMEOUT', message: expect.stringContaining('2.0 s') })
    expect(aborted).toEqual(['STEP_TIMEOUT', 'STEP_TIMEOUT'])
    expect(object.timers).toBe(0)
  })

  test('a step in time leaves no timer, and what an attempt does after its timeout changes nothing', async () => {
    const late = Promise.withResolvers<string>()
    const object = new TestObject({
      quick: (run) => run.step(() => 'ok', { stepId: 'a', timeout: 1000 }),
      main: (run) =>
        run.step(({ attempt, progress }) => (attempt === 1 ? late.promise.then((it) => (progress({ rows: 99 }), it)) : 'second'), {
          stepId: 'a',
          timeout: 1000,
        }),
    })
    expect(await object.call('quick')).toBe('ok')
    expect(object.timers).toBe(0)
    const run = object.call('main', [], 'r')
    await object.advance(5000)
    expect(await run).toBe('second')
    late.resolve('too late')
    await settle()
    expect(object.journal.run('r').steps).toMatchObject([{ attempt: 2, status: 'done', result: { text: '"second"' } }])
    expect(object.journal.run('r').steps?.[0]).not.toHaveProperty('progress')
  })

  test('a result that cannot be stored ends the step at once, and names the step', async () => {
    let calls = 0
    const object = new TestObject({ main: (run) => run.step(() => (calls++, { rows: [{ open: () => 1 }] }), { stepId: 'extract' }) })
    await expect(object.call('main')).rejects.toMatchObject({ code: 'NOT_STORABLE', message: expect.stringContaining(`step 'extract'`) })
    expect(calls).toBe(1)
  })

  test('an error whose data cannot be stored, or is endless, is stored without it', async () => {
    const fail =
      (data: Record<string, unknown>, message = 'm') =>
      () => {
        throw new DotdoError('X', message, { data })
      }
    const object = new TestObject({
      fn: (run) => run.step(fail({ fn: () => 1 }), { stepId: 'a' }),
      big: (run) => run.step(fail({ text: 'x'.repeat(100_000) }, 'y'.repeat(1e6)), { stepId: 'a' }),
    })
    await expect(object.call('fn')).rejects.toMatchObject({ code: 'X', data: { dropped: 'data that cannot be stored' } })
    const thrown = await object.call('big').catch((it: Error) => it)
    expect(thrown).toMatchObject({ code: 'X', data: { dropped: expect.any(String) } })
    expect((thrown as Error).message.length).toBeLessThan(10_000)
  })
})

describe('a step that crashes', () => {
  /** Lets the object die at the end of each turn, until its run has ended. A turn that lived to its end is on disk. */
  async function crashUntilEnded(object: TestObject): Promise<void> {
    for (let crashes = 0; crashes < 100; crashes++) {
      object.store.flush()
      object.crash()
      if (object.journal.run('r').status !== 'running') return
      void object.journal.resumeDue()
      await settle()
    }
    throw new Error('the run goes on for ever')
  }

  test('is tried as often as its retries allow, then fails as STEP_CRASHED', async () => {
    let calls = 0
    const object = new TestObject({
      main: (run) => run.step(() => (calls++, new Promise(() => {})), { stepId: 'bomb', retries: { limit: 3 } }),
    })
    object.begin('main')
    await settle()
    object.store.flush()
    await crashUntilEnded(object)
    expect(calls).toBe(4)
    expect(object.journal.run('r')).toMatchObject({
      status: 'failed',
      error: { code: 'STEP_CRASHED', data: { stepId: 'bomb', attempts: 4 } },
      steps: [{ status: 'failed', attempt: 4 }],
    })
  })

  test('is counted although it dies before anything is flushed, because a resumed attempt is on disk first', async () => {
    let calls = 0
    const object = new TestObject({
      main: (run) =>
        run.step(
          () => {
            calls++
            object.store.crash()
          },
          { stepId: 'bomb', retries: { limit: 3 } },
        ),
    })
    object.journal.start({ runId: 'r', target: { kind: 'method', name: 'main' }, args: [] })
    object.store.flush()
    void object.journal.launch('r').catch(() => undefined)
    await settle()
    await crashUntilEnded(object)
    // The first attempt left no trace; the four after it did.
    expect(calls).toBe(5)
    expect(object.journal.run('r').error).toMatchObject({ code: 'STEP_CRASHED' })
  })

  test('a fresh run asks for no flush, a resumed one for one and one a step that runs', async () => {
    const gate = Promise.withResolvers<void>()
    const object = new TestObject({
      main: async (run) => {
        for (let i = 0; i < 5; i++) await run.step(() => i, { stepId: `before-${i}` })
        await gate.promise
        for (let i = 0; i < 3; i++) await run.step(() => i, { stepId: `after-${i}` })
      },
    })
    object.begin('main')
    await settle()
    expect(object.syncs).toBe(0)
    object.store.flush()
    object.crash()
    gate.resolve()
    await Promise.all(object.journal.resumeDue())
    expect(object.syncs).toBe(4)
  })
})

describe('steps inside of steps', () => {
  test('have a memo of their own, and a retry of the outer one does not repeat them', async () => {
    const calls: string[] = []
    const object: TestObject = new TestObject({
      main: (run) =>
        run.step(
          async ({ attempt }) => {
            const inner = await object.here.step(() => (calls.push('inner'), 40), { stepId: 'inner' })
            calls.push(`outer ${attempt}`)
            if (attempt === 1) throw new Error('after inner')
            return inner + attempt
          },
          { stepId: 'outer', retries: { delay: 0 } },
        ),
    })
    const run = object.call('main', [], 'r')
    await object.advance(1)
    expect(await run).toBe(42)
    expect(calls).toEqual(['inner', 'outer 1', 'outer 2'])
    expect(object.journal.run('r').steps?.map((step) => step.stepId)).toEqual(['outer', 'inner'])
  })

  test('stop when the attempt around them ends, and are taken up by the next one', async () => {
    const attempts: number[] = []
    const object: TestObject = new TestObject({
      main: (run) =>
        run.step(
          () =>
            object.here.step(({ attempt }) => (attempts.push(attempt), attempt === 1 ? new Promise(() => {}) : 'inner'), {
              stepId: 'inner',
            }),
          {
            stepId: 'outer',
            timeout: 1000,
            retries: { limit: 2, delay: 0, backoff: 'constant' },
          },
        ),
    })
    const run = object.call('main')
    await object.advance(5000)
    expect(await run).toBe('inner')
    expect(attempts).toEqual([1, 2])
    expect(object.timers).toBe(0)
  })

  test('stop when their sibling fails the attempt around them, instead of being joined by the next one', async () => {
    const slow: number[] = []
    const stopped: number[] = []
    const object: TestObject = new TestObject({
      main: (run) =>
        run.step(
          ({ attempt: outer }) =>
            Promise.all([
              object.here.step(
                ({ attempt, signal }) => {
                  slow.push(attempt)
                  signal.addEventListener('abort', () => stopped.push(attempt))
                  return attempt === 1 ? new Promise(() => {}) : 'slow'
                },
                { stepId: 'slow' },
              ),
              settle().then(() => {
                if (outer === 1) throw new Error('sibling')
              }),
            ]),
          { stepId: 'outer', retries: { delay: 0 } },
        ),
    })
    const run = object.call('main', [], 'r')
    await object.advance(1)
    expect(await run).toEqual(['slow', undefined])
    expect([slow, stopped]).toEqual([[1, 2], [1]])
  })

  test('that were stopped while their attempt was on its way to the disk are waited for, and begun anew once', async () => {
    const gate = Promise.withResolvers<void>()
    const inner: number[] = []
    let lives = 0
    const object: TestObject = new TestObject({
      main: (run) => {
        if (lives++ === 0) return new Promise(() => {})
        return run.step(
          () => object.here.step(({ attempt }) => (inner.push(attempt), 'inner'), { stepId: 'inner', retries: { limit: 1 } }),
          {
            stepId: 'outer',
            timeout: 1000,
            retries: { limit: 1, delay: 0 },
          },
        )
      },
    })
    object.begin('main')
    await settle()
    object.store.flush()
    object.crash()
    // The run's flush, the outer attempt's, and then the inner one's, which hangs while the outer attempt times out.
    object.syncGate = (sync) => (sync === 3 ? gate.promise : undefined)
    void object.journal.resumeDue()
    await object.advance(1500)
    expect(inner).toEqual([])
    gate.resolve()
    await settle()
    expect(object.journal.run('r')).toMatchObject({ status: 'done', result: { text: '"inner"' } })
    // The first attempt never ran, but it counts; it is no crash.
    expect(inner).toEqual([2])
    expect(
      object.events.flatMap((event) =>
        'step' in event && event.type === 'step.retrying' ? [[event.step.stepId, event.step.error?.code]] : [],
      ),
    ).toEqual([
      ['outer', 'STEP_TIMEOUT'],
      ['inner', 'STEP_TIMEOUT'],
    ])
  })

  test('a step that waits for itself is refused instead of waiting for ever', async () => {
    const object: TestObject = new TestObject({
      main: (run) => run.step(() => object.here.step(() => 1, { stepId: 'a' }), { stepId: 'a' }),
    })
    await expect(object.call('main')).rejects.toMatchObject({ code: 'STEP_ID_REUSED' })
  })

  test('an id used inside of one step is not free for other work outside', async () => {
    const object: TestObject = new TestObject({
      main: async (run) => {
        await run.step(() => object.here.step(() => 'in', { stepId: 'x' }), { stepId: 'outer' })
        return run.step(() => 'out', { stepId: 'x' })
      },
    })
    await expect(object.call('main')).rejects.toMatchObject({ code: 'STEP_ID_REUSED' })
  })
})

describe('keys', () => {
  const keysOf = async (main: (run: Execution, object: TestObject) => Promise<unknown>, runId = 'r'): Promise<unknown> => {
    const object: TestObject = new TestObject({ main: (run) => main(run, object) })
    return object.call('main', [], runId)
  }

  test('ordinals count per scope and label, so a memoised step does not shift those behind it', async () => {
    const sent: string[] = []
    const gate = Promise.withResolvers<void>()
    const object: TestObject = new TestObject({
      main: async (run) => {
        await run.step(() => sent.push(object.here.nextKey('A.b'), object.here.nextKey('A.b')), { stepId: 's' })
        sent.push(run.nextKey('A.b'), run.nextKey('C.d'), run.nextKey('A.b'))
        await gate.promise
      },
    })
    object.begin('main')
    await settle()
    object.store.flush()
    object.crash()
    gate.resolve()
    await Promise.all(object.journal.resumeDue())
    const first = ['r#A.b#0', 'r#C.d#0', 'r#A.b#1']
    expect(sent).toEqual(['r/s#A.b#0', 'r/s#A.b#1', ...first, ...first])
  })

  test('two runs and steps never share a key, even with slashes in their ids', async () => {
    const key = (run: Execution, stepId: string): Promise<unknown> => run.step(({ idempotencyKey }) => idempotencyKey, { stepId })
    expect(await keysOf((run) => key(run, 'b/c'), 'a')).toBe('a/b/c')
    expect(await keysOf((run) => key(run, 'c'), 'a/b')).toBe('a%2Fb/c')
    expect(await keysOf(async (run) => [run.nextOrdinal(), run.nextOrdinal(), run.nextOrdinal('x')])).toEqual([0, 1, 0])
  })
})

describe('progress', () => {
  test('is told at most every 250 ms, merged, shown live, and kept when the step ends', async () => {
    const gate = Promise.withResolvers<void>()
    const object = new TestObject({
      main: (run) =>
        run.step(
          async ({ progress }) => {
            progress({ rows: 1, at: 's3://a' })
            for (let i = 2; i <= 100; i++) progress({ rows: i })
            object.clock.advance(300)
            progress({ rows: 101, bytes: 5 })
            run.progress('load', { bytes: 6 })
            await gate.promise
          },
          { stepId: 'load' },
        ),
    })
    const run = object.call('main', [], 'r')
    await settle()
    expect(object.events.filter((event) => event.type === 'step.progress')).toMatchObject([
      { step: { progress: { rows: 1, at: 's3://a' } } },
      { step: { progress: { rows: 101, bytes: 5 } } },
    ])
    expect(object.journal.run('r').steps?.[0]?.progress).toEqual({ rows: 101, bytes: 6, at: 's3://a' })
    gate.resolve()
    await run
    expect(object.journal.run('r').steps?.[0]?.progress).toEqual({ rows: 101, bytes: 6, at: 's3://a' })
    expect(object.events.map((event) => event.type)).toEqual([
      'run.started',
      'step.started',
      'step.progress',
      'step.progress',
      'step.done',
      'run.done',
    ])
  })

  test('of a step that is not under way is left alone', async () => {
    const object = new TestObject({ main: (run) => run.progress('nothing', { rows: 1 }) })
    await object.call('main')
    expect(object.events.map((event) => event.type)).toEqual(['run.started', 'run.done'])
  })
})

test('an error that has crossed the journal keeps whether it may be retried', () => {
  expect(fromErrorRecord({ name: 'NonRetryableError', message: 'm', code: 'X', retryable: false })).toMatchObject({
    retryable: false,
    name: 'NonRetryableError',
  })
})
