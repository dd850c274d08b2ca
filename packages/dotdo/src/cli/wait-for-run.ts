/**
 * A run, looked at until it has ended: drawn anew in its place on a terminal, told line by line anywhere else.
 *
 * Owns the subscription and the timer of the drawing. Invariants: (1) an event never takes the run or a step back; (2) what is given back was
 * read when the run had ended, not put together from events; (3) an app that is gone ends the waiting, and not the run.
 */
import type { AnyApp, AppStub } from '../client/connect.ts'
import type { LiveEvent, RunView, StepView } from '../base/views.ts'
import type { ObjectName } from './arguments.ts'
import type { Context } from './command.ts'
import { lostReason, notReached } from './failure.ts'
import { entryLine, entryOf, type LogEntry } from './log-entries.ts'
import { inspect, nameOf } from './objects.ts'
import { runTree } from './run-view.ts'

/** How often times that go on are drawn anew. */
const drawMs = 200
/** An app that has not come back for so long is waited for no longer: a program that has called this command would hang. */
const mostLostMs = 300_000

/** Whether nothing more comes of a run by itself: it has ended, or is held until somebody decides. */
export function hasEnded({ status, endedAt }: RunView): boolean {
  return endedAt !== undefined || status === 'done' || status === 'failed' || status === 'cancelled' || status === 'held'
}

/**
 * Waits for the end of a run, and gives it as it is then.
 * @param begin gives the id of the run. Called when events follow: an object that is busy with a run takes new watchers late.
 * @throws `RUN_UNKNOWN`, what `begin` throws, what ends the watching, and `LINK_LOST` where the app was not there for five minutes
 */
export async function waitForRun(
  app: AppStub<AnyApp>,
  object: ObjectName,
  begin: () => Promise<string>,
  context: Context,
): Promise<RunView> {
  const { terminal, json } = context
  const name = nameOf(object)
  const ended = Promise.withResolvers<void>()
  const isDrawn = terminal.isLive && !json
  const watching = Promise.withResolvers<void>()
  // Where nobody waits for it yet, its failure is told later.
  for (const { promise } of [watching, ended]) promise.catch(() => {})
  let run: RunView | undefined
  let runId: string | undefined
  let isWatching = false
  let lostAt: number | undefined
  /** What came before the run had an id: little, since it is asked for at once. */
  const early: LiveEvent[] = []

  const draw = () => {
    if (!isDrawn || !run) return
    const lines = runTree({ object: name, run }, context.now(), terminal)
    // What has left the screen cannot be drawn anew: the end of it is what changes.
    terminal.draw(lines.slice(-Math.max(1, terminal.rows - 1)))
  }
  const read = async (id: string) => {
    run = await inspect(app, object, (inspector) => inspector.run(id))
    draw()
    if (hasEnded(run)) ended.resolve()
  }
  const take = (event: LiveEvent) => {
    if (runOf(event) !== runId) return
    if (!isDrawn && !json && event.type !== 'step.progress')
      terminal.note(entryLine(withoutRun(entryOf(name, event)), true, { ...terminal, paint: terminal.paintError }))
    if ('step' in event && run) run = withStep(run, event.step)
    draw()
    if ('run' in event && hasEnded(event.run)) ended.resolve()
  }
  const subscription = app.watch(object.noun, object.name, {
    refresh() {
      isWatching = true
      watching.resolve()
      if (runId !== undefined) read(runId).catch(ended.reject)
    },
    event: (event) => (runId === undefined ? void early.push(event) : take(event)),
    lost(reason, retryMs) {
      // What was never reached is not tried for ever.
      if (!isWatching) return watching.reject(notReached(reason))
      lostAt ??= context.now()
      if (context.now() - lostAt > mostLostMs) return ended.reject(notReached(reason))
      terminal.note(`The connection was lost (${lostReason(reason)}); tried again in ${Math.ceil(retryMs / 1000)} s.`)
    },
    resumed: () => void (lostAt = undefined),
    ended(error) {
      watching.reject(error)
      ended.reject(error)
    },
  })
  const timer = setInterval(draw, drawMs)
  const close = () => {
    clearInterval(timer)
    subscription.close()
    terminal.settle()
  }
  context.atEnd(close)
  try {
    await watching.promise
  } catch (error) {
    close()
    throw error
  }
  const id = await begin()
  runId = id
  for (const event of early.splice(0)) take(event)
  read(id).catch(ended.reject)
  await ended.promise
  run = await inspect(app, object, (inspector) => inspector.run(id))
  draw()
  close()
  return run
}

/** All lines are of the run that is waited for, and its id has been said. */
function withoutRun(entry: LogEntry): LogEntry {
  const shorter = { ...entry }
  delete shorter.runId
  return shorter
}

function runOf(event: LiveEvent): string | undefined {
  return 'run' in event ? event.run.runId : 'step' in event ? event.runId : undefined
}

/** The run with what is known of one step now. What has ended does not begin again without a new attempt. */
function withStep(run: RunView, step: StepView): RunView {
  const steps = run.steps ?? []
  const known = steps.find(({ stepId }) => stepId === step.stepId)
  if (!known) return { ...run, steps: [...steps, step] }
  if (known.endedAt !== undefined && step.endedAt === undefined && step.attempt <= known.attempt) return run
  return { ...run, steps: steps.map((it) => (it === known ? { ...known, ...step } : it)) }
}
