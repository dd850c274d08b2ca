/**
 * The way from an object to a capability that was saved: the calls that led to it, as data, made again each time it is restored.
 *
 * The calls are therefore such that only look things up: what one of them does besides is done at each restore.
 */
import { RpcPromise } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { encodeValue } from '../base/codec.ts'
import { redactText } from '../base/redact.ts'
import type { ReadCaveats } from './caveats.ts'
import { leadsOn } from './members.ts'
import { isPublicName } from './reach.ts'

/** One step as a reference records it: a name, and the arguments where it was called. Names with a colon are the framework's. */
export type RecordedStep = readonly [name: string, args?: readonly unknown[]]

/** One step as it is stored. */
export type SavedStep =
  | { call: string; args: unknown[] }
  | { read: string }
  /** Narrowed here. `uses` counts at this place of the grant's list. */
  | { narrow: ReadCaveats; place: number }
  /** What another grant of the same object gives. Only ever the first step. */
  | { grant: string }

/** Steps of one path, and characters of its stored form, at most. */
export const maxSteps = 64
const maxPathLength = 65_536
const shownLength = 200

/** Stores steps. @throws `NOT_SAVABLE` for arguments that are no plain data, and for too many or too large ones */
export function encodePath(steps: readonly SavedStep[]): string {
  if (steps.length > maxSteps) throw notSavable(`${steps.length} calls lead to it, and ${maxSteps} is the most`)
  let text: string
  try {
    text = encodeValue(steps, 'the way to a saved capability')
  } catch (cause) {
    throw notSavable('an argument of a call that leads to it is no plain data', cause)
  }
  if (text.length > maxPathLength)
    throw notSavable(`the arguments of the calls that lead to it have ${text.length} characters, and ${maxPathLength} is the most`)
  return text
}

/** A plain call or read of a path. @throws `NOT_SAVABLE` */
export function saveStep([name, args]: RecordedStep): SavedStep {
  if (typeof name !== 'string' || !isPublicName(name))
    throw notSavable(`${JSON.stringify(String(name).slice(0, 100))} on its way is no name that can be reached`)
  return args === undefined ? { read: name } : { call: name, args: [...args] }
}

/** Makes one step: what capnweb would give a peer, and no more. An answer that is still on its way to another object is not waited for. */
export async function follow(from: unknown, step: Extract<SavedStep, { call: string } | { read: string }>): Promise<{ value: unknown }> {
  const at = from as Record<string, unknown>
  const name = 'call' in step ? step.call : step.read
  const reachable = leadsOn(from, name)
  let value: unknown
  if ('read' in step) value = reachable ? at[name] : undefined
  else if (reachable && typeof at[name] === 'function') value = (at[name] as (...args: unknown[]) => unknown)(...step.args)
  else throw notSavable(`the object has nothing named ${JSON.stringify(name)} on its way any more`)
  // In a box, because a promise that is answered with a promise becomes what that one resolves to.
  return { value: value instanceof RpcPromise ? value : await value }
}

/** A path for people: `getThing(1).parts`, cut, without tokens. */
export function printPath(steps: readonly SavedStep[]): string {
  const text = steps
    .map((step) => {
      if ('grant' in step) return `restore(${step.grant})`
      if ('narrow' in step) return 'narrow(…)'
      return 'read' in step ? step.read : `${step.call}(${printArgs(step.args)})`
    })
    .join('.')
  const clean = redactText(text)
  return clean.length > shownLength ? `${clean.slice(0, shownLength - 1)}…` : clean
}

function printArgs(args: unknown[]): string {
  const text = encodeValue(args)
  // Anything but JSON is stored in a form that is not for people.
  return text[0] === 'j' ? text.slice(2, -1) : '…'
}

/** The error for what cannot be saved, or cannot be reached again. */
export function notSavable(reason: string, cause?: unknown): DotdoError {
  return new DotdoError(
    'NOT_SAVABLE',
    `This capability cannot be saved or restored: ${reason}. Save a reference to an object, or what is reached from one by calls with plain data: save(this.Stage('a').getThing(1)).`,
    { data: { reason }, cause },
  )
}
