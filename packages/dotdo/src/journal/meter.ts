import { DotdoError } from '../base/errors.ts'
import { addSpent, overBudget, type Budget, type Price, type Spent } from '../base/price.ts'

/** What a step's row says of its price. */
export interface Priced {
  readonly stepId: string
  price: Spent | null
}

/**
 * Counts what one execution of a run uses, and says when that is over the run's budget.
 *
 * Owns what the run has used so far, over all executions that ended in an orderly way. Invariants: 1. What is used belongs to the step whose attempt uses
 * it, or else to the run itself. 2. Over budget is told once, and of the first name that is. 3. What an attempt has used that died with the object is lost:
 * it was in memory.
 */
export class Meter {
  /** What the run's own code has used, outside of steps. */
  readonly own: Spent
  /** There is something to write. */
  dirty = false
  readonly #budget: Budget | undefined
  readonly #all: Spent
  #isOver = false

  /** @param earlier what the steps have used before this execution; needed where there is a budget alone */
  constructor(budget: Budget | undefined, own: Spent, earlier: Spent = {}) {
    this.own = own
    this.#budget = budget
    this.#all = { ...earlier }
    addSpent(this.#all, own)
  }

  /** Adds to the price of a step, or of the run. Gives the error with which the run is to end, the first time that it is over its budget. */
  spend(runId: string, step: Priced | undefined, spent: Spent): DotdoError | undefined {
    if (step) addSpent((step.price ??= {}), spent)
    else {
      addSpent(this.own, spent)
      this.dirty = true
    }
    if (!this.#budget || this.#isOver) return undefined
    addSpent(this.#all, spent)
    const over = overBudget(this.#all, this.#budget)
    if (!over) return undefined
    this.#isOver = true
    return budgetExceeded(runId, step?.stepId, over)
  }
}

/** A run that has used more than its budget: `BUDGET_EXCEEDED`, terminal. */
export function budgetExceeded(
  runId: string,
  stepId: string | undefined,
  { name, limit, value }: { name: keyof Price | 'wallMs'; limit: number; value: number },
): DotdoError {
  const where = stepId === undefined ? 'outside of its steps' : `in step '${stepId}'`
  return new DotdoError(
    'BUDGET_EXCEEDED',
    `Run '${runId}' was stopped ${where}: its budget of ${name} is ${limit}, and it has used ${value}. What is done stays done; take it up with a higher one: retry({ budget: { ${name}: … } }).`,
    { data: { runId, ...(stepId !== undefined && { stepId }), name, limit, value } },
  )
}
