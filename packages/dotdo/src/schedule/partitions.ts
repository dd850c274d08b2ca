import type { PartitionState, PartitionView } from '../base/views.ts'
import type { Span } from './partition-table.ts'
import type { Instants } from './recurrence.ts'

/** The span of data that one instant of a schedule answers for: from the instant before, inclusive, to it, exclusive. Epoch ms. */
export interface Window {
  start: number
  end: number
}

/**
 * The windows of a recurrence that end after `after` and not after `to`, oldest first, worked out one by one as they are asked for. Windows
 * follow each other without gap or overlap; the first instant of a recurrence that has a first ends none.
 */
export function* windowsOf(instants: Instants, after: number, to: number): Generator<Window> {
  let end = instants.next(after)
  let start = end === null ? null : instants.previous(end - 1)
  while (end !== null && end <= to) {
    if (start !== null) yield { start, end }
    start = end
    end = instants.next(end)
  }
}

/**
 * Where windows stand, by the stretches that overlap them; both in order. A window is as bad as its worst part, in the order running, failed,
 * missing, stale, done: it is done when all of it is. That holds too where the recurrence has changed, and windows and stretches do not match.
 */
export function viewsOf(windows: readonly Window[], spans: readonly Span[]): PartitionView[] {
  let first = 0
  return windows.map((window) => {
    while (first < spans.length && spans[first]!.end <= window.start) first++
    const parts: { state: PartitionState; runId: string | null }[] = []
    let covered = window.start
    for (let at = first; at < spans.length && spans[at]!.start < window.end; at++) {
      const span = spans[at]!
      if (span.start > covered) parts.push({ state: 'missing', runId: null })
      parts.push(span)
      covered = span.end
    }
    if (covered < window.end) parts.push({ state: 'missing', runId: null })
    const worst = parts.reduce((worse, part) => (order.indexOf(part.state) < order.indexOf(worse.state) ? part : worse))
    return { ...window, state: worst.state, ...(worst.runId !== null && { runId: worst.runId }) }
  })
}

const order: readonly PartitionState[] = ['running', 'failed', 'missing', 'stale', 'done']
