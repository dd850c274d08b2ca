/** What becomes of the steps that can be undone when their run fails or is cancelled. */
import { describe, expect, test } from 'vitest'
import type { Execution } from '../../src/journal/execution.ts'
import type { StepContext } from '../../src/journal/step-options.ts'
import { SeededRandom } from '../support/fakes.ts'
import { settle, TestObject } from './harness.ts'
import { crashAt, noCrash, randomCrashes, World, type CrashPlan } from './world.ts'

const never = (): Promise<never> => new Promise(() => {})
/** Nobody hears how it ends. */
const unheard = (run: Promise<unknown>): void => void run.catch(() => undefined)

/** A booking of several things, each of which can be taken back. */
function booking(log: unknown[], names: string[], end: () => unknown, undoOf = (name: string): unknown => `${name} undone`) {
  return async (run: Execution): Promise<unknown> => {
    for (const name of names) {
      await run.step(
        ({ idempotencyKey }) => {
          log.push(['do', idempotencyKey])
          return { name }
        },
        {
          stepId: name,
          retries: { limit: 2, delay: 10, backoff: 'constant' },
          undo: (result: { name: string }, { idempotencyKey, attempt }) => {
            log.push(['undo', idempotencyKey, result.name, attempt])
            return undoOf(result.name)
          },
        },
      )
    }
    return end()
  }
}

const fail = (): never => {
  throw Object.assign(new Error('sold out'), { code: 'SOLD_OUT' })
}

