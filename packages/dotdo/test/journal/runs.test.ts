import { describe, expect, test } from 'vitest'
import type { DotdoError } from '../../src/base/errors.ts'
import { StepTable } from '../../src/journal/steps.ts'
import type { AdoptedExecution } from '../../src/journal/execution.ts'
import { RunTable } from '../../src/journal/runs.ts'
import { journalMigrations } from '../../src/journal/tables.ts'
import { ValueStore } from '../../src/journal/values.ts'
import { migrate } from '../../src/base/migrations.ts'
import { SqliteStore } from '../support/sqlite-store.ts'
import { StoredStream } from '../../src/journal/stored-stream.ts'
import { collect, method, settle, TestObject } from './harness.ts'

const never = (): Promise<never> => new Promise(() => {})

describe('a run is started', () => {
  test('once for an id and once for a key, whatever its state', async () => {
    const calls: string[] = []
    const object = new TestObject({ main: (_, name) => void calls.push(name) })
    const { journal } = object
    const first = journal.start({ runId: 'a', key: 'k', target: method('main'), args: ['one'] })
    expect(first).toMatchObject({ runId: 'a', key: 'k', status: 'running', attempt: 0 })
    expect(journal.start({ runId: 'a', target: method('main'), args: ['two'] })).toEqual(first)
    expect(journal.start({ key: 'k', target: method('main'), args: ['three'] })).toEqual(first)
    await journal.launch('a')
    expect(journal.start({ key: 'k', target: method('main'), args: ['four'] })).toMatchObject({ runId: 'a', status: 'done', attempt: 1 })
    expect(journal.findByKey('k')?.runId).toBe('a')
    expect(journal.findByKey('other')).toBeUndefined()
    expect(calls).toEqual(['one'])
    expect(journal.start({ target: method('main'), args: [] }).runId).toMatch(/^run_/)
  })

  test('inside of the transaction of another room, and is gone with it', () => {
    const object = new TestObject({})
    const start = (fail: boolean): void =>
      object.store.transaction(() => {
        object.journal.start({
          runId: 'nightly@02:00',
          target: { kind: 'schedule', id: 'nightly', scheduledAt: 5 },
          args: [{ scheduledAt: 5 }],
        })
        if (fail) throw new Error('the schedule could not be advanced')
      })
    expect(() => start(true)).toThrow('advanced')
    expect(object.journal.runs()).toEqual([])
    start(false)
    expect(object.journal.run('nightly@02:00')).toMatchObject({
      status: 'running',
      attempt: 1,
      target: { kind: 'schedule', scheduledAt: 5 },
    })
  })

  test('launching joins the execution that is under way, and gives the result of one that has ended', async () => {
    let calls = 0
    const object = new TestObject({ main: async () => (calls++, await settle(), { n: calls }) })
    object.journal.start({ runId: 'r', target: method('main'), args: [] })
    expect(await Promise.all([object.journal.launch('r'), object.journal.launch('r'), ...object.journal.resumeDue()])).toEqual([
      { n: 1 },
      { n: 1 },
    ])
    expect(await object.journal.launch('r')).toEqual({ n: 1 })
    expect(calls).toBe(1)
    await expect(object.journal.launch('x')).rejects.toMatchObject({ code: 'RUN_UNKNOWN' })
  })

  test('arguments and ids that are none are refused', () => {
    const { journal } = new TestObject({})
    expect(() => journal.start({ target: method('m'), args: [() => 1] })).toThrow(
      expect.objectContaining({ code: 'NOT_STORABLE', message: expect.stringContaining('arguments of run') }),
    )
    for (const runId of ['', '\nx', 'x'.repeat(513), 5 as never])
      expect(() => journal.start({ runId, target: method('m'), args: [] })).toThrow(expect.objectContaining({ code: 'INVALID_RUN_ID' }))
    expect(journal.runs()).toEqual([])
  })

  test('large arguments are stored in chunks and read back', async () => {
    const rows = Array.from({ length: 5000 }, (_, id) => ({ id, text: 'x'.repeat(300) }))
    const object = new TestObject({ main: (_, it: unknown[], n: number) => it.length + n })
    expect(await object.call('main', [rows, 7], 'r')).toBe(5007)
    expect(object.journal.run('r').input).toMatchObject({ rows: 2, sizeBytes: expect.any(Number) })
  })
})

