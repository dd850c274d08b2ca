/** Runs as capabilities: what starts one gives a handle, which can be passed on, narrowed and called from anywhere. */
import { RpcTarget } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import type { Budget, RunPrice } from '../base/price.ts'
import type { LiveEventBody, RunView, StepView } from '../base/views.ts'
import type { CodeChange } from '../base/code-change.ts'
import type { ForkDiff } from '../base/fork-views.ts'
import type { ForkOptions } from '../journal/forks.ts'
import type { Lineage } from '../base/lineage-views.ts'
import { methodUnknown } from '../rpc/reach.ts'
import { currentContext, noteIn } from './context.ts'
import { dryRunIn, notInDryRun } from './dry-run.ts'
import type { ObjectHost } from './host.ts'
import { lineageIn, lineageOfRun } from './lineage-walk.ts'
import { rehearseFork, whatChanged } from './rehearse.ts'

/** What {@link Runs.start} may be told. */
export interface StartOptions {
  /** An idempotency key: starting with it again gives the run that there is, as long as that is kept. 1 to 512 characters. */
  key?: string
  /** The run's id, 1 to 512 characters. Default: a new one. Starting an id again gives the run that there is. */
  runId?: string
  /** Words to find it by: at most 20 of 1 to 128 characters. */
  tags?: readonly string[]
  /** The most that it may use, by name: `{ requests: 100, rowsWritten: 10_000 }`. A run that passes it ends with `BUDGET_EXCEEDED`. */
  budget?: Budget
}

/** The runs of this object, as its own code sees them: `this.runs`. */
export interface Runs {
  /**
   * Starts a public method of this object as a run, stored with what this turn writes, and gives its handle at once. Inside a run it is keyed by run and
   * ordinal, so that a replay starts nothing twice.
   * @throws `METHOD_UNKNOWN`, `INVALID_RUN_OPTIONS`, `NOT_STORABLE`, `RESULT_TOO_LARGE`, `INVALID_RUN_ID`, `INVALID_RUN_TAGS`, `INVALID_BUDGET`;
   *   `OVERLOADED` (retryable) while too many runs wait
   */
  start(method: string, args?: readonly unknown[], options?: StartOptions): RunHandle
  /**
   * Does a public method of this object as a run of its own, within this one: once, as a step is, and its result is the step's. It is cancelled with this
   * run, and taken up again with it.
   * @throws its error; `METHOD_UNKNOWN`, and what a step throws
   */
  call<T = unknown>(method: string, args: readonly unknown[], options: { stepId: string }): Promise<T>
  /** The handle of a run. @throws `RUN_UNKNOWN` */
  get(runId: string): RunHandle
  /** Forks a run: see {@link RunHandle.fork}. @throws `RUN_UNKNOWN`, and as that does */
  fork(runId: string, options: ForkOptions & { dryRun: true }): Promise<ForkDiff>
  fork(runId: string, options?: ForkOptions & { dryRun?: false }): RunHandle
  /** Runs without their steps, newest first: 50 of them, at most 500. */
  list(options?: { limit?: number; before?: string; tag?: string }): RunView[]
}

/** What a live look at a run tells: where it stands, and what happens to its steps. */
export type RunEvent = { run: RunView } | { runId: string; step: StepView }

/** One run, as a capability. Its methods answer with plain data; `narrow(handle, { only: ['retry'] })` makes one that can do less. */
export class RunHandle extends RpcTarget {
  readonly #host: ObjectHost
  readonly #runId: string

  constructor(host: ObjectHost, runId: string) {
    super()
    this.#host = host
    this.#runId = runId
  }

  get runId(): string {
    return this.#runId
  }

  /** Where it stands, without its steps. */
  status(): RunView {
    return this.#host.journal.status(this.#runId)
  }

  /** What it gives, when it has ended. @throws its error; `RUN_HELD` (retryable), `RUN_CANCELLED`, `RESULT_NOT_STORED` */
  result(): Promise<unknown> {
    return this.#host.journal.launch(this.#runId)
  }

  /** What it has used so far, by step and in sum. */
  price(): RunPrice {
    return this.#host.journal.price(this.#runId)
  }

  /** Its steps in order of their first start: 2,000 from number `from` on. */
  steps(page: { from?: number; limit?: number } = {}): StepView[] {
    return this.#host.journal.steps(this.#runId, page)
  }

  /**
   * What happens to it from now on: first where it stands, with its steps, then each change, until it has ended or is held. Best effort: a reader that is
   * slow misses some of what lies between, and never the end.
   */
  progress(): ReadableStream<RunEvent> {
    return this.#host.runEvents.watch(this.#runId)
  }

