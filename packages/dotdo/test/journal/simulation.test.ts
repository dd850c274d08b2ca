import { isDeepStrictEqual } from 'node:util'
import { describe, expect, test } from 'vitest'
import { decodeValue } from '../../src/base/codec.ts'
import type { StepView } from '../../src/base/views.ts'
import { idempotencyKey } from '../../src/journal/scope.ts'
import type { StepOptions } from '../../src/journal/step-options.ts'
import { drawProgram, findStep, idsOf, runProgram, sleepMs, stepsOf, type Program, type StepProgram } from './programs.ts'
import { crashAt, noCrash, randomCrashes, World, type CrashPlan, type Main } from './world.ts'

/** More attempts than a world has crashes, so that every run can end well. */
const plenty = { limit: 40, delay: '1s' } as const

/** `SIM_SEEDS=100000` for the deep tier, `SIM_SEED=1234` to replay one. */
const seeds = Number(process.env.SIM_SEEDS ?? 1000)
const only = process.env.SIM_SEED === undefined ? undefined : Number(process.env.SIM_SEED)

const seedsFrom = (first: number): number[] => (only === undefined ? Array.from({ length: seeds }, (_, i) => first + i) : [only])

/** The code of an object: its run does the program, and a child run that of the step that began it. */
const codeOf =
  (program: Program, retries: NonNullable<StepOptions['retries']>): Main =>
  (world, _run, name) => {
    const inner = name === 'main' ? program : findStep(program, name.replace(/^child /, ''))?.inner
    if (!inner) throw new Error(`no code for ${name}`)
    return runProgram(world, inner, retries)
  }

/** Each wait of the program gets its event a while after the start, some before the wait has begun. */
function sendAll(world: World, program: Program): void {
  const waits = (it: Program): StepProgram[] =>
    it.kind === 'step' ? [...(it.work === 'wait' ? [it] : []), ...(it.inner ? waits(it.inner) : [])] : it.parts.flatMap(waits)
  for (const { id, effects } of waits(program)) {
    const payload = { to: id, n: effects, of: 'the outside' }
    world.sends({ id: `evt-${world.turns}-${id}`, type: 'Sim.came', payload, sentAt: world.clock.now() }, effects * 5)
    // One that nobody waits for changes nothing.
    world.sends({ id: `evt-${world.turns}-${id}-other`, type: 'Sim.came', payload: { to: 'nobody' }, sentAt: world.clock.now() }, effects)
  }
}

async function live(seed: number, plan: CrashPlan, program: Program): Promise<World> {
  const world = new World(seed, plan, codeOf(program, plenty), seed % 3 === 0 ? { parkedInMemory: 0 } : {})
  sendAll(world, program)
  await world.live('night-1')
  return world
}

/** Checks what must hold of a world whose run has ended. */
function check(world: World, runId: string, program: Program, expected: unknown): void {
  const { journal } = world
  const run = journal.run(runId)
  const faults = [...world.faults]
  if (run.status !== 'done') faults.push(`the run is ${run.status}: ${run.error?.message}`)
  else if (!isDeepStrictEqual(journal.result(runId), expected)) faults.push('its result is another one')
  checkSteps(world, runId, program, faults)
  if (world.lostChunks() > 0) faults.push(`${world.lostChunks()} chunks belong to nobody`)
  expect(faults).toEqual([])
}

/** Each step of a run is memoised exactly once, and all of them are; and those of the runs that it has begun. */
function checkSteps(world: World, runId: string, program: Program, faults: string[]): void {
  const run = world.journal.run(runId)
  const steps = stepsOf(program)
  const ids = steps.flatMap(idsOf)
  const views = new Map(run.steps?.map((step) => [step.stepId, step]))
  if (views.size !== ids.length || run.steps?.length !== ids.length)
    faults.push(`${runId} has ${run.steps?.length} steps, not ${ids.length}`)
  for (const step of steps) {
    for (const stepId of idsOf(step)) {
      const view = views.get(stepId)
      if (view?.status !== 'done') faults.push(`${runId}/${stepId} is ${view?.status}`)
      else checkStep(world, runId, step, view, faults)
    }
    if (step.work === 'child' && step.inner) checkSteps(world, idempotencyKey(runId, step.id), step.inner, faults)
  }
}

