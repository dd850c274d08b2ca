/**
 * What the page knows of one object: its runs, the run that is looked at, and its schedules, kept up to date by events. Pure.
 *
 * Invariants: (1) what was read stands in the place of what was known, and events that came while the read was under way are applied to it
 * again, because the answer may be older than they are; (2) an event never takes a run or a step back: what has ended stays ended, and an
 * attempt is not followed by an earlier one; (3) runs are newest first, and each is there once; (4) a run whose start was told has its steps
 * from the events alone, until it is read: an object that is busy with it may answer late.
 */
import type { LiveEvent, RunView, ScheduleView, StepView } from 'dotdo/client'

/** How many runs one read asks for. */
export const pageSize = 50

/** How many of the newest runs keep steps that events told. */
const runsWithSteps = 5

/** Everything that the page keeps of one object. */
export interface ObjectState {
  /** Whether anything has been read yet. */
  loaded: boolean
  /** Newest first; without steps, but for runs whose start was told by an event. */
  runs: RunView[]
  /** Whether there may be runs older than the last one here. */
  hasOlder: boolean
  /** The run that is looked at, with its steps; `undefined` before it was read, and where none is looked at. */
  open: RunView | undefined
  schedules: ScheduleView[]
  /** How far the object's clock is ahead of this machine's; running times are told by the object's clock. */
  clockAheadMs: number
  /** Events since the read that is under way was sent; `undefined` while none is. */
  since: LiveEvent[] | undefined
}

/** What can happen to it. */
export type ObjectAction =
  /** A read was sent. */
  | { type: 'reading' }
  /** A read was answered. `open` is absent where no run is looked at, or where it is not there any more. */
  | { type: 'read'; runs: RunView[]; schedules: ScheduleView[]; open?: RunView | undefined }
  /** A page of runs older than the last one was read. */
  | { type: 'older'; runs: RunView[] }
  /** Another run is looked at, or none; its steps are read next. */
  | { type: 'look' }
  | { type: 'event'; event: LiveEvent; receivedAt: number }

/** An object of which nothing is known. */
export const emptyObject: ObjectState = {
  loaded: false,
  runs: [],
  hasOlder: false,
  open: undefined,
  schedules: [],
  clockAheadMs: 0,
  since: undefined,
}

/** The next state. */
export function reduceObject(state: ObjectState, action: ObjectAction): ObjectState {
  switch (action.type) {
    case 'reading':
      return { ...state, since: [] }
    case 'read': {
      const read: ObjectState = {
        ...state,
        ...withFirstPage(state, action.runs),
        loaded: true,
        open: action.open,
        schedules: action.schedules,
        since: undefined,
      }
      return (state.since ?? []).reduce(applyEvent, read)
    }
    case 'older':
      return {
        ...state,
        runs: sorted([...state.runs, ...action.runs.filter((run) => !state.runs.some(({ runId }) => runId === run.runId))]),
        hasOlder: action.runs.length >= pageSize,
      }
    case 'look':
      return { ...state, open: undefined }
    case 'event': {
      // The event that travelled fastest tells most about the clock.
      const ahead = action.event.at - action.receivedAt
      const clockAheadMs = state.clockAheadMs === 0 ? ahead : Math.max(state.clockAheadMs, ahead)
      return applyEvent({ ...state, clockAheadMs, ...(state.since && { since: [...state.since, action.event] }) }, action.event)
    }
  }
}

/** A read gives the newest page only; older runs that were loaded before stay below it. */
function withFirstPage(state: ObjectState, runs: RunView[]): Pick<ObjectState, 'runs' | 'hasOlder'> {
  const last = runs.at(-1)
  if (!last || runs.length < pageSize) return { runs: sorted(runs), hasOlder: false }
  const fresh = new Set(runs.map(({ runId }) => runId))
  const older = state.runs.filter((run) => run.startedAt < last.startedAt && !fresh.has(run.runId))
  return { runs: sorted([...runs, ...older]), hasOlder: older.length > 0 ? state.hasOlder : true }
}

function applyEvent(state: ObjectState, event: LiveEvent): ObjectState {
  switch (event.type) {
    case 'run.started':
    case 'run.resumed':
    case 'run.parked':
    case 'run.held':
    case 'run.undoing':
    case 'run.done':
    case 'run.failed':
    case 'run.cancelled': {
      const known = state.runs.find(({ runId }) => runId === event.run.runId)
      const runs = known
        ? state.runs.map((run) => (run === known ? mergeRun(run, withoutSteps(event.run)) : run))
        : sorted([event.type === 'run.started' ? { ...event.run, steps: [] } : withoutSteps(event.run), ...state.runs]).map((run, index) =>
            index < runsWithSteps ? run : withoutSteps(run),
          )
      const open = state.open?.runId === event.run.runId ? mergeRun(state.open, event.run) : state.open
      return { ...state, runs, open }
    }
    case 'step.started':
    case 'step.progress':
    case 'step.retrying':
    case 'step.done':
    case 'step.failed':
      return {
        ...state,
        runs: state.runs.map((run) => (run.runId === event.runId && run.steps ? { ...run, steps: withStep(run.steps, event.step) } : run)),
        open: state.open?.runId === event.runId ? { ...state.open, steps: withStep(state.open.steps ?? [], event.step) } : state.open,
      }
    case 'schedule.changed': {
      const known = state.schedules.some(({ scheduleId }) => scheduleId === event.schedule.scheduleId)
      const schedules = known
        ? state.schedules.map((schedule) => (schedule.scheduleId === event.schedule.scheduleId ? event.schedule : schedule))
        : [...state.schedules, event.schedule]
      return { ...state, schedules }
    }
    case 'event.sent':
    case 'event.delivered':
    case 'event.dead':
    case 'subscription.suspended':
      return state
  }
}

function withoutSteps(run: RunView): RunView {
  const { steps: _, ...rest } = run
  return rest
}

function mergeRun(known: RunView, run: RunView): RunView {
  // A run that was taken up again has another attempt, and one that is held has not ended.
  const ended = known.status !== 'running' && known.status !== 'held'
  const backwards = (ended && run.status === 'running' && run.attempt === known.attempt) || run.attempt < known.attempt
  if (backwards) return known
  const steps = run.steps ? run.steps.reduce(withStep, known.steps ?? []) : known.steps
  return { ...known, ...run, ...(steps && { steps }) }
}

function withStep(steps: StepView[], step: StepView): StepView[] {
  const known = steps.find(({ stepId }) => stepId === step.stepId)
  if (!known) return [...steps, step].sort((a, b) => a.startedAt - b.startedAt)
  if (age(step) < age(known)) return steps
  // What an event does not tell of the same attempt is still as it was; a new attempt starts its progress anew.
  const progress = step.progress ?? (step.attempt === known.attempt ? known.progress : undefined)
  return steps.map((other) => (other === known ? { ...step, ...(progress && { progress }) } : other))
}

/** Orders the states that a step goes through: attempt 1, waiting for attempt 2, attempt 2, its end. */
function age({ status, attempt }: StepView): number {
  if (status === 'done' || status === 'failed') return Infinity
  return status === 'waiting' ? attempt + 0.5 : attempt
}

function sorted(runs: RunView[]): RunView[] {
  return [...runs].sort((a, b) => b.startedAt - a.startedAt)
}
