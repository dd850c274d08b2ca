/** Deaths that a test has planned: of the object that finishes a step. Looks at the rows of steps after each turn, before they are on disk. */
import type { Life } from './life.ts'

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
  times: number
}

/** The planned deaths; see the head of this file. */
export class CrashAfter {
  #plans: Plan[] = []
  /** Steps of that name that were done when an object was looked at last. */
  #done = new Map<string, number>()

  plan(stepId: string, { stored = true, times = 1 }: CrashOptions): void {
    this.#plans.push({ stepId, stored, times })
  }

  /** Whether a life dies now. `before`: with what it has written in this turn not on disk. */
  look(life: Life): 'before' | 'after' | undefined {
    if (this.#plans.length === 0) return undefined
    const { store, object } = life
    if (store.sql(`SELECT 1 FROM sqlite_master WHERE name = 'dotdo_steps'`).length === 0) return undefined
    for (const plan of this.#plans) {
      const done = Number(store.sql(`SELECT COUNT(*) AS n FROM dotdo_steps WHERE step_id = ? AND status = 'done'`, plan.stepId)[0]!['n'])
      const key = `${object.label} ${plan.stepId}`
      if (done <= (this.#done.get(key) ?? 0)) continue
      if (plan.stored) this.#done.set(key, done)
      if (--plan.times === 0) this.#plans.splice(this.#plans.indexOf(plan), 1)
      return plan.stored ? 'after' : 'before'
    }
    return undefined
  }
}
