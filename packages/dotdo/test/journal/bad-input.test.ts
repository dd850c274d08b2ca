/** What goes wrong around a run: storage that is full, clocks that are set back, results that nobody can hold in memory, steps that never end. */
import { describe, expect, test } from 'vitest'
import { asStorageError } from '../../src/base/storage-full.ts'
import type { StoredStream } from '../../src/journal/stored-stream.ts'
import { settle, TestObject } from './harness.ts'

const hourMs = 3_600_000
const never = (): Promise<never> => new Promise(() => {})

describe('storage that is full', () => {
  test('is said by name, loses nothing that was on disk, and the run goes on where it was when there is room', async () => {
    const calls: number[] = []
    const count = 20
    const object: TestObject = new TestObject({
      main: async (run) => {
        for (let i = 0; i < count; i++) {
          // Different texts, so that each takes its room. Each step waits for something outside, so what was before it is on disk.
          const text = Array.from({ length: 10_000 }, (_, n) => (n * (i + 7)) % 9973).join()
          await run.step(
            async () => {
              calls.push(i)
              await settle()
              object.store.flush()
              return text
            },
            { stepId: `step ${i}` },
          )
        }
      },
    })
    const pages = Number(object.store.sql('PRAGMA page_count')[0]!.page_count)
    object.store.sql(`PRAGMA max_page_count = ${pages + 100}`)
    await expect(object.call('main', [], 'r')).rejects.toMatchObject({
      code: 'STORAGE_FULL',
      retryable: true,
      message: expect.stringContaining('what is under way goes on'),
    })
    const stopped = calls.length
    // SQLite has taken the turn back, and the object with it.
    object.crash()
    const done = object.journal.run('r').steps!.filter(({ status }) => status === 'done').length
    expect([done > 3, done >= stopped - 2, object.journal.status('r').status]).toEqual([true, true, 'running'])

    object.store.sql(`PRAGMA max_page_count = 1000000`)
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.status('r').status).toBe('done')
    expect(calls.slice(stopped)).toEqual(Array.from({ length: count - done }, (_, i) => done + i))
  })

  test('leaves a run whose own row cannot be written as it is on disk, for whoever comes when there is room', async () => {
    let isFull = false
    const object: TestObject = new TestObject({ main: (run) => run.step(() => 'done', { stepId: 'a' }) })
    const sql = object.store.sql.bind(object.store)
    object.store.sql = (statement, ...parameters) => {
      if (isFull && /^\s*(INSERT|UPDATE)/.test(statement)) throw asStorageError(new Error('database or disk is full: SQLITE_FULL'))
      return sql(statement, ...parameters)
    }
    object.journal.start({ runId: 'r', target: { kind: 'method', name: 'main' }, args: [] })
    object.store.flush()
    isFull = true
    await expect(object.journal.launch('r')).rejects.toMatchObject({ code: 'STORAGE_FULL' })
    isFull = false
    expect(object.journal.status('r').status).toBe('running')
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.result('r')).toBe('done')
  })

  test.each<[string, unknown, boolean]>([
    ['SQLite says', new Error('database or disk is full'), true],
    ['the platform says', new Error('database or disk is full: SQLITE_FULL'), true],
    ['is another matter', new Error('no such table: full'), false],
    ['is no error', 'SQLITE_FULL', false],
  ])('is told by what %s', (_, thrown, isFull) => {
    const told = asStorageError(thrown)
    if (isFull) expect(told).toMatchObject({ code: 'STORAGE_FULL', cause: thrown })
    else expect(told).toBe(thrown)
  })
})

describe('a clock that jumps back an hour', () => {
  test('does a step once, ends runs whose end is after their beginning all the same, and puts nothing off by the jump', async () => {
    const calls: string[] = []
    const object: TestObject = new TestObject({
      main: async (run) => {
        await run.step(() => calls.push('before'), { stepId: 'before' })
        await run.step(
          ({ attempt }) => {
            calls.push(`flaky ${attempt}`)
            object.clock.ms -= hourMs
            if (attempt === 1) throw new Error('again')
          },
          { stepId: 'flaky', retries: { delay: 1000, jitter: 0 } },
        )
        await run.sleep('10s', { stepId: 'rest' })
        return 'done'
      },
    })
    const ended = object.call('main', [], 'r')
    await object.advance(2000)
    await object.advance(11_000)
    expect(await ended).toBe('done')
    expect(calls).toEqual(['before', 'flaky 1', 'flaky 2'])
    expect(object.journal.price('r').wallMs).toBeGreaterThanOrEqual(0)
    object.evict()
    expect(object.journal.result('r')).toBe('done')
  })

  test('makes a budget of time no longer than it is', async () => {
    const object = new TestObject({ main: () => never() })
    object.journal.start({ runId: 'r', target: { kind: 'method', name: 'main' }, args: [], budget: { wallMs: 1000 } })
    object.clock.ms -= hourMs
    const ended = object.journal.launch('r').catch((thrown: unknown) => thrown)
    await object.advance(1000)
    expect(await ended).toMatchObject({ code: 'BUDGET_EXCEEDED' })
  })
})

