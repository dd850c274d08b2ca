/**
 * Who is calling: the async context of a piece of user code. Every incoming call, firing, event and step enters its own context here, or
 * none: it never inherits one by accident (a session that one run opened must not carry it into another's callbacks).
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { RunTarget } from '../base/views.ts'
import type { Caller, Origin } from '../rpc/origin.ts'
import { bulkBytes } from '../rpc/plain.ts'
import type { StepCall } from '../rpc/step-calls.ts'
import type { AdoptedExecution, Execution } from '../journal/execution.ts'
import type { LineageNote } from '../journal/lineage.ts'
import { Rehearsal } from '../journal/rehearsal.ts'

/** One call of user code in one object. */
export interface CallContext {
  /** The object whose code runs. Told apart by identity: a context of another object in the same isolate is none. */
  readonly host: object
  readonly target: RunTarget
  readonly args: unknown[]
  /** Who called, where it was a call over a link. */
  readonly origin?: Origin
  /** Under which key a run begins that the code's first step begins. */
  readonly key?: string
  /** The run, or the scope of the step, that the code is in. Absent until a call from outside begins its first step. */
  execution?: Execution | undefined
  /** The name of the call, where a step of another object's run makes it: its run has it as its key. */
  readonly once?: StepCall
  /** It is a call of a capability of the object, in which calls of the object's own methods by that capability are no calls of their own. */
  readonly isOfCapability?: true
  /** The run that the call has become. */
  adopted?: AdoptedExecution
  /** The end of the run that the call became is being waited for. */
  isSettling?: boolean
  /** What the call returned, where that is a promise: how the run ends that a step of it begins. */
  outcome?: PromiseLike<unknown>
  /** The same as links see it, once something was called in it. */
  calling?: Caller
}

const storage = new AsyncLocalStorage<CallContext | undefined>()

/** The context of the code that runs now. */
export const currentContext = (): CallContext | undefined => storage.getStore()

/** Notes what code in a context did, in its run if it is in one. What a dry run does, nobody did; a rehearsal notes what it would. */
export const noteIn = (context: CallContext | undefined, note: LineageNote): void => {
  if (!context?.origin?.dryRun || context.execution instanceof Rehearsal) context?.execution?.note(note)
}

/** Runs `work` in a context. Returns what `work` returns, as it is. */
export const inContext = <T>(context: CallContext, work: () => T): T => storage.run(context, work)

/** Runs `work` in no context. */
export const detached = <T>(work: () => T): T => storage.run(undefined, work)

/** A context while its call is made. */
export type OpenContext = { -readonly [K in keyof CallContext]: CallContext[K] }

/** In the place of arguments that a context no longer has. */
const letGo: unknown[] = []

/** Whether the arguments of a context's call are gone: see {@link letGoOfBulk}. */
export const isLetGo = ({ args }: CallContext): boolean => args === letGo

const hasBulk = (value: unknown): boolean => ArrayBuffer.isView(value) && value.byteLength >= bulkBytes

/**
 * Has the context of a call keep no bulk once the call has ended. The platform holds on to what has run in a context until the whole heap is looked through
 * for what can go: megabytes of each call would stay for as long, in an isolate that may have 128.
 */
export function letGoOfBulk(context: OpenContext, result: unknown): void {
  const end = (value?: unknown) => {
    if (context.adopted || !(hasBulk(value) || context.args.some(hasBulk))) return
    context.args = letGo
    delete context.outcome
  }
  if (result instanceof Promise) result.then(end, () => end())
  else end(result)
}
