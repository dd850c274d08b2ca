/** What a piece of user code that runs now may use without being handed it: the links of its object, and the progress of its step. */
import { waitUntil } from '#platform'
import type { Progress } from '../base/views.ts'
import { currentContext } from './context.ts'
import { ObjectHost } from './host.ts'
import { Links } from './nouns.ts'
import { linkPorts } from './platform.ts'

/** The links of the object whose code runs; outside of an object, links for this request. */
export function ambientLinks(): Links {
  const host = currentContext()?.host
  return host instanceof ObjectHost ? host.links : new Links(linkPorts('the Worker', waitUntil))
}

/** Tells the progress of the step that runs now; the result does so later too, from code that has lost the context. */
export function ambientProgress(): (progress: Progress) => void {
  const execution = currentContext()?.execution
  const stepId = execution?.stepId
  if (!execution || stepId === undefined) return () => {}
  return (progress) => execution.progress(stepId, progress)
}

/** A key for one effect of the step that runs now, the same on every attempt; `undefined` outside of a step. */
export function ambientKey(label: string): string | undefined {
  const execution = currentContext()?.execution
  return execution?.stepId === undefined ? undefined : execution.nextKey(label)
}
