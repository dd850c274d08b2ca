/** What steps are told and bounded by: options, checkpoints, attempts, concurrency, rates, and failures that nobody looks at. */
import { describe, expect, test } from 'vitest'
import { Place, Places, Rates } from '../../src/journal/limiter.ts'
import { planStep, retryDelayMs } from '../../src/journal/step-options.ts'
import { SeededRandom } from '../support/fakes.ts'
import type { Execution } from '../../src/journal/execution.ts'
import { method, settle, TestObject } from './harness.ts'

const never = (): Promise<never> => new Promise(() => {})

describe('options', () => {
  test.each([
    [{ stepId: 'a', retry: { limit: 1 } }, /'a' has an option that there is not: retry\. There are stepId, retries, timeout/],
    [{ stepId: 'a', timout: 1, sideEffect: true }, /options that there is not: timout, sideEffect/],
    [{ stepId: 'a', retries: { limit: 1, max: 2 } }, /in retries that there is not: max\. There are limit, delay, backoff, jitter/],
    [{ stepId: 'a', retries: { jitter: 2 } }, /retries\.jitter 2; it must be a number from 0 to 1/],
    [{ stepId: 'a', concurrency: { key: 'k' } }, /concurrency\.limit undefined/],
    [{ stepId: 'a', concurrency: { key: '', limit: 1 } }, /concurrency\.key ""/],
    [{ stepId: 'a', concurrency: 3 }, /concurrency 3; it must be an object/],
    [{ stepId: 'a', rateLimit: { key: 'k', limit: 1 } }, /rateLimit\.per undefined/],
    [{ stepId: 'a', rateLimit: { key: 'k', limit: 10_001, per: '1s' } }, /rateLimit\.limit 10001/],
    [{ stepId: 'a', rateLimit: { key: 'k', limit: 1, every: '1s' } }, /in rateLimit that there is not: every/],
    [{ stepId: 'a', version: {} }, /version {}; it must be a text or a number/],
    [{ stepId: 'a', undo: 'x' }, /undo "x"; it must be a function/],
  ])('%j is refused, and the message says why', (options, message) => {
    expect(() => planStep(options)).toThrow(
      expect.objectContaining({ code: 'INVALID_STEP_OPTIONS', message: expect.stringMatching(message) }),
    )
  })

  test('a stepId that undoes another, and an input that cannot be stored, are refused', () => {
    expect(() => planStep({ stepId: 'undo:a' })).toThrow(expect.objectContaining({ code: 'INVALID_STEP_ID' }))
    expect(() => planStep({ stepId: 'a', input: () => 1 })).toThrow(expect.objectContaining({ code: 'NOT_STORABLE' }))
  })

  test('jitter makes a pause longer by its part, and none makes it exact', () => {
    const pause = (jitter: number, random: number): number =>
      retryDelayMs(planStep({ stepId: 'a', retries: { delay: 100, backoff: 'constant', jitter } }), 1, 10_000, random)
    expect([pause(0, 0.9), pause(1, 0.5), pause(0.5, 1)]).toEqual([100, 150, 150])
  })
})