function checkStep(world: World, runId: string, { work, effects, ...step }: StepProgram, view: StepView, faults: string[]): void {
  const key = idempotencyKey(runId, view.stepId)
  const outside = (i: number): number => world.outside.get(`${key}#${i}`) ?? 0
  // Inside, exactly once.
  if (work === 'inside' && world.counter(key) !== 1) faults.push(`${key} happened ${world.counter(key)} times`)
  if (work === 'sleep' || work === 'give-up') {
    const ms = sleepMs({ work, effects, ...step })
    if ((view.endedAt ?? 0) - view.startedAt < ms) faults.push(`${key} slept ${(view.endedAt ?? 0) - view.startedAt} of ${ms} ms`)
  }
  // Outside, at least once, and no more often than there were attempts.
  const reaches = work === 'map' ? 1 : ['effect', 'stream', 'array', 'nested', 'checkpoint', 'limited'].includes(work) ? effects : 0
  for (let i = 0; i < reaches; i++)
    if (outside(i) < 1 || outside(i) > view.attempt)
      faults.push(`${key}#${i} reached the outside ${outside(i)} times in ${view.attempt} attempts`)
  if (work !== 'checkpoint') return
  // What lies before a checkpoint is not done again: an attempt repeats one effect at most.
  const all = Array.from({ length: effects }, (_, i) => outside(i)).reduce((sum, n) => sum + n, 0)
  if (all > effects + view.attempt - 1)
    faults.push(`${key} reached the outside ${all} times for ${effects} effects in ${view.attempt} attempts`)
}

/** Says which world a failure belongs to, so that it can be called again. */
async function inWorld(seed: number, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (cause) {
    throw new Error(
      `seed ${seed}, ${what}: ${cause instanceof Error ? cause.message : String(cause)}\nreplay: SIM_SEED=${seed} vitest run --project pure packages/dotdo/test/journal/simulation.test.ts`,
      { cause },
    )
  }
}

describe('an object that dies at random', () => {
  test('ends every run with the result of an object that never dies, and runs the second night anew', { timeout: 600_000 }, async () => {
    let crashes = 0
    for (const seed of seedsFrom(1)) {
      await inWorld(seed, 'random crashes', async () => {
        const program = drawProgram(seed)
        const calm = await live(seed, noCrash, program)
        const expected = calm.journal.result('night-1')
        check(calm, 'night-1', program, expected)
        const world = await live(seed, randomCrashes(12), program)
        check(world, 'night-1', program, expected)
        if (seed % 4 === 0) {
          sendAll(world, program)
          await world.live('night-2')
          check(world, 'night-2', program, expected)
        }
        crashes += world.crashes
      })
    }
    // A simulation in which nothing dies proves nothing.
    if (only === undefined) expect(crashes).toBeGreaterThan(seeds)
  })

  test('never runs in circles: with few retries a run ends, as done or with an error that names why', { timeout: 600_000 }, async () => {
    const ends = new Map<string, number>()
    for (const seed of seedsFrom(1_000_000).slice(0, Math.ceil(seeds / 3))) {
      await inWorld(seed, 'few retries', async () => {
        const program = drawProgram(seed)
        const retries = { limit: 1 + (seed % 2), delay: '1s' } as const
        const world = new World(seed, randomCrashes(30), codeOf(program, retries), { runResumes: 3 })
        sendAll(world, program)
        await world.live('night-1')
        const run = world.journal.run('night-1')
        const end = run.status === 'done' ? 'done' : (run.error?.code ?? run.error?.message ?? 'nothing')
        ends.set(end, (ends.get(end) ?? 0) + 1)
        expect(['done', 'STEP_CRASHED', 'RUN_CRASHED', 'not yet']).toContain(end)
        for (const step of run.steps ?? []) {
          expect(step.attempt).toBeLessThanOrEqual(3)
          expect(['done', 'failed']).toContain(step.status)
        }
        expect(world.faults).toEqual([])
      })
    }
    if (only === undefined) expect([...ends.keys()].toSorted()).toEqual(['RUN_CRASHED', 'STEP_CRASHED', 'done', 'not yet'])
  })
})

describe('an object that dies once, at every place there is', () => {
  test.each([3, 11, 42, 77, 104, 250])('program %i ends with the same result', { timeout: 600_000 }, async (seed) => {
    const program = drawProgram(seed)
    const calm = await live(seed, noCrash, program)
    const expected = calm.journal.result('night-1')
    let died = 0
    const places = [
      ...Array.from({ length: calm.turns + 1 }, (_, turn) => [crashAt({ turn, when: 'before' }), crashAt({ turn, when: 'after' })]).flat(),
      ...Array.from({ length: calm.store.statements }, (_, statement) => crashAt({ statement: statement + 1 })),
    ]
    for (const [place, plan] of places.entries()) {
      await inWorld(seed, `place ${place} of ${places.length}`, async () => {
        const world = await live(seed, plan, program)
        check(world, 'night-1', program, expected)
        died += world.crashes
      })
    }
    // The calm world's later statements are its checks': at least the turns and most statements must have been deaths.
    expect(died).toBeGreaterThan(calm.turns)
  })
})

test('the same seed is the same world', async () => {
  const program = drawProgram(5)
  const trace = async (): Promise<unknown> => {
    const world = await live(5, randomCrashes(12), program)
    const rows = world.store.sql<{ result: string | null; started_at: number }>('SELECT * FROM dotdo_steps ORDER BY run, ordinal')
    return {
      crashes: world.crashes,
      turns: world.turns,
      outside: [...world.outside],
      rows,
      first: rows[0]?.result?.[0] === 'j' ? decodeValue(rows[0].result) : undefined,
    }
  }
  expect(await trace()).toEqual(await trace())
})