describe('a run ends', () => {
  test('as failed, with the error that its function threw, for those who await it and in its row', async () => {
    const object = new TestObject({
      main: () => {
        throw Object.assign(new Error('no'), { code: 'NO', data: { a: 1 } })
      },
    })
    await expect(object.call('main', [], 'r')).rejects.toMatchObject({ code: 'NO', data: { a: 1 } })
    expect(object.journal.run('r')).toMatchObject({ status: 'failed', error: { code: 'NO', message: 'no', data: { a: 1 } } })
    expect(() => object.journal.result('r')).toThrow(expect.objectContaining({ code: 'NO' }))
  })

  test('after the steps that nobody awaited, because they are part of it', async () => {
    const gate = Promise.withResolvers<string>()
    const object = new TestObject({
      main: (run) => {
        void run.step(() => gate.promise, { stepId: 'notify' })
        return 'returned'
      },
    })
    const run = object.call('main', [], 'r')
    await settle()
    expect(object.journal.run('r')).toMatchObject({ status: 'running' })
    expect(() => object.journal.result('r')).toThrow(expect.objectContaining({ code: 'RUN_NOT_ENDED', retryable: true }))
    gate.resolve('sent')
    expect(await run).toBe('returned')
    expect(object.journal.run('r').steps).toMatchObject([{ stepId: 'notify', status: 'done' }])
  })

  test('and its open steps with it when it fails: signals abort, rows close, late results are ignored', async () => {
    const late = Promise.withResolvers<string>()
    const reasons: unknown[] = []
    const object = new TestObject({
      main: (run) =>
        Promise.all([
          run.step(
            ({ signal }) => (signal.addEventListener('abort', () => reasons.push((signal.reason as DotdoError).code)), late.promise),
            { stepId: 'slow' },
          ),
          run.step(
            () => {
              throw new Error('flaky')
            },
            { stepId: 'waits' },
          ),
          settle().then(() => {
            throw new Error('the run itself')
          }),
        ]),
    })
    await expect(object.call('main', [], 'r')).rejects.toThrow('the run itself')
    late.resolve('late')
    await settle()
    expect(reasons).toEqual(['RUN_ENDED'])
    expect(object.journal.run('r').steps).toMatchObject([
      { stepId: 'slow', status: 'failed' },
      { stepId: 'waits', status: 'failed' },
    ])
    expect(object.timers).toBe(0)
  })

  test('and code of it that goes on cannot begin a step any more', async () => {
    let after: Promise<unknown> | undefined
    const object = new TestObject({ main: (run) => void (after = settle().then(() => run.step(() => 1, { stepId: 'late' }))) })
    await object.call('main')
    await expect(after).rejects.toMatchObject({ code: 'RUN_ENDED' })
  })

  test('as done although its result cannot be stored: the row says why, and asking for it is an error', async () => {
    const object = new TestObject({
      fn: () => () => 1,
      stream: async function* () {
        yield 1
      },
    })
    expect(await object.call('fn', [], 'a')).toBeTypeOf('function')
    expect(object.journal.run('a')).toMatchObject({ status: 'done', result: { text: expect.stringContaining('not stored') } })
    expect(() => object.journal.result('a')).toThrow(expect.objectContaining({ code: 'RESULT_NOT_STORED' }))
    await object.call('stream', [], 'b')
    expect(() => object.journal.result('b')).toThrow(expect.objectContaining({ code: 'RESULT_NOT_STORED' }))
  })

  test('with the stream of its step as a reference and no copy', async () => {
    const object = new TestObject({
      main: (run) =>
        run.step(
          async function* () {
            yield [1, 2]
            yield [3]
          },
          { stepId: 's' },
        ),
    })
    await object.call('main', [], 'r')
    const chunks = object.store.sql('SELECT id FROM dotdo_values').length
    const result = object.journal.result('r')
    expect(result).toBeInstanceOf(StoredStream)
    expect([await collect(result as StoredStream), chunks]).toEqual([[[1, 2], [3]], 1])
  })

  test('not at all when the store fails: what is true is on disk, and the watchdog comes again', async () => {
    let broken = true
    const object = new TestObject({ main: (run) => run.step(() => 'ok', { stepId: 'a' }).catch(() => 'swallowed') })
    const sql = object.store.sql.bind(object.store)
    object.store.sql = (statement, ...parameters) => {
      if (broken && statement.startsWith('INSERT INTO dotdo_steps')) throw new Error('database or disk is full')
      return sql(statement, ...parameters)
    }
    await expect(object.call('main', [], 'r')).rejects.toThrow('disk is full')
    expect(object.journal.run('r').status).toBe('running')
    broken = false
    object.clock.advance(30_000)
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.result('r')).toBe('ok')
  })
})