describe('a checkpoint', () => {
  test('is what the next attempt goes on from, after a failure, a timeout and a crash', async () => {
    const from: unknown[] = []
    const object: TestObject = new TestObject({
      main: (run) =>
        run.step(
          ({ attempt, checkpoint }) => {
            from.push(checkpoint.value)
            for (let i = Number(checkpoint.value ?? 0); i < attempt * 10; i++) checkpoint(i + 1)
            if (attempt === 1) throw new Error('first')
            if (attempt < 4) return never()
            return checkpoint.value
          },
          { stepId: 'a', timeout: '1h', retries: { delay: 0 } },
        ),
    })
    object.begin('main')
    await object.advance(1)
    await object.advance(3_600_000)
    object.store.flush()
    object.crash()
    void object.journal.resumeDue()
    await settle()
    expect(object.journal.result('r')).toBe(40)
    expect(from).toEqual([undefined, 10, 20, 30])
    expect(object.journal.run('r').steps).toMatchObject([{ checkpoint: { text: '40' } }])
  })

  test('may be large, keeps one value, and is ignored when its attempt is over', async () => {
    let late: ((value: unknown) => void) | undefined
    const object = new TestObject({
      main: (run) =>
        run.step(
          ({ attempt, checkpoint }) => {
            if (attempt === 1) {
              late = checkpoint
              for (let i = 0; i < 5; i++) checkpoint({ i, text: 'x'.repeat(20_000) })
              return never()
            }
            late?.('too late')
            return (checkpoint.value as { i: number }).i
          },
          { stepId: 'a', timeout: '1s', retries: { delay: 0 } },
        ),
    })
    const run = object.call('main', [], 'r')
    await object.advance(2000)
    expect(await run).toBe(4)
    expect(object.store.sql('SELECT id FROM dotdo_values')).toHaveLength(1)
    object.clock.advance(1)
    object.journal.prune(object.clock.now())
    expect(object.store.sql('SELECT id FROM dotdo_values')).toEqual([])
  })

  test('that cannot be stored fails the attempt, and leaves the one before', async () => {
    const object = new TestObject({
      main: (run) =>
        run.step(
          ({ checkpoint }) => {
            checkpoint(1)
            checkpoint({ open: () => 1 })
          },
          { stepId: 'a' },
        ),
    })
    await expect(object.call('main', [], 'r')).rejects.toMatchObject({ code: 'NOT_STORABLE' })
    expect(object.journal.run('r').steps).toMatchObject([{ checkpoint: { text: '1' } }])
  })
})

