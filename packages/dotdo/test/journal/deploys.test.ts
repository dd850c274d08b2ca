/** Deploys while runs are in flight: versions of the code, what steps state of themselves, and what a policy makes of it. */
import { describe, expect, test } from 'vitest'
import type { DeployPolicy } from '../../src/journal/ports.ts'
import type { StepOptions } from '../../src/journal/step-options.ts'
import { SeededRandom } from '../support/fakes.ts'
import { settle, TestObject } from './harness.ts'
import { randomCrashes, World } from './world.ts'

/** A run that sleeps over a deploy. */
function sleeper(policy: DeployPolicy, codeVersion = 'v1'): TestObject {
  const object: TestObject = new TestObject({
    main: async (run) => {
      const before = await run.step(() => object.deploy.codeVersion, { stepId: 'before' })
      await run.sleep('1d', { stepId: 's' })
      return [before, await run.step(() => object.deploy.codeVersion, { stepId: 'after' })]
    },
  })
  deploy(object, codeVersion, policy)
  return object
}

/** A deploy resets the object. */
function deploy(object: TestObject, codeVersion: string | undefined, deployPolicy: DeployPolicy): void {
  object.deploy = { ...(codeVersion !== undefined && { codeVersion }), deployPolicy }
  object.evict()
}

const day = 86_400_000

describe('a policy', () => {
  test('latest goes on with the new code, and the run tells which it began with', async () => {
    const object = sleeper('latest')
    object.begin('main')
    await object.advance(20_000)
    deploy(object, 'v2', 'latest')
    await object.advance(day)
    expect(object.journal.result('r')).toEqual(['v1', 'v2'])
    expect(object.journal.run('r')).toMatchObject({ version: 'v1' })
  })

  test.each(['pin', 'ask'] as const)('%s holds a run that began with another version, and says why and what to do', async (policy) => {
    const object = sleeper(policy)
    object.begin('main')
    await object.advance(20_000)
    deploy(object, 'v2', policy)
    expect(object.journal.run('r').status).toBe('running')
    await object.advance(day)
    expect(object.journal.run('r')).toMatchObject({
      status: 'held',
      version: 'v1',
      error: { code: 'RUN_HELD', retryable: true, message: expect.stringContaining(`'v1'`), data: { policy, began: 'v1', now: 'v2' } },
    })
    expect(object.events.at(-1)).toMatchObject({ type: 'run.held' })
    await expect(object.journal.launch('r')).rejects.toMatchObject({ code: 'RUN_HELD' })
    // It holds nothing else up, and looks once an hour whether its version is back.
    expect(object.journal.nextWakeMs()).toBeGreaterThan(object.clock.now())
    expect(object.journal.nextWakeMs()).toBeLessThanOrEqual(object.clock.now() + 3_600_000)
    await object.advance(10 * day)
    object.journal.accept('r')
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.result('r')).toEqual(['v1', 'v2'])
    expect(object.journal.run('r')).toMatchObject({ status: 'done', version: 'v2' })
    expect(object.journal.accept('r').status).toBe('done')
  })

  test('lets a run go on whose version is back: rolling back works', async () => {
    const object = sleeper('pin')
    object.begin('main')
    await object.advance(20_000)
    deploy(object, 'v2', 'pin')
    await object.advance(day)
    expect(object.journal.run('r').status).toBe('held')
    deploy(object, 'v3', 'pin')
    expect(object.journal.resumeDue()).toEqual([])
    deploy(object, 'v1', 'pin')
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.result('r')).toEqual(['v1', 'v1'])
  })

  test('a retry accepts, a cancel ends, and a run of which no version is known is never held', async () => {
    const object = sleeper('pin')
    for (const runId of ['a', 'b']) object.begin('main', [], runId)
    await object.advance(20_000)
    deploy(object, 'v2', 'pin')
    await object.advance(day)
    expect(await object.journal.retry('a')).toEqual(['v1', 'v2'])
    expect(object.journal.cancel('b').status).toBe('cancelled')
    const unknown = sleeper('pin', undefined as never)
    unknown.deploy = { deployPolicy: 'pin' }
    unknown.evict()
    unknown.begin('main')
    await unknown.advance(20_000)
    deploy(unknown, 'v2', 'pin')
    await unknown.advance(day)
    expect(unknown.journal.run('r').status).toBe('done')
  })

  test('does not hold what begins and ends with one version, and holds an undoing as it holds the rest', async () => {
    const log: string[] = []
    const object: TestObject = new TestObject({
      quick: () => 'quick',
      main: async (run) => {
        await run.step(() => log.push('do'), {
          stepId: 'a',
          undo: () => (log.push('undo'), object.deploy.codeVersion === 'v1' ? new Promise(() => {}) : 1),
        })
        throw new Error('no')
      },
    })
    deploy(object, 'v1', 'pin')
    expect(await object.call('quick')).toBe('quick')
    object.begin('main')
    await settle()
    deploy(object, 'v2', 'pin')
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.run('r').status).toBe('held')
    object.journal.accept('r')
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.run('r')).toMatchObject({ status: 'failed', error: { message: 'no' } })
    expect(log).toEqual(['do', 'undo', 'undo'])
  })
})