describe('a run that was interrupted', () => {
  test('is due on the next start, taken up with its target and arguments, and counted', async () => {
    const seen: unknown[] = []
    const object = new TestObject({
      main: (run, ...args: unknown[]) => (seen.push(args), seen.length === 1 ? never() : run.step(() => 'ok', { stepId: 'a' })),
    })
    expect(object.journal.nextWakeMs()).toBeNull()
    object.begin('main', [new Date(7), 'x'])
    await settle()
    expect(object.journal.nextWakeMs()).toBe(object.clock.now() + 30_000)
    object.clock.advance(1000)
    expect(object.journal.nextWakeMs()).toBe(object.clock.now() + 29_000)
    object.store.flush()
    object.crash()
    expect(object.journal.nextWakeMs()).toBe(object.clock.now())
    await Promise.all(object.journal.resumeDue())
    expect(seen).toEqual([
      [new Date(7), 'x'],
      [new Date(7), 'x'],
    ])
    expect(object.journal.run('r')).toMatchObject({ status: 'done', attempt: 2, result: { text: '"ok"' } })
    expect(object.journal.nextWakeMs()).toBeNull()
    expect(object.events.map((event) => event.type)).toContain('run.resumed')
  })

  test('is not started twice by the watchdog', async () => {
    let calls = 0
    const object = new TestObject({ main: () => (calls++, never()) })
    object.begin('main')
    for (let i = 0; i < 5; i++) {
      await settle()
      expect(object.journal.resumeDue()).toEqual([])
    }
    expect(calls).toBe(1)
  })

  test('too often fails as RUN_CRASHED, even when it dies before its first step', async () => {
    let calls = 0
    const object = new TestObject({ main: () => (calls++, never()) }, { runResumes: 3 })
    object.begin('main')
    for (let i = 0; i < 10; i++) {
      await settle()
      object.store.flush()
      object.crash()
      void object.journal.resumeDue()
    }
    await settle()
    expect(calls).toBe(4)
    expect(object.journal.run('r')).toMatchObject({ status: 'failed', error: { code: 'RUN_CRASHED', data: { resumes: 3 } } })
  })

  test('together with many others is taken up a bounded number at a time', async () => {
    let open = 0
    let most = 0
    const gates: (() => void)[] = []
    let lives = 0
    const object = new TestObject(
      {
        main: () => {
          if (lives === 0) return never()
          most = Math.max(most, ++open)
          return new Promise<void>((resolve) => gates.push(resolve)).then(() => void open--)
        },
      },
      { resumesAtOnce: 3 },
    )
    for (let i = 0; i < 10; i++) object.begin('main', [], `r${i}`)
    await settle()
    object.store.flush()
    lives = 1
    object.crash()
    const lanes = object.journal.resumeDue()
    expect(lanes).toHaveLength(3)
    for (let i = 0; i < 10; i++) {
      await settle()
      expect(object.journal.resumeDue()).toEqual([])
      gates[i]?.()
    }
    await Promise.all(lanes)
    expect(most).toBe(3)
    expect(object.journal.runs().every((run) => run.status === 'done')).toBe(true)
  })

  test('fails clearly when its method is gone from the code', async () => {
    const object = new TestObject({ main: never })
    object.begin('main')
    await settle()
    object.store.flush()
    delete object.handlers.main
    object.crash()
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.run('r')).toMatchObject({ status: 'failed', error: { message: 'no handler main' } })
  })
})