describe('attempts', () => {
  test('that ended badly are kept with their times and errors, the newest ten, those that crashed without an end', async () => {
    const object: TestObject = new TestObject({
      main: (run) =>
        run.step(
          ({ attempt }) => {
            if (attempt === 13) return never()
            if (attempt < 15) throw new Error(`attempt ${attempt} ${'x'.repeat(1000)}`)
            return 'ok'
          },
          { stepId: 'a', retries: { limit: 20, delay: 1000, backoff: 'constant', jitter: 0 } },
        ),
    })
    object.begin('main')
    await object.advance(12_500)
    object.store.flush()
    object.crash()
    void object.journal.resumeDue()
    await object.advance(5000)
    const attempts = object.journal.run('r').steps?.[0]?.attempts ?? []
    expect(attempts.map((it) => it.attempt)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
    expect(attempts[0]).toMatchObject({
      startedAt: expect.any(Number),
      endedAt: expect.any(Number),
      error: { message: expect.stringMatching(/^attempt 5 /) },
    })
    expect(attempts[0]?.error?.message.length).toBeLessThanOrEqual(500)
    expect(attempts[8]).not.toHaveProperty('endedAt')
    expect(attempts.every((it, i) => i === 0 || it.startedAt >= (attempts[i - 1]?.startedAt ?? 0))).toBe(true)
  })

  test('of a step that went well at once cost nothing', async () => {
    const object = new TestObject({ main: (run) => run.step(() => 1, { stepId: 'a' }) })
    await object.call('main', [], 'r')
    expect(object.journal.run('r').steps?.[0]).not.toHaveProperty('attempts')
  })
})

test('a retried run does the steps that failed again, with all of their attempts, and counts on', async () => {
  let fail = true
  const calls: string[] = []
  const object: TestObject = new TestObject({
    main: async (run) => {
      await run.step(() => calls.push('done'), { stepId: 'done' })
      return run.step(
        ({ attempt }) => {
          calls.push(`flaky ${attempt}`)
          if (fail) throw new Error('no')
          return 'yes'
        },
        { stepId: 'flaky', retries: { limit: 1, delay: 0 } },
      )
    },
  })
  const run = object.call('main', [], 'r').catch((thrown: Error) => thrown.message)
  await object.advance(10)
  expect(await run).toBe('no')
  fail = false
  expect(await object.journal.retry('r')).toBe('yes')
  expect(calls).toEqual(['done', 'flaky 1', 'flaky 2', 'flaky 1'])
  expect(object.journal.run('r')).toMatchObject({ status: 'done', attempt: 2, steps: [{}, { attempts: [{ attempt: 1 }, { attempt: 2 }] }] })
})

describe('concurrency', () => {
  test('bounds the steps of one key over all runs, in the order in which they came, and gives places back', async () => {
    const order: string[] = []
    let open = 0
    let most = 0
    const object: TestObject = new TestObject({
      main: (run, name: string) =>
        run.step(
          async () => {
            order.push(name)
            most = Math.max(most, ++open)
            await settle()
            open--
            if (name === 'b') throw new Error('b fails')
          },
          { stepId: 'a', concurrency: { key: 'api', limit: 2 }, retries: { limit: 0 } },
        ),
      free: (run) => run.step(() => 'free', { stepId: 'a', concurrency: { key: 'other', limit: 1 } }),
    })
    const runs = ['a', 'b', 'c', 'd', 'e'].map((name) => object.call('main', [name], name))
    expect(await object.call('free')).toBe('free')
    expect((await Promise.allSettled(runs)).map((run) => run.status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
      'fulfilled',
    ])
    expect([order, most]).toEqual([['a', 'b', 'c', 'd', 'e'], 2])
  })

  test('does not make a step wait for the one that it is in, nor hold the place of one that was cancelled while it waited', async () => {
    const gate = Promise.withResolvers<void>()
    const limit = { key: 'k', limit: 1 }
    const object: TestObject = new TestObject({
      nested: (run) =>
        run.step(() => object.here.step(() => 'inner', { stepId: 'inner', concurrency: limit }), { stepId: 'outer', concurrency: limit }),
      hold: (run) => run.step(() => gate.promise, { stepId: 'a', concurrency: limit }),
      next: (run) => run.step(() => 'next', { stepId: 'a', concurrency: limit }),
    })
    expect(await object.call('nested')).toBe('inner')
    const held = object.call('hold', [], 'h')
    const stopped = object.call('next', [], 'stopped').catch((thrown: { code: string }) => thrown.code)
    const next = object.call('next', [], 'n')
    await settle()
    expect(object.journal.run('n').steps).toEqual([])
    object.journal.cancel('stopped')
    expect(await stopped).toBe('RUN_CANCELLED')
    gate.resolve()
    await held
    expect(await next).toBe('next')
  })

  test('never has more under way than the limit, nor keeps one waiting while there is room, whatever comes and goes', async () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = new SeededRandom(seed)
      const places = new Places()
      const held: Place[] = []
      const stops: (() => void)[] = []
      const waiting: { taken: boolean; stopped: boolean }[] = []
      for (let i = 0; i < 60; i++) {
        const draw = random.below(3)
        if (draw < 2) {
          const waiter = { taken: false, stopped: false }
          const place = places.take({ key: 'k', limit: 3 }, (stop) => {
            stops.push(() => {
              if (!waiter.taken) waiter.stopped = true
              stop()
            })
            return () => undefined
          })
          if (place instanceof Promise) {
            waiting.push(waiter)
            void place.then((it) => {
              waiter.taken = true
              held.push(it)
            })
          } else held.push(place!)
          if (draw === 1 && random.next() < 0.3) stops.at(-1)?.()
        } else if (held.length > 0) places.free(held.shift()!)
        await Promise.resolve()
        expect(held.length).toBeLessThanOrEqual(3)
        if (waiting.some((it) => !it.taken && !it.stopped)) expect(held).toHaveLength(3)
      }
    }
  })
})