  /**
   * Starts a run that begins with this one's results and does the steps from `from` on itself: of what began before, nothing that is done is done again. It is
   * a run of its own, linked by `forkedFrom`, with its own idempotency keys and calls.
   *
   * With `dryRun: true` nothing is done: every capability that writes is a recorder, and what the fork would write is compared with what this run wrote.
   * @throws `RUN_NOT_ENDED` (retryable), `STEP_UNKNOWN`, `RUN_VERSION_CHANGED`, `RUN_NOT_RESUMABLE`, `INVALID_FORK`, `INVALID_BUDGET`, `RUN_UNKNOWN`
   */
  fork(options: ForkOptions & { dryRun: true }): Promise<ForkDiff>
  fork(options?: ForkOptions & { dryRun?: false }): RunHandle
  fork(options: ForkOptions & { dryRun?: boolean } = {}): RunHandle | Promise<ForkDiff> {
    return forkOf(this.#host, this.#runId, options)
  }

  /**
   * What {@link RunHandle.fork} with `dryRun: true` does, under a name of its own: the type of a stub has one signature a method.
   * @throws as that does
   */
  rehearse(options: Pick<ForkOptions, 'from'> = {}): Promise<ForkDiff> {
    return rehearseFork(this.#host, this.#runId, options ?? {})
  }

  /** What it and its steps called, read and wrote, and the runs that led to it: as data, as a graph, as OpenLineage events. */
  lineage(): Promise<Lineage> {
    return lineageOfRun(this.#host.links, lineageIn(this.#host, this.#runId))
  }

  /**
   * Ends it: what waits is aborted, no later step begins, and what can be undone is. Gives where it stands then.
   * @param options `undo: false`: nothing is undone, or nothing more, as where an undo never ends. Where anything was to be, it ends with `UNDO_FAILED`, which names that
   */
  cancel(options: { undo?: boolean } = {}): RunView {
    notInDryRun('cancel() of a run')
    this.#host.journal.cancel(this.#runId, { undo: options?.undo !== false })
    this.#host.wake.changed()
    return this.status()
  }

  /**
   * Takes it up again where it failed or was cancelled: steps that are done stay done. Gives where it stands then; `result()` waits for the end.
   * @param options `budget`: in the place of the one that it had; what it has used so far counts
   * @throws `INVALID_BUDGET`
   */
  retry(options: { budget?: Budget } = {}): RunView {
    notInDryRun('retry() of a run')
    this.#host.takeUp(this.#runId, options ?? {})
    return this.status()
  }

  /**
   * Where a deploy's policy has held it: what the code that runs now changes for it, in words and by step. What is left of it is done dry, as by
   * {@link RunHandle.rehearse}, and compared with what it has done, and with the newest run of the former version that has done the same.
   * @throws `RUN_NOT_HELD`, `RUN_NOT_RESUMABLE`, `RUN_UNKNOWN`
   */
  whatChanged(): Promise<CodeChange> {
    return whatChanged(this.#host, this.#runId)
  }

  /** Lets it go on with the code that runs now, where a deploy's policy has held it. Gives where it stands then. */
  accept(): RunView {
    notInDryRun('accept() of a run')
    this.#host.takeUp(this.#runId, 'accept')
    return this.status()
  }
}

/** Forks a run of an object, and lets the fork begin. Inside a run it is keyed by run and ordinal, so that a replay forks once. */
function forkOf(host: ObjectHost, runId: string, options: ForkOptions & { dryRun?: boolean }): RunHandle | Promise<ForkDiff> {
  const { dryRun = false, ...given } = options ?? {}
  if (dryRun) return rehearseFork(host, runId, given)
  notInDryRun('fork() of a run')
  const context = currentContext()
  const execution = context?.host === host ? context.execution : undefined
  const key = given.key ?? (given.runId === undefined ? execution?.nextKey('fork') : undefined)
  const fork = host.journal.fork(runId, key === undefined ? given : { ...given, key })
  host.launchSoon(fork.runId)
  return new RunHandle(host, fork.runId)
}

/** Makes `this.runs` of one object. */
export function runsOf(host: ObjectHost): Runs {
  const targetOf = (method: string): { kind: 'method'; name: string } => {
    if (!host.shape.names.methods.includes(method)) throw methodUnknown(host.noun, method, host.shape.names)
    return { kind: 'method', name: method }
  }
  return {
    start(method, args = [], options) {
      const { runId, key, tags, budget } = checkStart(method, args, options)
      const context = currentContext()
      const execution = context?.host === host ? context.execution : undefined
      const given = key ?? (runId === undefined ? execution?.nextKey('start') : undefined)
      const target = targetOf(method)
      const record = dryRunIn(host)
      if (record) {
        noteIn(context, { kind: 'run', target: method, input: args })
        record({ writer: 'run', target: method, rows: 1, sample: [...args] })
        return new RunHandle(host, `dry-run-${crypto.randomUUID()}`)
      }
      const run = host.journal.start({
        target,
        args: [...args],
        mayBeRefused: true,
        ...(runId !== undefined && { runId }),
        ...(given !== undefined && { key: given }),
        ...(tags && { tags }),
        ...(budget && { budget }),
      })
      noteIn(context, { kind: 'run', target: method, input: args })
      host.launchSoon(run.runId)
      return new RunHandle(host, run.runId)
    },
    // What the method's own caller would get: its type is the caller's word.
    call: <T>(method: string, args: readonly unknown[], options: { stepId: string }) =>
      host.inRun((execution) => execution.callRun(targetOf(method), [...args], options)) as Promise<T>,
    get(runId) {
      host.journal.status(runId)
      return new RunHandle(host, runId)
    },
    fork: ((runId: string, options?: ForkOptions) => forkOf(host, runId, options ?? {})) as Runs['fork'],
    list: (options) => host.journal.runs(options),
  }
}

const startNames: ReadonlySet<string> = new Set(['runId', 'key', 'tags', 'budget'])

/** @throws `INVALID_RUN_OPTIONS` for options that there are not, one that is misspelt would start twice what should be started once; and for no list */
function checkStart(method: string, args: unknown, options: unknown = {}): StartOptions {
  const isObject = typeof options === 'object' && options !== null
  const strange = isObject ? Object.keys(options).find((name) => !startNames.has(name)) : undefined
  if (Array.isArray(args) && isObject && strange === undefined) return options
  const wrong = !Array.isArray(args)
    ? 'takes its arguments as a list'
    : isObject
      ? `has no option ${JSON.stringify(strange)}`
      : 'takes its options as an object'
  throw new DotdoError(
    'INVALID_RUN_OPTIONS',
    `The start of a run of ${method}() ${wrong}. Write this.runs.start('${method}', [first, second], { key }); there are the options ${[...startNames].join(', ')}.`,
    { data: { method, ...(strange !== undefined && { option: strange }) } },
  )
}

/** How many events wait for a reader before those that are not the end are left out. */
const waitingEvents = 256

const ends = new Set(['run.done', 'run.failed', 'run.cancelled', 'run.held'])

/** Who looks at runs of one object, live. It is memory: a look ends with the instance. */
export class RunEvents {
  readonly #host: ObjectHost
  readonly #watchers = new Map<string, Set<(event: LiveEventBody) => void>>()

  constructor(host: ObjectHost) {
    this.#host = host
  }

  /** Whether anybody looks. */
  get isWanted(): boolean {
    return this.#watchers.size > 0
  }

  /** Passes on what happened, to those who look at its run. */
  tell(event: LiveEventBody): void {
    if (this.#watchers.size === 0) return
    const runId = 'run' in event ? event.run.runId : 'runId' in event ? event.runId : undefined
    if (runId !== undefined) for (const watcher of this.#watchers.get(runId) ?? []) watcher(event)
  }

  /** See {@link RunHandle.progress}. @throws `RUN_UNKNOWN` */
  watch(runId: string): ReadableStream<RunEvent> {
    const first = this.#host.journal.run(runId)
    let forget = (): void => {}
    return new ReadableStream<RunEvent>(
      {
        start: (controller) => {
          controller.enqueue({ run: first })
          if (first.status !== 'running') return controller.close()
          forget = this.#watch(runId, (event) => {
            const isEnd = ends.has(event.type)
            if (!isEnd && (controller.desiredSize ?? 0) <= 0) return
            if ('run' in event) controller.enqueue({ run: event.run })
            else if ('step' in event) controller.enqueue({ runId, step: event.step })
            if (!isEnd) return
            forget()
            controller.close()
          })
        },
        cancel: () => forget(),
      },
      new CountQueuingStrategy({ highWaterMark: waitingEvents }),
    )
  }

  #watch(runId: string, watcher: (event: LiveEventBody) => void): () => void {
    const watchers = this.#watchers.get(runId) ?? new Set()
    this.#watchers.set(runId, watchers.add(watcher))
    return () => {
      watchers.delete(watcher)
      if (watchers.size === 0) this.#watchers.delete(runId)
    }
  }
}