describe('a run that fails', () => {
  test('undoes what it did, the last first, each with its result and a key of its own, and ends with its own error', async () => {
    const log: unknown[] = []
    const object = new TestObject({ main: booking(log, ['flight', 'hotel', 'car'], fail) })
    await expect(object.call('main', [], 'r')).rejects.toMatchObject({ code: 'SOLD_OUT' })
    expect(log).toEqual([
      ['do', 'r/flight'],
      ['do', 'r/hotel'],
      ['do', 'r/car'],
      ['undo', 'r/undo:car', 'car', 1],
      ['undo', 'r/undo:hotel', 'hotel', 1],
      ['undo', 'r/undo:flight', 'flight', 1],
    ])
    const { status, steps, error } = object.journal.run('r')
    expect([status, error?.code]).toEqual(['failed', 'SOLD_OUT'])
    expect(steps?.map((step) => [step.stepId, step.status, step.kind ?? 'step', step.undo ?? ''])).toEqual([
      ['flight', 'done', 'step', 'undone'],
      ['hotel', 'done', 'step', 'undone'],
      ['car', 'done', 'step', 'undone'],
      ['undo:car', 'done', 'undo', ''],
      ['undo:hotel', 'done', 'undo', ''],
      ['undo:flight', 'done', 'undo', ''],
    ])
    expect(object.events.map((event) => event.type).filter((type) => type.startsWith('run.'))).toEqual([
      'run.started',
      'run.undoing',
      'run.failed',
    ])
  })

  test('undoes nothing when it ends well, nor what had not been done', async () => {
    const log: unknown[] = []
    const object = new TestObject({
      well: booking(log, ['flight'], () => 'booked'),
      none: (run) => run.step(fail, { stepId: 'a', retries: { limit: 0 }, undo: () => log.push('undone') }),
    })
    expect(await object.call('well')).toBe('booked')
    await expect(object.call('none')).rejects.toMatchObject({ code: 'SOLD_OUT' })
    expect(log).toHaveLength(1)
  })

  test('retries an undo, and says which it could not do, while it does the others', async () => {
    const log: unknown[] = []
    const object = new TestObject({
      main: booking(log, ['flight', 'hotel', 'car'], fail, (name) => {
        if (name === 'hotel') throw new Error('no refunds')
      }),
    })
    const run = object.call('main', [], 'r').catch((thrown: unknown) => thrown)
    await object.advance(1000)
    expect(await run).toMatchObject({ code: 'UNDO_FAILED', data: { failed: ['hotel'], unknown: [], error: { code: 'SOLD_OUT' } } })
    expect(log.slice(3)).toEqual([
      ['undo', 'r/undo:car', 'car', 1],
      ['undo', 'r/undo:hotel', 'hotel', 1],
      ['undo', 'r/undo:hotel', 'hotel', 2],
      ['undo', 'r/undo:hotel', 'hotel', 3],
      ['undo', 'r/undo:flight', 'flight', 1],
    ])
    expect(object.journal.run('r').steps?.map((step) => step.undo)).toEqual(['undone', 'ready', 'undone', undefined, undefined, undefined])
  })

  test('goes on undoing after a crash: the code is replayed as far as it got, and nothing new begins', async () => {
    const log: unknown[] = []
    let lives = 0
    const object: TestObject = new TestObject({
      main: async (run) => {
        await booking(
          log,
          ['flight', 'hotel'],
          () => 0,
          (name) => (name === 'hotel' && lives === 0 ? never() : 'ok'),
        )(run)
        if (lives === 0) fail()
        // Code that was wrong and is right now does not bring the run back.
        return run.step(() => log.push('went on'), { stepId: 'new' })
      },
    })
    object.begin('main')
    await settle()
    expect(object.journal.run('r')).toMatchObject({ status: 'running', undoing: true, error: { code: 'SOLD_OUT' } })
    object.store.flush()
    lives = 1
    object.crash()
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.run('r')).toMatchObject({ status: 'failed', error: { code: 'SOLD_OUT' } })
    expect(log.slice(2)).toEqual([
      ['undo', 'r/undo:hotel', 'hotel', 1],
      ['undo', 'r/undo:hotel', 'hotel', 2],
      ['undo', 'r/undo:flight', 'flight', 1],
    ])
  })

  test('says so when the code has no undo any more, and does not wait for ever for it', async () => {
    let lives = 0
    const object = new TestObject({
      main: (run) => (lives === 0 ? booking([], ['flight'], fail, never)(run) : never()),
    })
    object.begin('main')
    await settle()
    object.store.flush()
    lives = 1
    object.crash()
    void object.journal.resumeDue()
    await object.advance(31_000)
    expect(object.journal.run('r')).toMatchObject({
      status: 'failed',
      error: { code: 'UNDO_FAILED', data: { unknown: ['flight'], failed: [] } },
    })
  })

  test('and is retried does what was undone again, under new keys', async () => {
    const log: unknown[] = []
    let works = false
    const object = new TestObject({ main: booking(log, ['flight', 'hotel'], () => (works ? 'booked' : fail())) })
    for (let i = 0; i < 2; i++)
      await expect(i === 0 ? object.call('main', [], 'r') : object.journal.retry('r')).rejects.toMatchObject({ code: 'SOLD_OUT' })
    works = true
    expect(await object.journal.retry('r')).toBe('booked')
    const keys = log.filter((it) => (it as string[])[0] === 'do').map((it) => (it as string[])[1])
    expect(keys).toEqual(['r/flight', 'r/hotel', 'r#2/flight', 'r#2/hotel', 'r#3/flight', 'r#3/hotel'])
    expect(object.journal.run('r').steps?.map((step) => step.undo)).toEqual(['ready', 'ready'])
  })
})

