/** What a rehearsed fork tells. The journal makes these; the client and the command line read them. */
import type { LineageEdge } from './views.ts'

/** A write that an object would have made, which the rehearsed run has called. */
export interface ElsewhereWrite {
  object: string
  writer: string
  target: string
  rows: number
  sample: unknown[]
}

/** One step of a rehearsed fork. What is `added` the origin did not do, what is `removed` it did and the fork would not. */
export interface ForkedStep {
  /** Absent for the code between steps. A step of a run that a step began is `<step>/<step>`. */
  stepId?: string
  /** `gone`: the origin did it, and the fork does not come to it. */
  state: 'taken' | 'done' | 'failed' | 'gone'
  added: LineageEdge[]
  removed: LineageEdge[]
  /** The same capability with another input, or another number of times or rows. */
  changed: { before: LineageEdge; after: LineageEdge }[]
  /** How many uses of capabilities are as they were. */
  same: number
  /** What the objects that it called would have written, and did not. Not compared: they do not say what they wrote then. */
  elsewhere: ElsewhereWrite[]
  error?: string
}

/** What a fork would do, told without doing it. Plain data. */
export interface ForkDiff {
  /** The run that would be forked, and the first step that the fork would do. */
  forkedFrom: { runId: string; stepId?: string }
  /** `stopped`: it came to where it could not go on without doing something; the error says where. */
  outcome: 'done' | 'failed' | 'stopped'
  error?: string
  /** What it would give, and what the origin gave, cut. */
  result: { before?: string; after?: string }
  steps: ForkedStep[]
  /** Whether anything is added, removed or changed. */
  differs: boolean
  /** What the rehearsal did not cover, in words and by name. */
  warnings: string[]
  /** For a terminal. */
  text: string
}