describe('a result of a gigabyte', () => {
  test('as a stream is written as it comes, in pieces of a bounded size, and never more than a batch ahead', async () => {
    const batchChars = 16 * 1024 * 1024
    const batches = 64
    const batch = 'x'.repeat(batchChars)
    let chunks = 0
    let longest = 0
    const behind: number[] = []
    const object: TestObject = new TestObject({
      main: (run) =>
        run.step(
          async function* () {
            for (let i = 0; i < batches; i++) {
              behind.push(i * (batchChars / (512 * 1024)) - chunks)
              yield batch
            }
          },
          { stepId: 'stream' },
        ),
    })
    const sql = object.store.sql.bind(object.store)
    object.store.sql = (statement, ...parameters) => {
      if (!statement.startsWith('INSERT INTO dotdo_values')) return sql(statement, ...parameters)
      // The disk is not what is tested.
      const text = parameters[1] as string
      longest = Math.max(longest, text.length)
      chunks++
      return sql(statement, parameters[0]!, text.slice(0, 1))
    }
    const stream = (await object.call('main', [], 'r')) as StoredStream
    expect(stream.sizeBytes).toBeGreaterThan(2 ** 30)
    expect(stream.rows).toBe(batches)
    expect(longest).toBeLessThanOrEqual(512 * 1024 + 1)
    // What is not written when the next batch is asked for is at most one chunk.
    expect(Math.max(...behind)).toBeLessThanOrEqual(1)
  })

  test('in one piece is refused by name, and says how to return it', async () => {
    const half = 'x'.repeat(65 * 1024 * 1024)
    const object = new TestObject({ main: (run) => run.step(() => half, { stepId: 'a', retries: { limit: 0 } }) })
    await expect(object.call('main')).rejects.toMatchObject({
      code: 'RESULT_TOO_LARGE',
      message: expect.stringContaining('async iterable'),
    })
  })
})

describe('a step that never returns', () => {
  test('is ended by its timeout in each attempt, and what comes of it later changes nothing', async () => {
    const late: ((value: string) => void)[] = []
    const object = new TestObject({
      main: (run) =>
        run.step(() => new Promise<string>((resolve) => late.push(resolve)), {
          stepId: 'a',
          timeout: '1s',
          retries: { limit: 1, delay: 0 },
        }),
    })
    const ended = object.call('main', [], 'r').catch((thrown: unknown) => thrown)
    await object.advance(5000)
    expect(await ended).toMatchObject({ code: 'STEP_TIMEOUT', retryable: true })
    for (const resolve of late) resolve('late')
    await settle()
    expect(object.journal.run('r')).toMatchObject({ status: 'failed', steps: [{ status: 'failed', attempt: 2 }] })
    expect([late.length, object.timers]).toEqual([2, 0])
  })
})

describe('a result that cannot be stored', () => {
  test.each<[string, () => unknown]>([
    ['a function', () => ({ rows: [() => 1] })],
    ['a symbol', () => Symbol('x')],
    ['an instance of a class', () => new (class Thing {})()],
    ['a promise in an object', () => ({ later: Promise.resolve(1) })],
  ])('%s fails its step at once, with its place, and is not tried again', async (_, make) => {
    let calls = 0
    const object = new TestObject({ main: (run) => run.step(() => (calls++, make()), { stepId: 'a' }) })
    await expect(object.call('main', [], 'r')).rejects.toMatchObject({ code: 'NOT_STORABLE', retryable: false })
    expect([calls, object.journal.run('r').steps?.[0]?.status]).toEqual([1, 'failed'])
  })
})