describe('a run that is cancelled', () => {
  test('undoes what it did and is then cancelled; until then it is running', async () => {
    const log: unknown[] = []
    const gate = Promise.withResolvers<void>()
    const object = new TestObject({ main: booking(log, ['flight'], never, () => gate.promise) })
    const run = object.call('main', [], 'r').catch((thrown: unknown) => thrown)
    await settle()
    expect(object.journal.cancel('r')).toMatchObject({ status: 'running' })
    expect(object.journal.cancel('r')).toMatchObject({ status: 'running' })
    gate.resolve()
    expect(await run).toMatchObject({ code: 'RUN_CANCELLED' })
    expect(object.journal.run('r')).toMatchObject({ status: 'cancelled', error: { code: 'RUN_CANCELLED' } })
    expect(log).toHaveLength(2)
  })

  test.each([
    ['cancelled', false],
    ['cancelled', true],
    ['failed', false],
  ] as const)('is %s, with a run that it has begun: what that did later is taken back first (after a crash: %s)', async (end, crashes) => {
    const log: unknown[] = []
    const seen = (): string[] => log.map((it) => `${(it as string[])[0]!} ${(it as string[])[1]!.split(/[/:]/).at(-1)!}`)
    // Each needs a second attempt, and so a pause.
    const tried = new Set<string>()
    const slow = (name: string): void => {
      if (tried.size < tried.add(name).size) throw new Error('not now')
    }
    const object = new TestObject({
      main: async (run) => {
        await booking(log, ['flight'], () => 0)(run)
        const child = run.callRun({ kind: 'method', name: 'child' }, [], { stepId: 'child' })
        if (end === 'cancelled') return await child
        await run.sleep(1000, { stepId: 's' })
        return fail()
      },
      child: booking(log, ['hotel', 'car'], never, slow),
    })
    unheard(object.call('main', [], 'r'))
    await object.advance(2000)
    if (end === 'cancelled') object.journal.cancel('r')
    await settle()
    if (crashes) object.evict()
    await object.advance(500_000)
    const undone = seen().filter((it) => it.startsWith('undo'))
    expect(undone).toEqual(['undo car', 'undo car', 'undo hotel', 'undo hotel', 'undo flight'])
    expect(['r', 'r/child'].map((it) => object.journal.status(it).status)).toEqual([end, 'cancelled'])
  })

  test('while it is parked and nothing of it is in memory', async () => {
    const log: unknown[] = []
    const object = new TestObject({
      main: async (run) => {
        await booking(log, ['flight'], () => 0)(run)
        await run.sleep('1d', { stepId: 's' })
      },
    })
    object.begin('main')
    await object.advance(20_000)
    object.evict()
    object.journal.cancel('r')
    await object.advance(1000)
    expect(object.journal.run('r')).toMatchObject({ status: 'cancelled' })
    expect(log).toEqual([
      ['do', 'r/flight'],
      ['undo', 'r/undo:flight', 'flight', 1],
    ])
  })
})

describe('undoing in an object that dies', () => {
  const seeds = Number(process.env.SIM_SEEDS ?? 1000)

  /** Does some steps, fails or is cancelled, and undoes; each do and undo counts inside, in the turn of its result. */
  async function live(seed: number, plan: CrashPlan): Promise<World> {
    const random = new SeededRandom(seed)
    const steps = Array.from({ length: 1 + random.below(4) }, (_, i) => ({
      id: `s${i}`,
      undo: random.next() < 0.7,
      effect: random.next() < 0.5,
    }))
    const cancels = random.next() < 0.3
    const world = new World(seed, plan, async (it, run) => {
      for (const { id, undo, effect } of steps) {
        await run.step(
          async ({ idempotencyKey }) => {
            if (effect) await it.effect(idempotencyKey)
            it.count(`do ${id}`)
            return id
          },
          {
            stepId: id,
            retries: { limit: 40, delay: '1s' },
            ...(undo && {
              undo: async (result: unknown, { idempotencyKey }: StepContext) => {
                if (it.journal.run(run.runId).status !== 'running') it.faults.push(`${id} is undone after the end of its run`)
                if (effect) await it.effect(idempotencyKey)
                it.count(`undo ${String(result)}`)
                it.store.sql('INSERT INTO undone (id) VALUES (?)', String(result))
              },
            }),
          },
        )
      }
      if (!cancels) throw new Error('the end')
      await run.step(() => it.journal.cancel(run.runId), { stepId: 'cancels', retries: { limit: 40 } })
    })
    world.store.sql('CREATE TABLE undone (seq INTEGER PRIMARY KEY, id TEXT NOT NULL)')
    world.store.flush()
    await world.live('r')
    const run = world.journal.run('r')
    const faults = [...world.faults]
    if (run.status !== (cancels ? 'cancelled' : 'failed') || (!cancels && run.error?.message !== 'the end'))
      faults.push(`the run is ${run.status}: ${run.error?.message}`)
    const expected = steps.filter(({ undo }) => undo).map(({ id }) => id)
    const undone = world.store.sql<{ id: string }>('SELECT id FROM undone ORDER BY seq').map(({ id }) => id)
    // What is inside happens exactly once, in reverse order.
    if (undone.join() !== expected.toReversed().join()) faults.push(`undone are ${undone.join()}, not ${expected.toReversed().join()}`)
    for (const { id } of steps) if (world.counter(`do ${id}`) !== 1) faults.push(`${id} was done ${world.counter(`do ${id}`)} times`)
    expect(faults, `seed ${seed}`).toEqual([])
    return world
  }

  test('takes each step back exactly once and in reverse order, whenever it dies', { timeout: 600_000 }, async () => {
    let crashes = 0
    for (let seed = 1; seed <= seeds; seed++) crashes += (await live(seed, randomCrashes(12))).crashes
    expect(crashes).toBeGreaterThan(seeds)
  })

  test('and when it dies once, at every place there is', { timeout: 600_000 }, async () => {
    for (const seed of [1, 2, 7]) {
      const calm = await live(seed, noCrash)
      for (let turn = 0; turn <= calm.turns; turn++)
        for (const when of ['before', 'after'] as const) await live(seed, crashAt({ turn, when }))
      for (let statement = 1; statement <= calm.store.statements; statement++) await live(seed, crashAt({ statement }))
    }
  })
})

