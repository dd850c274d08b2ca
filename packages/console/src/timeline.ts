/** The geometry of a run's picture: where each step's bar begins and ends, in hundredths of the whole width. Pure. */
import type { RunView, StepView } from 'dotdo/client'
import { formatRound } from 'dotdo/words'

/** A stretch of the time axis: both in hundredths of its width. */
export interface Stretch {
  left: number
  width: number
}

/** One step's row. */
export interface TimelineRow {
  step: StepView
  bar: Stretch
  /** From the end of a failed attempt to the next one, as far as it lies on the axis. */
  waiting?: Stretch
  /** How long the step has taken so far. */
  elapsedMs: number
}

/** An instant of the axis, in hundredths of its width, with its words. */
export interface Tick {
  left: number
  label: string
  /** Its words stand before it, in the place of around it: they would stick out. */
  isLast: boolean
  /** Its words would lie on others where the axis is narrow. */
  isCrowded: boolean
}

/** The whole picture: its length, its ticks and a row for each step. */
export interface Timeline {
  spanMs: number
  ticks: Tick[]
  rows: TimelineRow[]
}

/** Widths between two ticks that people can count in. */
const tickSteps = [
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  ...[1, 2, 5, 10, 15, 30].map((seconds) => seconds * 1000),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * 60_000),
  ...[1, 2, 4, 6, 12, 24, 48, 96, 168].map((hours) => hours * 3_600_000),
]
const mostTicks = 6

/**
 * Lays out a run at the instant `now`. A run that has ended fills the axis. The axis of one that is running ends at the next tick, so that it
 * grows in steps while its bars grow evenly.
 */
export function layOutTimeline(run: RunView, now: number): Timeline {
  const steps = run.steps ?? []
  const ended = run.endedAt ?? now
  // A clock that was set back must not put a bar left of the axis or make its width negative.
  const from = Math.min(run.startedAt, ...steps.map((step) => step.startedAt))
  const to = Math.max(ended, from + 1, ...steps.map((step) => step.endedAt ?? from))
  const tick = tickStep(to - from)
  const spanMs = run.endedAt === undefined ? Math.max(1, Math.ceil((to - from) / tick)) * tick : to - from
  const place = (start: number, end: number): Stretch => {
    const left = clamp(((start - from) / spanMs) * 100)
    return { left, width: clamp(((Math.max(start, end) - from) / spanMs) * 100) - left }
  }
  const ticks = spaced(
    Array.from({ length: Math.floor(spanMs / tick + 1e-9) + 1 }, (_, index) => ({
      left: clamp(((index * tick) / spanMs) * 100),
      label: index === 0 ? '0' : formatRound(index * tick),
    })),
  )
  const rows = steps.map((step): TimelineRow => {
    const until = step.endedAt ?? ended
    const waiting =
      step.status === 'waiting' && step.nextAttemptAt !== undefined && step.nextAttemptAt > until
        ? place(until, step.nextAttemptAt)
        : undefined
    return {
      step,
      bar: place(step.startedAt, until),
      ...(waiting && waiting.width > 0 && { waiting }),
      elapsedMs: Math.max(0, until - step.startedAt),
    }
  })
  return { spanMs, ticks, rows }
}

/** The distance of ticks for a span: the smallest that needs at most {@link mostTicks}. */
export function tickStep(spanMs: number): number {
  return tickSteps.find((step) => spanMs / step <= mostTicks) ?? Math.ceil(spanMs / mostTicks / 604_800_000) * 604_800_000
}

/** A letter of a narrow axis, and what is between two words on it, in hundredths of its width: of 320 pixels, as on a phone. */
const letter = 2.2
const gap = 2

/** Marks those whose words would lie on others on a narrow axis. The first and the last keep theirs: they say how long it is. */
function spaced(ticks: readonly { left: number; label: string }[]): Tick[] {
  // From the right to the left: where the words that were kept last begin.
  let begins = Infinity
  const placed = ticks.map((tick, index) => ({ ...tick, isLast: index > 0 && tick.left > 92, isCrowded: false }))
  for (const tick of placed.slice(1).toReversed()) {
    const { left, label, isLast } = tick
    const width = label.length * letter
    const right = isLast ? left : left + width / 2
    tick.isCrowded = right + gap > begins || right - width < letter + gap
    if (!tick.isCrowded) begins = right - width
  }
  return placed
}

const clamp = (value: number) => Math.min(100, Math.max(0, value))