describe('a run is cancelled', () => {
  test('signals abort, steps get RUN_CANCELLED, later ones do not begin, and those who await it hear at once', async () => {
    const heard: unknown[] = []
    let later: Promise<unknown> | undefined
    const gate = Promise.withResolvers<void>()
    const object = new TestObject({
      main: async (run) => {
        await run
          .step(({ signal }) => (signal.addEventListener('abort', () => heard.push('signal')), never()), { stepId: 'a' })
          .catch((thrown: DotdoError) => heard.push(thrown.code))
        later = run.step(() => heard.push('ran'), { stepId: 'b' }).catch((thrown: DotdoError) => thrown.code)
        await gate.promise
        return 'done after all'
      },
    })
    const run = object.call('main', [], 'r')
    await settle()
    expect(object.journal.cancel('r')).toMatchObject({ status: 'cancelled' })
    await expect(run).rejects.toMatchObject({ code: 'RUN_CANCELLED', retryable: false })
    await settle()
    expect(heard).toEqual(['signal', 'RUN_CANCELLED'])
    expect(await later).toBe('RUN_CANCELLED')
    gate.resolve()
    await settle()
    expect(object.journal.run('r')).toMatchObject({
      status: 'cancelled',
      steps: [{ stepId: 'a', status: 'failed', error: { code: 'RUN_CANCELLED' } }],
    })
    expect(() => object.journal.result('r')).toThrow(expect.objectContaining({ code: 'RUN_CANCELLED' }))
    expect(object.journal.nextWakeMs()).toBeNull()
    expect(object.timers).toBe(0)
  })

  test('in a pause between attempts, and before it was launched; a run that has ended stays as it is', async () => {
    const object = new TestObject({
      pause: (run) =>
        run.step(
          () => {
            throw new Error('x')
          },
          { stepId: 'a', retries: { delay: '1d' } },
        ),
      main: () => 1,
    })
    const paused = object.call('pause', [], 'p')
    await settle()
    object.journal.cancel('p')
    await expect(paused).rejects.toMatchObject({ code: 'RUN_CANCELLED' })
    expect(object.timers).toBe(0)
    object.journal.start({ runId: 'q', target: method('main'), args: [] })
    object.journal.cancel('q')
    await expect(object.journal.launch('q')).rejects.toMatchObject({ code: 'RUN_CANCELLED' })
    await object.call('main', [], 'r')
    expect(object.journal.cancel('r').status).toBe('done')
    expect(() => object.journal.cancel('none')).toThrow(expect.objectContaining({ code: 'RUN_UNKNOWN' }))
  })

  test('by its own step, whose result is then not kept', async () => {
    const object: TestObject = new TestObject({ main: (run) => run.step(() => void object.journal.cancel('r'), { stepId: 'a' }) })
    await expect(object.call('main', [], 'r')).rejects.toMatchObject({ code: 'RUN_CANCELLED' })
    expect(object.journal.run('r').steps).toMatchObject([{ status: 'failed' }])
  })

  test('and stays cancelled after a crash', async () => {
    const object = new TestObject({ main: never })
    object.begin('main')
    await settle()
    object.journal.cancel('r')
    object.store.flush()
    object.crash()
    expect(object.journal.resumeDue()).toEqual([])
    expect(object.journal.run('r').status).toBe('cancelled')
  })
})

