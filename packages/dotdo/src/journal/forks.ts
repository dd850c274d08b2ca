/**
 * Forks: runs that begin with what another run has come to, and go on from one of its steps as runs of their own.
 *
 * Invariants: 1. A fork takes over only what can change no more: its origin has ended. 2. What was taken over is neither copied nor owned: the origin, and
 * the runs that it began, are kept as long as its forks are (`pruner.ts`). 3. A fork never takes back what its origin has done.
 */
import { DotdoError } from '../base/errors.ts'
import type { Budget } from '../base/price.ts'
import { runNotResumable } from './failures.ts'
import type { DeployPolicy } from './ports.ts'
import { statusOf, type RunRow } from './runs.ts'
import { idempotencyKey } from './scope.ts'
import type { StepTable } from './steps.ts'

/** From where a run is forked, and how the fork is called. */
export interface ForkOptions {
  /** The first step that the fork does itself: what began before it and is done is taken over. Absent: all steps are done anew. */
  from?: string
  /** The fork's id, 1 to 512 characters; a new one where absent. */
  runId?: string
  /** An idempotency key: forking with it again gives the fork that there is. */
  key?: string
  /** Words to find it by, at most 20 of 1 to 128 characters. */
  tags?: readonly string[]
  /** The most that it may use, from its own beginning on; the run's where absent, and none where it is `{}`. What it takes over costs it nothing. */
  budget?: Budget
  /** Takes over what another version of the code has come to, where the runs' policy is `pin` or `ask`. */
  accept?: boolean
}

const optionNames = new Set(['from', 'runId', 'key', 'tags', 'budget', 'accept', 'dryRun'])

/** How many steps an error names. */
const stepsNamed = 20

/** What is taken over of a run: what began before a number, without those around the step that is done anew. */
export interface Taken {
  before: number
  around: readonly string[]
  /** What the ids of the run's own child runs begin with. */
  childPrefix: string
}

/**
 * Looks whether a run can be forked from a step.
 * @throws `INVALID_FORK`, `RUN_NOT_ENDED` (retryable), `RUN_NOT_RESUMABLE`, `STEP_UNKNOWN`
 */
export function planFork(origin: RunRow, options: ForkOptions, steps: StepTable): Taken {
  checkFork(options)
  const { run_id: runId } = origin
  const status = statusOf(origin)
  if (status === 'running' || status === 'held') throw notEnded(runId, status)
  if (origin.args[0] === 'u') throw runNotResumable(runId, origin.args.slice(1))
  const childPrefix = idempotencyKey(runId, '')
  if (options.from === undefined) return { before: 0, around: [], childPrefix }
  const step = steps.find(origin.seq, options.from)
  if (!step || step.kind === 'undo') throw stepUnknown(origin, options.from, steps)
  return { before: step.ordinal, around: steps.around(origin.seq, step.stepId), childPrefix }
}

/**
 * Refuses to mix what two versions of the code have come to, where the policy of the runs is to keep them apart.
 * @throws `RUN_VERSION_CHANGED`
 */
export function checkVersion(origin: RunRow, accept: boolean, codeVersion: string | undefined, policy: DeployPolicy): void {
  const { version, run_id: runId } = origin
  if (accept || policy === 'latest' || version === null || codeVersion === undefined || version === codeVersion) return
  throw new DotdoError(
    'RUN_VERSION_CHANGED',
    `Run '${runId}' ran with version '${version}' of the code, and version '${codeVersion}' runs now; the policy of its runs is '${policy}'. Fork it with { accept: true } (--accept) to go on from its results with the new code, look at what that would change with { dryRun: true } (--dry-run), or deploy version '${version}' again.`,
    { data: { runId, version, codeVersion, policy } },
  )
}

/** @throws `INVALID_FORK` */
function checkFork(options: unknown): void {
  const known = [...optionNames].join(', ')
  if (typeof options !== 'object' || options === null) throw invalidFork(`its options are ${typeof options}, not an object of ${known}`)
  const unknown = Object.keys(options).filter((name) => !optionNames.has(name))
  if (unknown.length > 0) throw invalidFork(`there is no option ${unknown.join(', ')}; there are ${known}`)
  const { from } = options as ForkOptions
  if (from !== undefined && typeof from !== 'string') throw invalidFork(`'from' is the id of a step, not ${typeof from}`)
}

function invalidFork(reason: string): DotdoError {
  return new DotdoError('INVALID_FORK', `A fork cannot be made so: ${reason}. Write run.fork({ from: 'load' }).`, { data: { reason } })
}

function notEnded(runId: string, status: string): DotdoError {
  return new DotdoError(
    'RUN_NOT_ENDED',
    `Run '${runId}' is ${status}, so what its steps come to is not known. Fork it when it has ended, or cancel it first.`,
    { data: { runId, status }, retryable: true },
  )
}

function stepUnknown(origin: RunRow, stepId: string, steps: StepTable): DotdoError {
  const known = steps.page(origin.seq, -1, stepsNamed).map((step) => step.stepId)
  const all = steps.count(origin.seq)
  return new DotdoError(
    'STEP_UNKNOWN',
    `Run '${origin.run_id}' has begun no step '${stepId}'. It has ${all === 0 ? 'none' : known.map((id) => `'${id}'`).join(', ')}${all > known.length ? `, … (${all} in all)` : ''}.`,
    { data: { runId: origin.run_id, stepId, steps: known } },
  )
}
