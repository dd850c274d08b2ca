import type { Execution } from '../../src/journal/execution.ts'
import type { StepContext, StepOptions } from '../../src/journal/step-options.ts'
import { StoredStream } from '../../src/journal/stored-stream.ts'
import { SeededRandom } from '../support/fakes.ts'
import type { World } from './world.ts'

/** A pipeline drawn from a seed: steps in sequence and in parallel, of every kind, some nested, some failing at first. */
export type Program = { kind: 'all'; parts: Program[] } | { kind: 'each'; parts: Program[] } | StepProgram

export interface StepProgram {
  kind: 'step'
  id: string
  work: Work
  /** How often it reaches the outside. */
  effects: number
  /** How many of its first attempts fail. */
  failures: number
  timeout: boolean
  inner?: Program
}

const works = [
  'pure',
  'inside',
  'effect',
  'effect',
  'stream',
  'array',
  'checkpoint',
  'limited',
  'sleep',
  'wait',
  'give-up',
  'map',
  'nested',
  'child',
] as const

/** What a step of a program does; the last two have a program of their own in them. */
export type Work = (typeof works)[number]

/** How long a sleep of a program is. Milliseconds: some are short enough for a timer, most are not. */
export const sleepMs = (program: StepProgram): number => program.effects ** 4 * 1000

/** Draws a program of at most about `size` steps. */
export function drawProgram(seed: number, size = 6): Program {
  const random = new SeededRandom(seed ^ 0x5eed)
  let steps = 0
  const draw = (depth: number): Program => {
    if (depth > 0 && random.next() < 0.55) {
      return { kind: random.next() < 0.5 ? 'all' : 'each', parts: Array.from({ length: 1 + random.below(3) }, () => draw(depth - 1)) }
    }
    const work = works[random.below(depth > 0 && steps < size ? works.length : works.length - 2)] ?? 'pure'
    return {
      kind: 'step',
      id: `s${steps++}`,
      work,
      effects: 1 + random.below(3),
      failures: random.next() < 0.3 ? 1 + random.below(2) : 0,
      timeout: random.next() < 0.2,
      ...((work === 'nested' || work === 'child') && { inner: draw(depth - 1) }),
    }
  }
  return { kind: 'each', parts: Array.from({ length: 1 + random.below(3) }, () => draw(2)) }
}

/** All steps of a program's own run, the nested ones included; not those of its child runs. */
export function stepsOf(program: Program): StepProgram[] {
  if (program.kind !== 'step') return program.parts.flatMap(stepsOf)
  return [program, ...(program.inner && program.work === 'nested' ? stepsOf(program.inner) : [])]
}

/** The step of this id in a program, its child runs included. */
export function findStep(program: Program, id: string): StepProgram | undefined {
  if (program.kind !== 'step') return program.parts.map((part) => findStep(part, id)).find((it) => it !== undefined)
  return program.id === id ? program : program.inner && findStep(program.inner, id)
}

/** The ids that a step has in its run: a map has one for each item. */
export function idsOf(program: StepProgram): string[] {
  return program.work === 'map' ? Array.from({ length: program.effects + 2 }, (_, i) => `${program.id}-${i}`) : [program.id]
}

/** Does a program; its value tells of every step in it. */
export async function runProgram(world: World, program: Program, retries: NonNullable<StepOptions['retries']>): Promise<unknown> {
  if (program.kind === 'all') return Promise.all(program.parts.map((part) => runProgram(world, part, retries)))
  if (program.kind === 'each') {
    const values: unknown[] = []
    for (const part of program.parts) values.push(await runProgram(world, part, retries))
    return values
  }
  const execution = world.context.getStore()
  if (!execution) throw new Error('outside of a run')
  const rest = doRest(world, execution, program)
  if (rest) return rest
  if (program.work === 'map') return doMap(world, execution, program, retries)
  const value: unknown = await execution.step((context) => doWork(world, execution, program, context, retries), {
    stepId: program.id,
    retries,
    ...(program.timeout && { timeout: '1h' }),
    ...(program.work === 'limited' && {
      concurrency: { key: 'one', limit: 1 },
      rateLimit: { key: 'few', limit: 3, per: '10s' },
    }),
  })
  if (!(value instanceof StoredStream)) return value
  const rows: unknown[] = []
  for await (const batch of value) rows.push(batch)
  return rows.flat()
}