describe('a call from outside', () => {
  /** What the adapter does: the call runs, and becomes a run at its first step. */
  const callOutside = (
    object: TestObject,
    args: unknown[],
    body: (run: AdoptedExecution) => Promise<unknown>,
    key?: string,
  ): { run: AdoptedExecution; reply: Promise<unknown> } => {
    const run = object.journal.adopt({ target: method('main'), args, ...(key !== undefined && { key }) })
    const reply = body(run)
    run.settle(reply).catch(() => undefined)
    return { run, reply }
  }

  test('becomes a run whose row ends with the outcome of the call', async () => {
    const object = new TestObject({})
    const good = callOutside(object, [1], (run) => run.step(() => 41, { stepId: 'a' }))
    const bad = callOutside(object, [2], async (run) => {
      await run.step(() => 41, { stepId: 'a' })
      throw new Error('after')
    })
    expect(await good.reply).toBe(41)
    await expect(bad.reply).rejects.toThrow('after')
    await settle()
    expect(object.journal.run(good.run.runId)).toMatchObject({ status: 'done', attempt: 1, result: { text: '41' }, input: { text: '[1]' } })
    expect(object.journal.run(bad.run.runId)).toMatchObject({ status: 'failed', error: { message: 'after' } })
    expect(object.syncs).toBe(0)
  })

  test('goes on after a crash as the method with its arguments', async () => {
    let first = true
    const work: string[] = []
    const object = new TestObject({ main: async (run, name) => [await run.step(() => (work.push('again'), 1), { stepId: 'a' }), name] })
    const { run } = callOutside(object, ['x'], async (it) => {
      await it.step(() => (work.push('first'), 1), { stepId: 'a' })
      if (first) await never()
    })
    await settle()
    first = false
    object.store.flush()
    object.crash()
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.result(run.runId)).toEqual([1, 'x'])
    expect(work).toEqual(['first'])
  })

  test('with arguments that cannot be stored works, says so, and fails as RUN_NOT_RESUMABLE after a crash', async () => {
    const object = new TestObject({ main: () => 'must not run' })
    const { run } = callOutside(object, [() => 1], async (it) => {
      await it.step(() => 1, { stepId: 'a' })
      await never()
    })
    await settle()
    expect(object.journal.run(run.runId).input?.text).toContain('not stored')
    object.store.flush()
    object.crash()
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.run(run.runId)).toMatchObject({
      status: 'failed',
      error: { code: 'RUN_NOT_RESUMABLE', message: expect.stringContaining('function') },
    })
  })

  test('with such arguments and a key waits for whoever has called, a day', async () => {
    const object = new TestObject({ main: () => 'must not run' })
    const work = async (it: AdoptedExecution) => [await it.step(() => 1, { stepId: 'a' }), await never()]
    const { run } = callOutside(object, [() => 1], work, 'k')
    await settle()
    object.store.flush()
    object.crash()
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.run(run.runId)).toMatchObject({ status: 'running' })
    expect(object.journal.outcomeOf('k')).toBeUndefined()
    const { run: again } = callOutside(object, [() => 1], work, 'k')
    await settle()
    expect(again.runId).toBe(run.runId)
    object.store.flush()
    // Dies again, and nobody comes back.
    object.crash()
    await Promise.all(object.journal.resumeDue())
    const day = 86_400_000
    expect(object.journal.nextWakeMs()).toBe(object.clock.now() + day)
    object.clock.advance(day)
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.run(run.runId)).toMatchObject({ status: 'failed', error: { code: 'RUN_NOT_RESUMABLE' } })
  })

  test('is not begun twice under one key', async () => {
    const object = new TestObject({})
    const { run, reply } = callOutside(object, [], (it) => it.step(settle, { stepId: 'a' }), 'k')
    expect(() => object.journal.adopt({ target: method('main'), args: [], key: 'k' })).toThrow(
      expect.objectContaining({ code: 'RUN_KEY_TAKEN', retryable: true, data: { key: 'k', runId: run.runId, status: 'running' } }),
    )
    await reply
    await settle()
    expect(() => object.journal.adopt({ target: method('main'), args: [], key: 'k' })).toThrow(
      expect.objectContaining({ code: 'RUN_KEY_TAKEN', retryable: false }),
    )
  })

  test('that the caller repeats with its key after a crash goes on with what was done', async () => {
    let calls = 0
    const object = new TestObject({})
    callOutside(
      object,
      [],
      async (it) => {
        await it.step(() => ++calls, { stepId: 'a' })
        await never()
      },
      'k',
    )
    await settle()
    object.store.flush()
    object.crash()
    const again = callOutside(object, [], (it) => it.step(() => ++calls, { stepId: 'a' }), 'k')
    expect(await again.reply).toBe(1)
    expect(object.journal.resumeDue()).toEqual([])
    await settle()
    expect(object.journal.run(again.run.runId)).toMatchObject({ status: 'done', attempt: 2 })
  })

  test('is cancelled for those who wait for its row, and its steps stop', async () => {
    const object = new TestObject({})
    const { run, reply } = callOutside(object, [], (it) => it.step(never, { stepId: 'a' }))
    object.journal.cancel(run.runId)
    await expect(reply).rejects.toMatchObject({ code: 'RUN_CANCELLED' })
    await settle()
    expect(object.journal.run(run.runId).status).toBe('cancelled')
  })
})