describe('a run that is to end without being undone', () => {
  const hangs = (): TestObject => new TestObject({ main: booking([], ['flight', 'hotel'], fail, () => never()) })
  const left = { code: 'UNDO_FAILED', data: { failed: ['hotel', 'flight'] } }

  test('ends while an undo of it never does, and names what was not undone; a retry begins again', async () => {
    const object = hangs()
    const run = object.call('main', [], 'r').catch((thrown: unknown) => thrown)
    await object.advance(86_400_000)
    expect(object.journal.cancel('r').status).toBe('running')
    await settle()
    expect(object.journal.run('r')).toMatchObject({ status: 'running', undoing: true })
    object.journal.cancel('r', { undo: false })
    expect(await run).toMatchObject(left)
    expect(object.journal.run('r')).toMatchObject({ status: 'failed', error: left })
    expect(object.journal.run('r').steps?.find(({ stepId }) => stepId === 'undo:hotel')).toMatchObject({ status: 'failed' })
    expect(object.timers).toBe(0)
    unheard(object.journal.retry('r'))
    await settle()
    expect(object.journal.status('r').status).toBe('running')
  })

  test('ends where nothing of it is under way, and is not taken up again', async () => {
    const object = hangs()
    object.begin('main')
    await settle()
    object.evict()
    object.journal.cancel('r', { undo: false })
    expect(object.journal.run('r')).toMatchObject({ status: 'failed', error: left })
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.run('r').status).toBe('failed')
  })

  test('ends with those that it has begun, and undoes nothing that it had not begun to undo', async () => {
    const log: unknown[] = []
    const wait = async (run: Execution): Promise<unknown> => {
      await booking(
        log,
        ['car'],
        () => 1,
        () => never(),
      )(run)
      return run.callRun({ kind: 'method', name: 'inner' }, [], { stepId: 'inner' })
    }
    const object = new TestObject({
      main: wait,
      inner: booking(
        log,
        ['van'],
        () => never(),
        () => never(),
      ),
    })
    const run = object.call('main', [], 'r').catch((thrown: unknown) => thrown)
    await settle()
    object.journal.cancel('r', { undo: false })
    await settle()
    expect(await run).toMatchObject({ code: 'UNDO_FAILED', data: { failed: ['car'] } })
    expect(object.journal.runs().map(({ status }) => status)).toEqual(['failed', 'failed'])
    const plain = new TestObject({ main: () => never() })
    plain.begin('main')
    await settle()
    expect(plain.journal.cancel('r', { undo: false }).status).toBe('cancelled')
  })
})