describe('what a step states of itself', () => {
  /** Does a step under one set of options, and replays it under another. */
  async function replayed(before: Partial<StepOptions>, after: Partial<StepOptions>): Promise<unknown> {
    let options = before
    let calls = 0
    const object = new TestObject({
      main: async (run) => {
        await run.step(() => ++calls, { stepId: 'load', ...options })
        await run.sleep('1d', { stepId: 's' })
        return calls
      },
    })
    object.begin('main')
    await object.advance(20_000)
    options = after
    object.evict()
    await object.advance(day)
    const { status, error, result } = object.journal.run('r')
    return status === 'done' ? result?.text : [error?.code, error?.message.replace(/\. What is stored.*/, '')]
  }

  test.each([
    [{ version: 1 }, { version: 2 }, `its version was '1' and is '2' now`],
    [{}, { version: 2 }, `its version was not stated and is '2' now`],
    [{ input: { day: 1 } }, { input: { day: 2 } }, `its input was {"day":1} and is {"day":2} now`],
    [{ version: 1, input: 'a' }, { version: 2, input: 'b' }, `its version was '1' and is '2' now; its input was "a" and is "b" now`],
    [{ input: 'x'.repeat(5000) }, { input: 'x'.repeat(5001) }, /its input was 5003 characters with the hash \w{16} and is 5004 characters/],
  ])('%j is another one than %j, and the run fails in words', async (before, after, words) => {
    expect(await replayed(before, after)).toEqual([
      'STEP_CHANGED',
      expect.stringMatching(words instanceof RegExp ? words : words.replace(/[{}]/g, '\\$&')),
    ])
  })

  test.each([
    [{ version: 1 }, { version: '1' }],
    [{ version: 1, input: [1] }, {}],
    [{ input: { a: 1, rows: ['x'.repeat(3000)] } }, { input: { a: 1, rows: ['x'.repeat(3000)] } }],
    [{ timeout: '1s' }, { retries: { limit: 1 } }],
  ])('%j is no other one than %j', async (before, after) => {
    expect(await replayed(before, after)).toBe('1')
  })

  test('a step that became a sleep is told so, and a step may be added before it', async () => {
    let version = 1
    const object = new TestObject({
      main: async (run) => {
        if (version > 1) await run.step(() => 'new', { stepId: 'new' })
        await (version < 3 ? run.step(() => 'a', { stepId: 'a' }) : run.sleep(1, { stepId: 'a' }))
        await run.sleep('1h', { stepId: `s${version}` })
      },
    })
    object.begin('main')
    for (version of [1, 2, 3]) {
      await object.advance(20_000)
      object.evict()
      if (version < 3) object.journal.launch('r').catch(() => undefined)
    }
    await expect(object.journal.launch('r')).rejects.toMatchObject({
      code: 'STEP_CHANGED',
      message: expect.stringContaining('it was a step with a function and is a sleep now'),
    })
  })
})

describe('three versions and their rollbacks, over runs that are in flight in an object that dies', () => {
  const seeds = Number(process.env.SIM_SEEDS ?? 1000)

  /** Each version has steps that the others have not, and all have some; each step notes which version did it. */
  async function live(seed: number, policy: DeployPolicy): Promise<{ world: World; held: number }> {
    const draw = new SeededRandom(seed ^ 0xdeb)
    const parts = ['a', 'b', 'c', 'd'].map((id) => ({ id, from: draw.below(2), sleeps: draw.next() < 0.5 }))
    const world = new World(
      seed,
      randomCrashes(10),
      async (it, run) => {
        const version = Number(it.version?.slice(1))
        const done: string[] = []
        for (const { id, from, sleeps } of parts) {
          if (version < from) continue
          done.push(
            await run.step(
              async () => {
                await it.effect(`${run.runId}/${id}`)
                return `${id} by ${it.version}`
              },
              { stepId: id, version: 1, retries: { limit: 40, delay: '1s' } },
            ),
          )
          if (sleeps) await run.sleep('1h', { stepId: `${id} sleeps` })
        }
        return { version: it.version, done }
      },
      {},
      { policy, versions: ['v0', 'v1', 'v2'] },
    )
    let held = 0
    // Somebody looks now and then, and accepts; for `pin` the versions come and go by themselves.
    world.asked = (runId) => {
      held++
      if (policy === 'ask' || draw.next() < 0.2) world.journal.accept(runId)
    }
    await world.live('r')
    return { world, held }
  }

  test.each(['latest', 'pin', 'ask'] as const)(
    'under %s every run ends, and nothing is done by a version that it may not be',
    { timeout: 600_000 },
    async (policy) => {
      let heldAll = 0
      let mixed = 0
      for (let seed = 1; seed <= Math.ceil(seeds / 3); seed++) {
        const { world, held } = await live(seed, policy)
        heldAll += held
        const run = world.journal.run('r')
        expect(run, `seed ${seed}`).toMatchObject({ status: 'done' })
        expect(world.faults, `seed ${seed}`).toEqual([])
        const { version, done } = world.journal.result('r') as { version: string; done: string[] }
        const by = new Set(done.map((it) => it.split(' by ')[1]))
        if (by.size > 1) mixed++
        // Who accepts nothing gets one version from the first step to the last.
        if (policy === 'pin' && held === 0) expect([...by.add(version)], `seed ${seed}`).toEqual([run.version])
      }
      if (policy === 'latest') expect([heldAll, mixed > 0]).toEqual([0, true])
      else expect(heldAll).toBeGreaterThan(0)
    },
  )
})