describe('what people see', () => {
  test('lists are newest first, without steps, and page by id', async () => {
    const object = new TestObject({ main: (run, n) => run.step(() => n, { stepId: 'a' }) })
    for (let i = 0; i < 12; i++) await object.call('main', [i], `r${i}`)
    const page = object.journal.runs({ limit: 5 })
    expect(page.map((run) => run.runId)).toEqual(['r11', 'r10', 'r9', 'r8', 'r7'])
    expect(page[0]).not.toHaveProperty('steps')
    expect(object.journal.runs({ limit: 5, before: 'r7' }).map((run) => run.runId)).toEqual(['r6', 'r5', 'r4', 'r3', 'r2'])
    expect(() => object.journal.runs({ before: 'gone' })).toThrow(expect.objectContaining({ code: 'RUN_UNKNOWN' }))
    expect(() => object.journal.run('gone')).toThrow(expect.objectContaining({ code: 'RUN_UNKNOWN' }))
    expect(() => object.journal.steps('gone')).toThrow(expect.objectContaining({ code: 'RUN_UNKNOWN' }))
  })

  test('those of a tag are the same, page by page, whatever else there is, and none when they are pruned', async () => {
    const object = new TestObject({ main: () => 1 })
    const tagsOf = (i: number): string[] => [...(i % 3 === 0 ? ['three', 'three'] : []), ...(i % 2 === 0 ? ["it's", 'ü'] : [])]
    for (let i = 0; i < 20; i++) {
      object.journal.start({ runId: `r${i}`, target: method('main'), args: [], tags: tagsOf(i) })
      await object.journal.launch(`r${i}`)
    }
    const named = (page: { tag?: string; limit?: number; before?: string }) => object.journal.runs(page).map(({ runId }) => runId)
    const all = named({})
    for (const tag of ['three', "it's", 'ü', 'none']) {
      const expected = all.filter((runId) => tagsOf(Number(runId.slice(1))).includes(tag))
      expect(named({ tag })).toEqual(expected)
      const pages: string[] = []
      for (let page = named({ tag, limit: 2 }); page.length > 0; page = named({ tag, limit: 2, before: pages.at(-1)! })) pages.push(...page)
      expect(pages).toEqual(expected)
    }
    object.clock.advance(1)
    while (object.journal.prune(object.clock.now()).more);
    expect(object.store.sql('SELECT * FROM dotdo_run_tags')).toEqual([])
  })

  test('those of a tag are found, too, that an earlier release has stored', () => {
    const store = new SqliteStore()
    migrate(store, 'journal', journalMigrations.slice(0, 9))
    const insert = `INSERT INTO dotdo_runs (run_id, target, status, attempt, args, started_at, tags) VALUES (?, '{"kind":"method","name":"main"}', 'held', 1, 'j[]', 0, ?)`
    for (const [runId, tags] of [
      ['a', '["x","x"]'],
      ['b', null],
      ['c', '["y","x"]'],
    ] as const)
      store.sql(insert, runId, tags)
    migrate(store, 'journal', journalMigrations)
    const runs = new RunTable(store, new ValueStore(store))
    expect(runs.page(Number.MAX_SAFE_INTEGER, 9, 'x').map((row) => row.run_id)).toEqual(['c', 'a'])
    expect(runs.page(Number.MAX_SAFE_INTEGER, 9, 'y').map((row) => row.run_id)).toEqual(['c'])
  })

  test('steps stand in the order of their first start, over a crash too, and page', async () => {
    let lives = 0
    const object = new TestObject({
      main: async (run) => {
        for (const id of ['z', 'm']) await run.step(() => id, { stepId: id })
        if (lives++ === 0) await never()
        for (const id of ['c', 'a']) await run.step(() => id, { stepId: id })
      },
    })
    object.begin('main')
    await settle()
    object.store.flush()
    object.crash()
    await Promise.all(object.journal.resumeDue())
    const ids = (steps: { stepId: string }[] | undefined): string[] => (steps ?? []).map((step) => step.stepId)
    expect(ids(object.journal.run('r').steps)).toEqual(['z', 'm', 'c', 'a'])
    expect(ids(object.journal.steps('r', { from: 1, limit: 2 }))).toEqual(['m', 'c'])
  })

  test('a long run is paged by its index behind its first thousand steps, and goes on counting where it was', async () => {
    const object = new TestObject({
      main: async (run, count: number) => {
        for (let i = 0; i < count; i++) await run.step(() => i, { stepId: `s${(i * 7919) % 10_007}` })
      },
    })
    await object.call('main', [2300], 'r')
    const all = object.store.sql<{ step_id: string }>(`SELECT step_id FROM dotdo_steps ORDER BY ordinal`).map((row) => row.step_id)
    for (const from of [0, 1, 999, 1000, 1001, 2299, 2300])
      expect(object.journal.steps('r', { from, limit: 500 }).map((step) => step.stepId)).toEqual(all.slice(from, from + 500))
    const steps = new StepTable(object.store, undefined as never)
    for (const count of [2300, 1500, 1001, 1000, 5, 0]) {
      object.store.sql('DELETE FROM dotdo_steps WHERE ordinal >= ?', count)
      expect(steps.count(1)).toBe(count)
    }
  })

  test('views are plain data that can cross a wire', async () => {
    const object = new TestObject({
      main: (run) => run.step(({ progress }) => (progress({ rows: 1, secret: () => 1 } as never), new Map([['a', 1]])), { stepId: 'a' }),
    })
    await object.call('main', [], 'r')
    expect(structuredClone(object.journal.run('r'))).toMatchObject({
      result: { text: 'Map {"a" => 1}' },
      steps: [{ progress: { rows: 1 } }],
    })
    expect(structuredClone(object.events)).toEqual(object.events)
  })
})

