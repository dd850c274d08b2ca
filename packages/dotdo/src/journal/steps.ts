import { decodeValue, encodeValue } from '../base/codec.ts'
import type { ErrorRecord } from '../base/errors.ts'
import type { Store } from '../base/ports.ts'
import type { Progress, StepStatus, StepView } from '../base/views.ts'
import { encodeError } from './failures.ts'
import { readError } from './runs.ts'
import type { ValueStore } from './values.ts'

/** A step of a run, in memory as in its row of `dotdo_steps`. */
export interface Step {
  /** `seq` of its run. */
  run: number
  stepId: string
  /** The place in the order of first starts, from 0. */
  ordinal: number
  status: StepStatus
  /** The number of the attempt that is under way or was the last. */
  attempt: number
  startedAt: number
  endedAt: number | null
  nextAttemptAt: number | null
  progress: Progress | null
  /** A column's text, see `Stored` in values.ts. */
  result: string | null
  /** Chunks that this row owns. Set before the first chunk of a stream, so those of an attempt that crashed are found. */
  valueId: number | null
  error: ErrorRecord | null
}

type StepRow = {
  run: number
  step_id: string
  ordinal: number
  status: StepStatus
  attempt: number
  started_at: number
  ended_at: number | null
  next_attempt_at: number | null
  progress: string | null
  result: string | null
  value_id: number | null
  error: string | null
}

/** Reads and writes `dotdo_steps`. */
export class StepTable {
  readonly #store: Store
  readonly #values: ValueStore

  constructor(store: Store, values: ValueStore) {
    this.#store = store
    this.#values = values
  }

  find(run: number, stepId: string): Step | undefined {
    const row = this.#store.sql<StepRow>('SELECT * FROM dotdo_steps WHERE run = ? AND step_id = ?', run, stepId)[0]
    return row && toStep(row)
  }

  insert(step: Step): void {
    this.#store.sql(
      'INSERT INTO dotdo_steps (run, step_id, ordinal, status, attempt, started_at) VALUES (?, ?, ?, ?, ?, ?)',
      step.run,
      step.stepId,
      step.ordinal,
      step.status,
      step.attempt,
      step.startedAt,
    )
  }

  /** Writes all that can change after the first start, in one statement. */
  update(step: Step): void {
    this.#store.sql(
      'UPDATE dotdo_steps SET status = ?, attempt = ?, ended_at = ?, next_attempt_at = ?, progress = ?, result = ?, value_id = ?, error = ? WHERE run = ? AND step_id = ?',
      step.status,
      step.attempt,
      step.endedAt,
      step.nextAttemptAt,
      step.progress && encodeValue(step.progress, 'progress'),
      step.result,
      step.valueId,
      step.error && encodeError(step.error),
      step.run,
      step.stepId,
    )
  }

  /** Ends the steps that the end of their run leaves open. Parts of streams stay with their rows until the run is pruned. */
  closeOpen(run: number, error: ErrorRecord, now: number): void {
    this.#store.sql(
      `UPDATE dotdo_steps SET status = 'failed', error = ?, ended_at = ?, next_attempt_at = NULL WHERE run = ? AND status IN ('running', 'waiting')`,
      encodeError(error),
      now,
      run,
    )
  }

  /** Lets the steps that failed begin anew, with all of their attempts; those that are done stay done. */
  reopenFailed(run: number, now: number): void {
    this.#store.sql(
      `UPDATE dotdo_steps SET status = 'waiting', attempt = 0, error = NULL, ended_at = NULL, next_attempt_at = ? WHERE run = ? AND status = 'failed'`,
      now,
      run,
    )
  }

  /** The reference to a stream, if a step of this run owns it. */
  ownedStream(run: number, valueId: number): string | undefined {
    return (
      this.#store.sql<{ result: string | null }>('SELECT result FROM dotdo_steps WHERE run = ? AND value_id = ?', run, valueId)[0]
        ?.result ?? undefined
    )
  }

  /** How many steps a run has begun. */
  count(run: number): number {
    return Number(this.#store.sql('SELECT COUNT(*) AS n FROM dotdo_steps WHERE run = ?', run)[0]?.n ?? 0)
  }

  /** In order of first start, from the step behind `afterOrdinal` on. */
  page(run: number, afterOrdinal: number, limit: number): Step[] {
    return this.#store
      .sql<StepRow>('SELECT * FROM dotdo_steps WHERE run = ? AND ordinal > ? ORDER BY ordinal LIMIT ?', run, afterOrdinal, limit)
      .map(toStep)
  }

  /** @param progress what is known in memory and not yet in the row */
  view(step: Step, progress: Progress | null = step.progress): StepView {
    return {
      stepId: step.stepId,
      status: step.status,
      attempt: step.attempt,
      startedAt: step.startedAt,
      ...(step.endedAt !== null && { endedAt: step.endedAt }),
      ...(step.nextAttemptAt !== null && { nextAttemptAt: step.nextAttemptAt }),
      ...(progress !== null && { progress }),
      ...(step.result !== null && { result: this.#values.preview(step.result) }),
      ...(step.error !== null && { error: step.error }),
    }
  }
}

function toStep(row: StepRow): Step {
  return {
    run: row.run,
    stepId: row.step_id,
    ordinal: row.ordinal,
    status: row.status,
    attempt: row.attempt,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    nextAttemptAt: row.next_attempt_at,
    // This room wrote it, and migrations guard its version.
    progress: row.progress === null ? null : (decodeValue(row.progress) as Progress),
    result: row.result,
    valueId: row.value_id,
    error: row.error === null ? null : readError(row.error),
  }
}
