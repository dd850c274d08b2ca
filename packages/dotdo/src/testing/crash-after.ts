/** Deaths that a test has planned: of the object that finishes a step. Looks at the rows of steps after each turn, before they are on disk. */
import { DotdoError } from '../base/errors.ts'
import type { Life } from './life.ts'
import type { SimulatedObject } from './simulated-object.ts'

/** How an object dies that has finished a step. */
export interface CrashOptions {
  /** Whether the step's result is on disk. `false`: what it did outside is done, and nobody remembers. Default `true`. */
  stored?: boolean
  /** How many times it dies of it. Default 1. */
  times?: number
}

interface Plan {
  stepId: string
  stored: boolean
  /** How often it is still to die of it. */
  times: number
}

/** How many ids of steps an error names. */
const stepsNamed = 20

/** The planned deaths; see the head of this file. */
export class CrashAfter {
  #plans: Plan[] = []
  /** Steps of that name that were done when an object was looked at last. */
  #done = new Map<string, number>()

  /** @param objects those that there are: what they have done before it is planned is no reason to die */
  plan(stepId: string, { stored = true, times = 1 }: CrashOptions, objects: Iterable<SimulatedObject>): void {
    this.#plans.push({ stepId, stored, times })
    for (const object of objects) this.#done.set(keyOf(object, stepId), doneIn(object, stepId))
  }

  /**
   * What was planned and has not come, as an error that says so: a misspelt id would else be a test that tests nothing.
   * @param done the ids of steps that were done, to find the right one among
   * @param objects how many objects of the app there are: where none lives, no step could be done
   */
  unmet(done: () => Iterable<string>, objects: number): DotdoError | undefined {
    if (this.#plans.length === 0) return undefined
    const unmet = this.#plans.map(({ stepId, times }) => `'${stepId}'${times > 1 ? ` (${times} times more)` : ''}`)
    const seen = [...new Set(done())]
    const named = seen.slice(0, stepsNamed).map((it) => `'${it}'`)
    const nobody = `No object lives in this test, so no schedule fires: call one, as await app.Nightly('main').run() does, name it in singletons, as serve({ singletons: { Nightly: ['main'] } }) does, or give testApp the class of a one-file app alone.`
    const found =
      seen.length > 0
        ? `Steps that were done: ${named.join(', ')}${seen.length > named.length ? ', …' : ''}.`
        : objects === 0
          ? nobody
          : 'No step was done at all.'
    return new DotdoError(
      'TEST_CRASH_UNMET',
      `No object died after ${unmet.join(', ')}, as crashAfter() has planned: no such step was done since, in the time that the test let pass. ${found}`,
      { data: { steps: this.#plans.map(({ stepId }) => stepId), done: seen.slice(0, stepsNamed) } },
    )
  }

  /** Whether a life dies now. `before`: with what it has written in this turn not on disk. */
  look(life: Life): 'before' | 'after' | undefined {
    if (this.#plans.length === 0) return undefined
    const { object } = life
    for (const plan of this.#plans) {
      const done = doneIn(object, plan.stepId)
      const key = keyOf(object, plan.stepId)
      const before = this.#done.get(key) ?? 0
      // One that is done anew, or is kept no more, counts from there.
      if (done < before) this.#done.set(key, done)
      if (done <= before) continue
      if (plan.stored) this.#done.set(key, done)
      if (--plan.times === 0) this.#plans.splice(this.#plans.indexOf(plan), 1)
      return plan.stored ? 'after' : 'before'
    }
    return undefined
  }
}

const keyOf = ({ label }: SimulatedObject, stepId: string): string => `${label} ${stepId}`

/** How many steps of that name an object has done itself: what a fork has taken over, another run has. */
function doneIn({ store }: SimulatedObject, stepId: string): number {
  if (store.sql(`SELECT 1 FROM sqlite_master WHERE name = 'dotdo_steps'`).length === 0) return 0
  return Number(store.sql(`SELECT COUNT(*) AS n FROM dotdo_steps WHERE step_id = ? AND status = 'done' AND taken IS NULL`, stepId)[0]!['n'])
}