describe('steps that wait crosswise for places', () => {
  const wait = (run: Execution, stepId: string, key: string, work: () => unknown, limit = 1): Promise<unknown> =>
    run.step(work, { stepId, concurrency: { key, limit } })

  test('do not wait for ever: the one that would close the circle is told, and the others go on', async () => {
    const object: TestObject = new TestObject({
      main: (run, one: string, other: string) =>
        wait(run, 'out', one, async () => {
          await settle()
          return wait(object.here, 'in', other, () => 'both')
        }),
    })
    const runs = [
      ['x', 'y'],
      ['y', 'z'],
      ['z', 'x'],
    ].map((keys) => object.call('main', keys).catch((thrown: unknown) => thrown))
    const [first, second, third] = await Promise.all(runs)
    expect([first, second]).toEqual(['both', 'both'])
    expect(third).toMatchObject({ code: 'CONCURRENCY_CIRCLE', retryable: false, data: { stepId: 'in', key: 'x', held: ['z'] } })
    expect(await object.call('main', ['z', 'x'])).toBe('both')
  })

  test('wait where a place under the key goes free in the end, and where what is around has the key already, in a run that it began, too', async () => {
    const gate = Promise.withResolvers<void>()
    const object: TestObject = new TestObject({
      hold: (run) => wait(run, 'hold', 'y', () => gate.promise, 2),
      main: (run, one: string, other: string) =>
        wait(
          run,
          'out',
          one,
          async () => {
            await settle()
            return wait(object.here, 'in', other, () => 'both', 2)
          },
          2,
        ),
      around: (run) => wait(run, 'around', 'x', () => object.here.callRun(method('inside'), [], { stepId: 'call' })),
      inside: (run) => wait(run, 'inside', 'x', () => 'inside'),
    })
    const held = object.call('hold')
    const runs = [
      ['y', 'x'],
      ['x', 'y'],
      ['x', 'y'],
    ].map((keys) => object.call('main', keys))
    await settle()
    await settle()
    gate.resolve()
    await held
    expect(await Promise.all(runs)).toEqual(['both', 'both', 'both'])
    expect(await object.call('around')).toBe('inside')
  })

  test('are refused where they would wait for ever and nowhere else, as going through all that can still happen says', async () => {
    const limits = [1, 1, 2]
    let refused = 0
    for (let seed = 1; seed <= 300; seed++) {
      const random = new SeededRandom(seed)
      const places = new Places()
      const workers = Array.from({ length: 5 }, () => ({ holds: [] as Place[], waits: undefined as number | undefined }))
      for (let i = 0; i < 40; i++) {
        await Promise.resolve()
        const worker = workers[random.below(5)]!
        if (worker.waits !== undefined) continue
        const key = random.below(3)
        if (worker.holds.length > 0 && random.below(3) === 0) places.free(worker.holds.pop()!)
        else if (worker.holds.every((it) => it.key !== `k${key}`)) {
          worker.waits = key
          const ends = endsFor(workers, worker, limits)
          const place = places.take({ key: `k${key}`, limit: limits[key]! }, () => () => undefined, [...worker.holds])
          expect([seed, i, place !== undefined]).toEqual([seed, i, ends])
          if (place === undefined) refused++
          const has = (it: Place): void => {
            worker.waits = undefined
            worker.holds.push(it)
          }
          if (place instanceof Promise) void place.then(has)
          else worker.waits = undefined
          if (place instanceof Place) has(place)
        }
      }
    }
    expect(refused).toBeGreaterThan(50)
  })
})

interface Worker {
  holds: readonly Place[]
  waits: number | undefined
}

/** Whether one of those who hold places and wait for one more gets it in the end, when all who can go on do, and give back what they hold. */
function endsFor(workers: readonly Worker[], one: Worker, limits: readonly number[]): boolean {
  const left = limits.map((limit, key) => limit - workers.flatMap(({ holds }) => holds).filter((it) => it.key === `k${key}`).length)
  const open = new Set(workers)
  for (let went = true; went;) {
    went = false
    for (const it of open) {
      if (it.waits !== undefined && left[it.waits]! <= 0) continue
      open.delete(it)
      for (const { key } of it.holds) left[Number(key.slice(1))]!++
      went = true
    }
  }
  return !open.has(one)
}