/** A step without a function, if the program is one. */
function doRest(world: World, run: Execution, program: StepProgram): Promise<unknown> | undefined {
  const stepId = program.id
  if (program.work === 'sleep') return run.sleep(sleepMs(program), { stepId }).then(() => `${stepId} slept`)
  if (program.work === 'wait')
    return run.waitFor<unknown>('Sim.came', { stepId, match: { to: stepId } }).then((event) => event?.payload ?? 'nothing')
  if (program.work === 'give-up') return run.waitFor('Sim.never', { stepId, timeout: sleepMs(program) })
  if (program.work === 'child') return run.callRun({ kind: 'method', name: `child ${stepId}` }, [stepId], { stepId })
  return undefined
}

function doMap(world: World, run: Execution, program: StepProgram, retries: NonNullable<StepOptions['retries']>): Promise<unknown> {
  const items = idsOf(program)
  return run.map(
    items,
    async (id, context) => {
      world.enters(run, context)
      const leave = world.enter(`${run.runId}/${program.id}`, 2)
      await world.effect(`${context.idempotencyKey}#0`)
      leave()
      if (context.attempt <= program.failures) throw new Error('not yet')
      return `${id} mapped`
    },
    { stepId: (id) => id, concurrency: 2, retries },
  )
}

function doWork(
  world: World,
  run: Execution,
  program: StepProgram,
  context: StepContext,
  retries: NonNullable<StepOptions['retries']>,
): unknown {
  world.enters(run, context)
  const { id, work, failures, effects } = program
  if (work === 'inside') {
    // The effect and the result are in one turn, so they are on disk together or not at all.
    if (context.attempt <= failures) throw new Error('not yet')
    world.count(context.idempotencyKey)
    return `${id} inside`
  }
  if (work === 'pure') {
    if (context.attempt <= failures) throw new Error('not yet')
    return `${id} pure`
  }
  const reach = async (from: number): Promise<void> => {
    for (let i = from; i < effects; i++) await world.effect(`${context.idempotencyKey}#${i}`)
    if (context.attempt <= failures) throw new Error('not yet')
  }
  if (work === 'stream') {
    return (async function* () {
      for (let i = 0; i < effects; i++) {
        await world.effect(`${context.idempotencyKey}#${i}`)
        yield Array.from({ length: 3 }, (_, row) => ({ id, row: i * 3 + row, text: 'x'.repeat(row === 0 && i === 0 ? 9000 : 3) }))
      }
      await reach(effects)
    })()
  }
  if (work === 'checkpoint') {
    return (async () => {
      const { checkpoint } = context
      for (let i = Number(checkpoint.value ?? 0); i < effects; i++) {
        await world.effect(`${context.idempotencyKey}#${i}`)
        checkpoint(i + 1)
      }
      await reach(effects)
      return `${id} ${String(checkpoint.value)}`
    })()
  }
  if (work === 'limited') {
    const leave = world.enter('one', 1)
    return reach(0)
      .finally(leave)
      .then(() => `${id} limited`)
  }
  if (work === 'array') return reach(0).then(() => Array.from({ length: 40 }, (_, row) => ({ id, row, text: 'y'.repeat(300) })))
  if (work === 'nested' && program.inner) {
    const { inner } = program
    return runProgram(world, inner, retries).then(async (value) => (await reach(0), { id, value }))
  }
  return reach(0).then(() => `${id} effect`)
}