describe('what other rooms ask of runs', () => {
  test('is where they stand, many at once; what is not there is absent', async () => {
    const { journal } = new TestObject({ main: () => 1, fail: () => Promise.reject(new Error('no')) })
    for (const runId of ['a', 'b', 'c']) journal.start({ runId, target: method(runId === 'b' ? 'fail' : 'main'), args: [] })
    await Promise.allSettled([journal.launch('a'), journal.launch('b')])
    expect(journal.statuses(['a', 'b', 'c', 'd'])).toEqual(
      new Map([
        ['a', 'done'],
        ['b', 'failed'],
        ['c', 'running'],
      ]),
    )
    expect(journal.statuses([])).toEqual(new Map())
  })

  test('is which there are of one name, the last first, page by page, and none of another name', () => {
    const { journal } = new TestObject({ main: () => 1 })
    for (const runId of ['nightly@1', 'nightly@3', 'nightly@2', 'night@9', 'nightly!@9', 'o@1'])
      journal.start({ runId, target: method('main'), args: [] })
    const ids = (page?: { limit?: number; before?: string }) => journal.runsNamed('nightly@', page).map((it) => it.runId)
    expect(ids()).toEqual(['nightly@3', 'nightly@2', 'nightly@1'])
    expect(ids({ limit: 2 })).toEqual(['nightly@3', 'nightly@2'])
    expect(ids({ limit: 2, before: 'nightly@2' })).toEqual(['nightly@1'])
  })
})

