/** A run that is rehearsed, as a fork or as it would go on after a deploy: the object's own code, with every capability that writes a recorder, and nothing of it stays. */
import type { ForkOptions } from '../journal/forks.ts'
import type { CodeChange } from '../base/code-change.ts'
import type { ForkDiff } from '../base/fork-views.ts'
import { changeOf } from '../journal/code-change.ts'
import { diffFork } from '../journal/fork-diff.ts'
import type { Execution } from '../journal/execution.ts'
import type { ForkOrigin } from '../journal/fork-origin.ts'
import { Rehearsal, type RehearsedStep } from '../journal/rehearsal.ts'
import type { RunTarget } from '../base/views.ts'
import type { IntendedWrite } from '../rpc/graph.ts'
import type { Origin } from '../rpc/origin.ts'
import { currentContext, inContext, type CallContext } from './context.ts'
import { recorderIn } from './dry-run.ts'
import { heldBack } from './held-back.ts'
import type { ObjectHost } from './host.ts'
import { Backfill, Schedule } from './schedules.ts'

/** What writers of the object itself note as its run's own do: these are compared, and the others only told. */
const compared = new Set<IntendedWrite['writer']>(['iceberg', 'event', 'fetch', 'run'])

/**
 * Executes a fork without leaving anything, and compares what it would have written with what its origin wrote.
 * @throws as {@link Journal.fork} does, but for `RUN_VERSION_CHANGED`: another version of the code is what one may want to compare
 */
export async function rehearseFork(host: ObjectHost, runId: string, options: ForkOptions): Promise<ForkDiff> {
  const origin = host.journal.rehearse(runId, options)
  return (await rehearse(host, origin, { runId, ...(options.from !== undefined && { stepId: options.from }) })).diff
}

/**
 * Executes what is left of a run that is held with the code that runs now, without leaving anything, and says what that does otherwise.
 * @throws `RUN_NOT_HELD`, `RUN_NOT_RESUMABLE`, `RUN_UNKNOWN`
 */
export async function whatChanged(host: ObjectHost, runId: string): Promise<CodeChange> {
  const { origin, held } = host.journal.rehearseHeld(runId)
  const { steps, diff } = await rehearse(host, origin, { runId })
  return changeOf(held, steps, diff)
}

/** Executes the code of an origin: its steps, and how they differ. */
async function rehearse(
  host: ObjectHost,
  origin: ForkOrigin,
  forkedFrom: ForkDiff['forkedFrom'],
): Promise<{ steps: RehearsedStep[]; diff: ForkDiff }> {
  const byStep = new Map<string, IntendedWrite[]>()
  const recordsOf = (stepId: string): IntendedWrite[] => {
    const records = byStep.get(stepId) ?? []
    byStep.set(stepId, records)
    return records
  }
  const within = <T>(target: RunTarget, args: unknown[], execution: Execution, work: () => T): T => {
    const from: Origin = { depth: 0, ...currentContext()?.origin, dryRun: true, records: recordsOf(execution.stepId ?? '') }
    const context: CallContext = { host, target, args, execution, origin: from }
    return inContext(context, () => heldBack(host.store, execution.stepId ?? host.label, recorderIn(context)!, work))
  }
  const execute = (target: RunTarget, args: unknown[], execution: Execution): unknown =>
    within(target, args, execution, () => host.targetOf(target, scratchOf(host.self))(...args))
  const rehearsal: Rehearsal = new Rehearsal({
    name: `dry run of ${forkedFrom.runId}`,
    taken: origin.taken,
    waited: origin.waited,
    enter: (execution, work) => within(origin.target, origin.args, execution, work),
    execute,
  })
  let outcome: { value: unknown } | { thrown: unknown }
  try {
    outcome = { value: await execute(origin.target, origin.args, rehearsal) }
  } catch (thrown) {
    outcome = { thrown }
  }
  await rehearsal.quiet()
  rehearsal.end()
  const isOther = (write: IntendedWrite): boolean => !write.made && !(write.object === host.label && compared.has(write.writer))
  const { steps } = rehearsal
  const diff = diffFork({
    forkedFrom,
    steps,
    did: rehearsal.notes,
    elsewhere: new Map([...byStep].map(([stepId, writes]) => [stepId, writes.filter(isOther)])),
    before: origin.before,
    outcome,
    beforeResult: origin.result,
    warnings: [...origin.warnings, ...warningsOf(host, origin.target, [...byStep.values()].flat())],
  })
  return { steps, diff }
}

/** What was not held back, by name. */
function warningsOf(host: ObjectHost, { kind }: RunTarget, writes: readonly IntendedWrite[]): string[] {
  const used = new Map<string, number>()
  for (const { object, target, made, rows } of writes)
    if (made) used.set(`${object} used ${target}`, (used.get(`${object} used ${target}`) ?? 0) + rows)
  // The handle of a schedule holds nothing that could be changed.
  const fields = Object.entries(host.self).flatMap(([name, value]) =>
    value instanceof Schedule || value instanceof Backfill ? [] : [name],
  )
  return [
    ...[...used].map(([use, times]) => `${use}${times > 1 ? ` ${times} times` : ''}: a bare binding, which is not held back`),
    ...(kind !== 'method' && fields.length > 0
      ? [`the handler of a ${kind} has the object's own fields (${fields.join(', ')}): what it changes of them stays changed`]
      : []),
  ]
}

/** The user's `this` with fields of its own. What cannot be copied (a capability, a writer) is the same. */
export function scratchOf(self: object): object {
  const scratch = Object.create(Object.getPrototypeOf(self) as object) as Record<string, unknown>
  for (const [name, value] of Object.entries(self)) scratch[name] = copied(value)
  return scratch
}

function copied(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  try {
    // Of an instance of a class the copy would have no methods.
    const prototype: unknown = Object.getPrototypeOf(value)
    const isData =
      prototype === Object.prototype || prototype === null || Array.isArray(value) || value instanceof Map || value instanceof Set
    return isData ? structuredClone(value) : value
  } catch (error) {
    if (error instanceof DOMException && error.name === 'DataCloneError') return value
    throw error
  }
}
