/** What the code that was deployed since makes of a run that is held. The journal makes it; the client, the command line and the page read it. */
import type { ForkDiff } from './fork-views.ts'

/** Plain data. Steps are named in the order in which they began, those of a run that a step began as `<step>/<step>`. */
export interface CodeChange {
  runId: string
  startedAt: number
  /** The versions of the code, where they are known: the one that began the run, and the one that runs now. */
  began?: string
  now?: string
  /** Steps that are done and stay so. */
  kept: string[]
  /** Steps that are new for certain: they stand before what is done, or the run of the former version that is compared has none of them. */
  added: string[]
  /** Steps that are done, and that the new code has gone past without coming to them. */
  removed: string[]
  /** Steps that are no more what was stored, and what differs of them. The run would fail there (`STEP_CHANGED`). */
  changed: { stepId: string; error: string }[]
  /** What it would do besides `added` from here on, as far as the dry run came. */
  next: string[]
  /** The newest run of the former version that has done the same, if there is one among the newest 50 of the object. */
  comparedWith?: string
  /** Steps that that one has done, and to which neither this run nor the dry run has come; only where the dry run came to its end. */
  missing: string[]
  /** What is left of the run, done dry: how it would end, and what its steps would write. */
  dryRun: ForkDiff
  /** All of it in words, for a terminal. */
  text: string
}
