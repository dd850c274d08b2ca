import { decodeValue, encodeValue } from '../base/codec.ts'
import type { ErrorRecord } from '../base/errors.ts'
import type { Store } from '../base/ports.ts'
import type { Spent } from '../base/price.ts'
import type { Progress, StepStatus, StepView } from '../base/views.ts'
import type { ActiveRun } from './active-run.ts'
import { decodeAttempts, encodeAttempts, type AttemptHistory } from './attempts.ts'
import { encodeError } from './failures.ts'
import type { ReadAhead } from './read-ahead.ts'
import { readError } from './runs.ts'
import { shortRun } from './tables.ts'
import type { ValueStore } from './values.ts'

/** What a step is: `null` for one with a function. */
export type StepKind = 'sleep' | 'wait' | 'run' | 'undo' | null

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
  kind: StepKind
  /** What the code stated for it when it began. */
  version: string | null
  /** A fingerprint of the input that the code stated, or of what a wait is for. */
  input: string | null
  /** When a sleep ends, or a wait gives up. */
  dueAt: number | null
  /** The type of the event that it waits for, while it does. */
  waitsFor: string | null
  /** The id of the event that it took. */
  signal: string | null
  /** When the attempt that is under way, or was the last, began; `startedAt` for the first. */
  attemptAt: number
  attempts: AttemptHistory
  /** A column's text, see `Stored` in values.ts. */
  checkpoint: string | null
  checkpointValue: number | null
  /** What it has used, over all attempts; null for nothing. */
  price: Spent | null
  /** 0: nothing undoes it. n: it can be undone, for the nth time. -n: it was undone for the nth time. */
  undo: number
  /** The step that it was begun in. */
  within: string | null
  /** `seq` of the run that did it in the place of this one. */
  taken: number | null
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
  kind: StepKind
  version: string | null
  input: string | null
  due_at: number | null
  waits_for: string | null
  signal: string | null
  attempt_at: number | null
  attempts: string | null
  checkpoint: string | null
  checkpoint_value: number | null
  undo: number | null
  price: string | null
  within: string | null
  taken: number | null
}

/** What a replay needs of a step that is done. */
export type DoneStep = Pick<Step, 'stepId' | 'result' | 'kind' | 'version' | 'input' | 'undo'> & { status: 'done' }

/** Whether what was found of a step is all that a replay needs. */
export function isDone(found: DoneStep | Step): found is DoneStep {
  return found.status === 'done'
}

/** What a step that is done has come to. */
export type StepEnd = { endedAt: number } & Pick<Step, 'result' | 'valueId'>