describe('pruning', () => {
  test('removes ended runs with all they own, in bites, and nothing else', async () => {
    const rows = Array.from({ length: 20_000 }, (_, id) => ({ id, text: 'x'.repeat(100) }))
    const object = new TestObject({
      main: async (run) => {
        for (let i = 0; i < 400; i++) await run.step(() => i, { stepId: `s${i}` })
        return run.step(() => rows, { stepId: 'rows' })
      },
      open: never,
    })
    object.begin('open', [], 'open')
    for (let i = 0; i < 3; i++) await object.call('main', [rows], `old${i}`)
    object.clock.advance(1000)
    const before = object.clock.now()
    await object.call('main', [], 'new')
    const kept = object.store.sql('SELECT id FROM dotdo_values').length
    let bites = 0
    let removed = 0
    for (let more = true; more; bites++) {
      const statements = object.store.statements
      const bite = object.journal.prune(before)
      expect(object.store.statements - statements).toBeLessThan(1200)
      removed += bite.removed
      more = bite.more
      // One that is begun with is out of sight: each that is shown is whole.
      const shown = object.journal.runs().map((run) => run.runId)
      expect(shown.filter((runId) => runId !== 'open' && object.journal.steps(runId).length < 401)).toEqual([])
      expect(shown).toEqual(expect.arrayContaining(['new', 'open']))
    }
    expect(removed).toBe(3)
    expect(bites).toBeGreaterThan(2)
    expect(object.store.sql('SELECT COUNT(*) AS n FROM dotdo_steps')[0]?.n).toBe(401)
    expect(object.store.sql('SELECT id FROM dotdo_values').length).toBeLessThan(kept / 2)
    expect(object.journal.result('new')).toHaveLength(20_000)
    expect(object.journal.prune(before)).toEqual({ removed: 0, more: false })
    // The id is free again.
    expect(await object.call('main', [], 'old0')).toHaveLength(20_000)
  })

  test('a value with more chunks than a bite holds leaves none behind', async () => {
    const object = new TestObject({
      main: (run) => run.step(() => Array.from({ length: 5000 }, (_, i) => `row ${i}`), { stepId: 'rows' }).then(() => 1),
    })
    await object.call('main', [], 'r')
    const valueId = Number(object.store.sql('SELECT value_id FROM dotdo_steps')[0]?.value_id)
    for (let chunk = 1; chunk < 1200; chunk++)
      object.store.sql('INSERT INTO dotdo_values (id, text) VALUES (?, ?)', valueId * 1048576 + chunk, '=j[]')
    object.clock.advance(1)
    let bites = 1
    while (object.journal.prune(object.clock.now()).more) bites++
    expect(bites).toBe(3)
    for (const table of ['dotdo_values', 'dotdo_steps', 'dotdo_runs']) expect(object.store.sql(`SELECT * FROM ${table}`)).toEqual([])
  })

  test('a stream that somebody still holds says that it is gone instead of giving another one', async () => {
    const object = new TestObject({
      main: (run, mark) =>
        run.step(
          async function* () {
            yield [mark]
          },
          { stepId: 's' },
        ),
    })
    const stream = (await object.call('main', ['first'])) as StoredStream
    object.clock.advance(1)
    object.journal.prune(object.clock.now())
    await object.call('main', ['second'])
    await expect(collect(stream)).rejects.toMatchObject({ code: 'VALUE_LOST' })
  })
})