describe('a rate', () => {
  test('lets at most so many begin in any stretch of its length, over runs, retries and restarts', async () => {
    const at: number[] = []
    const object: TestObject = new TestObject({
      main: (run, name: string) =>
        run.step(
          ({ attempt }) => {
            at.push(object.clock.now())
            if (attempt === 1 && name === '0') throw new Error('again')
          },
          { stepId: 'a', rateLimit: { key: 'api', limit: 3, per: '1m' }, retries: { delay: 0 } },
        ),
    })
    for (let i = 0; i < 6; i++) object.begin('main', [String(i)], `r${i}`)
    await object.advance(1000)
    object.store.flush()
    object.crash()
    void object.journal.resumeDue()
    for (let i = 6; i < 9; i++) object.begin('main', [String(i)], `r${i}`)
    await object.advance(600_000)
    expect(at).toHaveLength(10)
    expect(object.journal.runs().every((run) => run.status === 'done')).toBe(true)
    for (let i = 3; i < at.length; i++) expect(at[i]! - at[i - 3]!).toBeGreaterThanOrEqual(60_000)
  })

  test('is kept by a clock that is set back, and nothing is put off by the jump', async () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = new SeededRandom(seed)
      const rates = new Rates(new TestObject({}).store)
      const rate = { key: 'k', limit: 1 + random.below(4), perMs: 60_000 }
      const at: number[] = []
      // What the clock says is behind what has passed by as much as it was set back.
      let back = 0
      for (let passed = 0, i = 0; i < 60; i++) {
        if (random.below(8) === 0) back += 3_600_000
        else passed += random.below(40_000)
        const now = 1e9 + passed - back
        at.push(passed + rates.reserve(rate, now) - now)
        // Each waits for those before it at most: so many windows as they fill.
        expect(at[i]! - passed).toBeLessThanOrEqual(Math.floor(i / rate.limit) * rate.perMs)
        if (i >= rate.limit) expect(at[i]! - at[i - rate.limit]!).toBeGreaterThanOrEqual(rate.perMs)
      }
    }
  })

  test('gives places that are a window apart, whatever the times at which they are asked for, and keeps no more rows than its limit', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = new SeededRandom(seed)
      const object = new TestObject({})
      const rates = new Rates(object.store)
      const rate = { key: 'k', limit: 1 + random.below(5), perMs: 1000 }
      const places: number[] = []
      for (let now = 0, i = 0; i < 60; i++, now += random.below(400)) places.push(rates.reserve(rate, now))
      for (let i = rate.limit; i < places.length; i++) expect(places[i]! - places[i - rate.limit]!).toBeGreaterThanOrEqual(1000)
      expect(object.store.sql('SELECT n FROM dotdo_rates')).toHaveLength(rate.limit)
      expect(rates.prune(1e9, 100)).toBe(rate.limit)
    }
  })
})

describe('a step that nobody awaits', () => {
  test('and that fails, fails its run, also where its promise was kept', async () => {
    const object = new TestObject({
      main: (run) => {
        void run.step(
          () => {
            throw Object.assign(new Error('unseen'), { code: 'UNSEEN' })
          },
          { stepId: 'notify', retries: { limit: 0 } },
        )
        return 'returned'
      },
    })
    await expect(object.call('main', [], 'r')).rejects.toMatchObject({ code: 'UNSEEN' })
    expect(object.journal.run('r')).toMatchObject({ status: 'failed', error: { message: 'unseen' }, steps: [{ status: 'failed' }] })
  })

  test('until later, caught or raced, is seen, and the run ends as its function says', async () => {
    const fail = (): never => {
      throw new Error('seen')
    }
    const object = new TestObject({
      main: async (run) => {
        const options = { retries: { limit: 0 } }
        const later = run.step(() => fail(), { stepId: 'later', ...options })
        run.step(() => fail(), { stepId: 'caught', ...options }).catch(() => undefined)
        const all = await Promise.allSettled([run.step(() => fail(), { stepId: 'all', ...options })])
        await settle()
        return [
          all[0]?.status,
          await later.then(
            () => 'done',
            (thrown: Error) => thrown.message,
          ),
        ]
      },
    })
    expect(await object.call('main')).toEqual(['rejected', 'seen'])
  })
})

test('a run of 100,000 steps takes one statement for each, and its replay one for many', { timeout: 120_000 }, async () => {
  const count = 100_000
  const marks: number[] = []
  const object: TestObject = new TestObject({
    main: async (run) => {
      for (let i = 0; i < count; i++) {
        if (i % 25_000 === 0) marks.push(object.store.statements)
        await run.step(() => i, { stepId: `step-${i}` })
      }
      marks.push(object.store.statements)
      if (marks.length === 5) await never()
    },
  })
  object.begin('main')
  while (marks.length < 5) await settle()
  object.store.flush()
  object.crash()
  await Promise.all(object.journal.resumeDue())
  const steps = marks.flatMap((mark, i) => (i % 5 === 4 ? [] : [(marks[i + 1] ?? 0) - mark]))
  // One row, written when it is done; then one look for as many as come in order. Before `step-1235` come the ten that begin with `step-1234`.
  expect(steps.slice(0, 4)).toEqual(Array.from({ length: 4 }, () => 25_000))
  expect(steps.slice(4).reduce((sum, looks) => sum + looks)).toBeLessThan(count / 4)
  expect(object.journal.run('r').status).toBe('done')
})