// Each step runs one of these: their texts are made once.
const first = 'run, step_id, ordinal, attempt, started_at'
const insertFirst = `INSERT INTO dotdo_steps (${first}, status) VALUES (?, ?, ?, ?, ?, ?)`
const insertWhole = `INSERT INTO dotdo_steps (${first}, status, next_attempt_at, kind, version, input, due_at, waits_for, undo, within)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
const insertDone = `INSERT INTO dotdo_steps (${first}, status, within, ended_at, progress, result, value_id, price, lineage)
  VALUES (?, ?, ?, ?, ?, 'done', ?, ?, ?, ?, ?, ?, ?)`

/** Whether a step states nothing of itself beside its id. */
export function isPlain(step: Step): boolean {
  return step.kind === null && step.version === null && step.input === null && step.undo === 0
}

/** A step that has not begun. @param within the step that it is begun in */
export function newStep(
  run: number,
  stepId: string,
  ordinal: number,
  now: number,
  within: string | undefined,
  kind: StepKind = null,
): Step {
  return {
    run,
    stepId,
    ordinal,
    status: 'waiting',
    attempt: 0,
    startedAt: now,
    endedAt: null,
    nextAttemptAt: null,
    progress: null,
    result: null,
    valueId: null,
    error: null,
    kind,
    version: null,
    input: null,
    dueAt: null,
    waitsFor: null,
    signal: null,
    attemptAt: now,
    attempts: null,
    checkpoint: null,
    checkpointValue: null,
    price: null,
    undo: 0,
    within: within ?? null,
    taken: null,
  }
}

/** What the index of the steps of long runs is of: only a statement that says so is answered by it. */
const inOrder = `ordinal >= ${shortRun}`

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

  /**
   * What there is of a step: `done` with what a replay needs of it, or else the step itself. A replay looks up thousands that are done, and most of a row
   * is for those that are not.
   * @param ahead what was read of the run beyond what was asked for, and will be
   */
  look(run: number, stepId: string, ahead: ReadAhead): DoneStep | Step | undefined {
    const known = ahead.take(stepId)
    if (known) return known
    const rows = this.#store.sql<Pick<StepRow, 'step_id' | 'status' | 'result' | 'kind' | 'version' | 'input' | 'undo'>>(
      'SELECT step_id, status, result, kind, version, input, undo FROM dotdo_steps WHERE run = ? AND step_id >= ? ORDER BY step_id LIMIT (? + 0)',
      run,
      stepId,
      ahead.next(),
    )
    const row = rows[0]
    // SQLite gives other text for what is no Unicode, and finds it all the same: rows of earlier releases may have such ids.
    if (row?.step_id !== stepId) return stepId.isWellFormed() ? undefined : this.find(run, stepId)
    for (let i = 1; i < rows.length; i++) if (rows[i]!.status === 'done') ahead.put(toDone(rows[i]!))
    return row.status === 'done' ? toDone(row) : this.find(run, stepId)
  }

  /** Writes a plain step that was done in the turn in which it began, in one statement. @param lineage see {@link finish} */
  insertDone(step: Step, end: StepEnd, lineage: string | null): void {
    this.#store.sql(
      insertDone,
      step.run,
      step.stepId,
      step.ordinal,
      step.attempt,
      step.startedAt,
      step.within,
      end.endedAt,
      step.progress && encodeValue(step.progress, 'progress'),
      end.result,
      end.valueId,
      step.price && JSON.stringify(step.price),
      lineage,
    )
  }

  /** Writes a step's first row. Most state nothing beside their id, and pay for no more columns. */
  insert(step: Step): void {
    if (isPlain(step) && step.within === null) {
      this.#store.sql(insertFirst, step.run, step.stepId, step.ordinal, step.attempt, step.startedAt, step.status)
      return
    }
    this.#store.sql(
      insertWhole,
      step.run,
      step.stepId,
      step.ordinal,
      step.attempt,
      step.startedAt,
      step.status,
      step.nextAttemptAt,
      step.kind,
      step.version,
      step.input,
      step.dueAt,
      step.waitsFor,
      step.undo,
      step.within,
    )
  }

  /** Writes all that can change after the first start, in one statement. */
  update(step: Step): void {
    this.#store.sql(
      `UPDATE dotdo_steps SET status = ?, attempt = ?, ended_at = ?, next_attempt_at = ?, progress = ?, result = ?, value_id = ?, error = ?,
        waits_for = ?, signal = ?, attempt_at = ?, attempts = ?, undo = ?, price = ? WHERE run = ? AND step_id = ?`,
      step.status,
      step.attempt,
      step.endedAt,
      step.nextAttemptAt,
      step.progress && encodeValue(step.progress, 'progress'),
      step.result,
      step.valueId,
      step.error && encodeError(step.error),
      step.waitsFor,
      step.signal,
      step.attemptAt,
      encodeAttempts(step.attempts),
      step.undo,
      step.price && JSON.stringify(step.price),
      step.run,
      step.stepId,
    )
  }

  /**
   * Writes the end of a step that is done: the few columns that its last attempt has changed, in one statement.
   * @param lineage what it has noted, as `lineage.ts` writes it; null for nothing
   */
  finish(step: Step, end: StepEnd, lineage: string | null): void {
    this.#store.sql(
      `UPDATE dotdo_steps SET status = 'done', ended_at = ?, progress = ?, result = ?, value_id = ?, price = ?, lineage = ? WHERE run = ? AND step_id = ?`,
      end.endedAt,
      step.progress && encodeValue(step.progress, 'progress'),
      end.result,
      end.valueId,
      step.price && JSON.stringify(step.price),
      lineage,
      step.run,
      step.stepId,
    )
  }

  /** Writes what a step has used that ends in no other way. */
  putPrice({ run, stepId, price }: Pick<Step, 'run' | 'stepId' | 'price'>): void {
    this.#store.sql('UPDATE dotdo_steps SET price = ? WHERE run = ? AND step_id = ?', price && JSON.stringify(price), run, stepId)
  }

  /** What all steps of a run have used that have a price, in order of their first start. */
  prices(run: number): { stepId: string; startedAt: number; endedAt: number | null; spent: Spent }[] {
    return this.#store
      .sql<Pick<StepRow, 'step_id' | 'started_at' | 'ended_at'> & { price: string }>(
        'SELECT step_id, started_at, ended_at, price FROM dotdo_steps WHERE run = ? AND price IS NOT NULL ORDER BY ordinal',
        run,
      )
      .map((row) => ({ stepId: row.step_id, startedAt: row.started_at, endedAt: row.ended_at, spent: JSON.parse(row.price) as Spent }))
  }

  /** Writes where the attempt that is under way would go on from. */
  putCheckpoint(step: Step): void {
    this.#store.sql(
      'UPDATE dotdo_steps SET checkpoint = ?, checkpoint_value = ? WHERE run = ? AND step_id = ?',
      step.checkpoint,
      step.checkpointValue,
      step.run,
      step.stepId,
    )
  }

  /** Ends the steps that the end of their run leaves open. Parts of streams stay with their rows until the run is pruned. */
  closeOpen(run: number, error: ErrorRecord, now: number): void {
    this.#store.sql(
      `UPDATE dotdo_steps SET status = 'failed', error = ?, ended_at = ?, next_attempt_at = NULL, waits_for = NULL WHERE run = ? AND status IN ('running', 'waiting')`,
      encodeError(error),
      now,
      run,
    )
  }

  /**
   * Lets the steps that failed begin anew, with all of their attempts, and those that were undone; the others that are done stay done. A sleep goes on
   * until the instant that it had, and a wait until it would give up.
   */
  reopenFailed(run: number, now: number): void {
    this.#store.sql(
      `UPDATE dotdo_steps SET status = 'waiting', attempt = 0, error = NULL, ended_at = NULL, next_attempt_at = CASE WHEN kind IS NULL THEN ? ELSE due_at END
        WHERE run = ? AND (status = 'failed' OR undo < 0)`,
      now,
      run,
    )
    this.#store.sql(`UPDATE dotdo_steps SET undo = 1 - undo WHERE run = ? AND undo < 0`, run)
    const undos = this.#store.sql<{ value_id: number | null }>(
      `DELETE FROM dotdo_steps WHERE run = ? AND kind = 'undo' RETURNING value_id`,
      run,
    )
    for (const { value_id: valueId } of undos) if (valueId !== null) this.#values.remove(valueId)
  }

  /** The waits that are open for events of a type, over all runs, each run's in the order in which they began. */
  waitingFor(type: string): Step[] {
    return this.#store.sql<StepRow>('SELECT * FROM dotdo_steps WHERE waits_for = ? ORDER BY run, ordinal', type).map(toStep)
  }

  /** The steps that are done and would be undone, the one that began last first. */
  toUndo(run: number): Step[] {
    return this.#store
      .sql<StepRow>(`SELECT * FROM dotdo_steps WHERE run = ? AND undo > 0 AND status = 'done' ORDER BY ordinal DESC`, run)
      .map(toStep)
  }

  /** Whether any step of a run that is done would be undone. */
  anyToUndo(run: number): boolean {
    return this.#store.sql(`SELECT 1 FROM dotdo_steps WHERE run = ? AND undo > 0 AND status = 'done' LIMIT 1`, run).length > 0
  }

  /** Writes whether a step can be undone, or was. */
  putUndo(run: ActiveRun, stepId: string, undo: number): void {
    run.ahead.forget()
    run.write(() => this.#store.sql('UPDATE dotdo_steps SET undo = ? WHERE run = ? AND step_id = ?', undo, run.seq, stepId))
  }

  /** Whether a stored stream is the result of a step of this run, its own or one that was taken over. */
  hasStream(run: number, text: string): boolean {
    return this.#store.sql('SELECT 1 FROM dotdo_steps WHERE run = ? AND result = ? LIMIT 1', run, text).length > 0
  }

  /** The run that has done a step in the place of this one; `undefined` for one that is the run's own, or has not begun. */
  takenFrom(run: number, stepId: string): number | undefined {
    return (
      this.#store.sql<Pick<StepRow, 'taken'>>('SELECT taken FROM dotdo_steps WHERE run = ? AND step_id = ?', run, stepId)[0]?.taken ??
      undefined
    )
  }

  /** The steps that a step was begun in, the innermost first. Steps of earlier releases do not say so. */
  around(run: number, stepId: string): string[] {
    const around: string[] = []
    for (let step = this.find(run, stepId); step?.within != null; step = this.find(run, step.within)) around.push(step.within)
    return around
  }

  /**
   * Copies what a fork takes over of its origin: the steps that are done and began before number `before`, but those around it, which have to be done anew
   * for it to be reached, and those that were undone. Their values stay with the origin.
   * @param childPrefix what the ids of the origin's own child runs begin with
   */
  take(origin: number, run: number, before: number, around: readonly string[], childPrefix: string): void {
    this.#store.sql(
      `INSERT INTO dotdo_steps (run, step_id, ordinal, status, attempt, started_at, ended_at, progress, result, kind, version, input, due_at, signal, within, taken)
        SELECT ?, s.step_id, s.ordinal, 'done', s.attempt, s.started_at, s.ended_at, s.progress, COALESCE(s.result, child.result), s.kind, s.version, s.input,
          s.due_at, s.signal, s.within, COALESCE(s.taken, s.run)
        FROM dotdo_steps AS s LEFT JOIN dotdo_runs AS child ON s.kind = 'run' AND child.run_id = ? || s.step_id
        WHERE s.run = ? AND s.ordinal < ? AND s.status = 'done' AND COALESCE(s.undo, 0) >= 0 AND COALESCE(s.kind, '') <> 'undo'
          AND (COALESCE(s.kind, '') <> 'run' OR COALESCE(s.result, child.result) IS NOT NULL)
          AND s.step_id NOT IN (SELECT value FROM json_each(?))`,
      run,
      childPrefix,
      origin,
      before,
      JSON.stringify(around),
    )
  }

  /** The steps of a run that are runs themselves, or were taken over. */
  kindOrTaken(run: number): Pick<Step, 'stepId' | 'kind' | 'taken'>[] {
    return this.#store
      .sql<Pick<StepRow, 'step_id' | 'kind' | 'taken'>>(
        `SELECT step_id, kind, taken FROM dotdo_steps WHERE run = ? AND (kind = 'run' OR taken IS NOT NULL)`,
        run,
      )
      .map(({ step_id: stepId, kind, taken }) => ({ stepId, kind, taken }))
  }

  /** How many steps a run has begun. */
  count(run: number): number {
    const most = 'SELECT MAX(ordinal) + 1 AS n FROM dotdo_steps WHERE run = ?'
    // Of a short run this reads all rows, which are few.
    return Number(this.#store.sql(`${most} AND ${inOrder}`, run)[0]?.n ?? this.#store.sql(most, run)[0]?.n ?? 0)
  }

  /** In order of first start, from the step behind `afterOrdinal` on. The first page reads all rows of the run, the others only theirs. */
  page(run: number, afterOrdinal: number, limit: number): Step[] {
    const indexed = afterOrdinal + 1 >= shortRun ? `AND ${inOrder}` : ''
    const statement = `SELECT * FROM dotdo_steps WHERE run = ? AND ordinal > ? ${indexed} ORDER BY ordinal LIMIT (? + 0)`
    return this.#store.sql<StepRow>(statement, run, afterOrdinal, limit).map(toStep)
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
      ...(step.kind !== null && { kind: step.kind }),
      ...(step.waitsFor !== null && { waitsFor: step.waitsFor }),
      ...(step.attempts !== null && { attempts: step.attempts }),
      ...(step.checkpoint !== null && { checkpoint: this.#values.preview(step.checkpoint) }),
      ...(step.version !== null && { version: step.version }),
      ...(step.taken !== null && { taken: true as const }),
      ...(step.price !== null && { price: { ...step.price } }),
      ...(step.undo !== 0 && { undo: step.undo > 0 ? ('ready' as const) : ('undone' as const) }),
    }
  }
}

function toDone(row: Pick<StepRow, 'step_id' | 'result' | 'kind' | 'version' | 'input' | 'undo'>): DoneStep {
  return {
    status: 'done',
    stepId: row.step_id,
    result: row.result,
    kind: row.kind,
    version: row.version,
    input: row.input,
    undo: row.undo ?? 0,
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
    kind: row.kind,
    version: row.version,
    input: row.input,
    dueAt: row.due_at,
    waitsFor: row.waits_for,
    signal: row.signal,
    attemptAt: row.attempt_at ?? row.started_at,
    attempts: decodeAttempts(row.attempts),
    checkpoint: row.checkpoint,
    checkpointValue: row.checkpoint_value,
    undo: row.undo ?? 0,
    price: row.price === null ? null : (JSON.parse(row.price) as Spent),
    within: row.within,
    taken: row.taken,
  }
}
