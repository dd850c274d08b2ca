import { stepChanged } from './failures.ts'
import { describeFingerprint } from '../base/fingerprint.ts'
import type { Step, StepKind } from './steps.ts'

/** What the code says of a step: what kind it is, and what it states of itself. */
export interface Stated {
  kind: StepKind
  version: string | null
  /** A fingerprint. */
  input: string | null
}

const kindNames: Record<NonNullable<StepKind> | 'step', string> = {
  step: 'a step with a function',
  sleep: 'a sleep',
  wait: 'a wait for an event',
  run: 'a run of its own',
  undo: 'an undo',
}

/**
 * Compares a stored step with what the code says of it now. What the code does not state is not compared: leaving a `version` out again is no change.
 * @throws `STEP_CHANGED`
 */
export function assertUnchanged(runId: string, stored: Pick<Step, 'stepId' | keyof Stated>, now: Stated): void {
  const changes: string[] = []
  if (stored.kind !== now.kind) changes.push(`it was ${kindNames[stored.kind ?? 'step']} and is ${kindNames[now.kind ?? 'step']} now`)
  if (now.version !== null && stored.version !== now.version)
    changes.push(`its version was ${stored.version === null ? 'not stated' : `'${stored.version}'`} and is '${now.version}' now`)
  if (now.input !== null && stored.input !== now.input) {
    const before = stored.input === null ? 'not stated' : describeFingerprint(stored.input)
    changes.push(`its input was ${before} and is ${describeFingerprint(now.input)} now`)
  }
  if (changes.length > 0) throw stepChanged(runId, stored.stepId, changes.join('; '))
}
