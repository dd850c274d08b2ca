/**
 * What the calls of a step are told apart by: the same at every attempt of the step, whatever its calls give and however they travel.
 *
 * What a call is made on is named by how it came to be. A call of the same step has a name already, and what it gave is named by that; of what was there
 * before the step, the names of the calls that led to it stand, without their arguments: those are compared ({@link wayTo}), so that another way is
 * refused and is no other call. What differs at each attempt, such as the instant in a narrowing, is no part of either.
 */
import { encodeValue } from '../base/codec.ts'
import { codeOf } from '../base/errors.ts'
import { fingerprint } from '../base/fingerprint.ts'
import { frameworkPrefix } from './conversation.ts'
import { objectLabel, type CallName } from './origin.ts'
import { notPlain } from './plain.ts'
import type { Answer, CameBy, Start } from './ref.ts'
import { weigh } from './weight.ts'

/** What a call is made on: an answer or a start, and the properties from there. */
export interface Callee {
  answer: Answer | { link: Start }
  path: readonly string[]
}

/** What a call is made on, in words: `Shop/main`, `Shop/main.stock`, `Shop/main.cart#0`, `Shop/main.cart()`. */
export function calledOn({ answer, path }: Callee): string {
  return startOf(answer, calledOn) + dotted(path)
}

function dotted(path: readonly string[]): string {
  return path.map((name) => `.${name}`).join('')
}

function startOf(answer: Callee['answer'], before: (on: CameBy) => string): string {
  if ('link' in answer) {
    const { at, cameBy, steps } = answer.link
    const start = at ? objectLabel(at) : cameBy ? before(cameBy) : 'a reference'
    return start + steps.map(([name]) => `.${name.slice(frameworkPrefix.length)}()`).join('')
  }
  if (answer.named !== undefined) return answer.named
  const { made } = answer
  if (!made) return 'a result'
  return before(made.of) + ('narrow' in made ? '.narrow()' : made.args ? '()' : '')
}

/** The arguments of the calls that led to what a call is made on, as a text to compare. */
export function wayTo(on: Callee): string {
  return fingerprint(shownWay(on), 0)
}

function shownWay({ answer, path }: Callee): string {
  if ('link' in answer || !answer.made || 'narrow' in answer.made) return startOf(answer, shownWay) + dotted(path)
  const { of, args } = answer.made
  return shownWay(of) + (args ? shownArgs(args) : '') + dotted(path)
}

/** Characters of the arguments of one call that are looked at. */
const mostShown = 16 * 1024

function shownArgs(args: readonly unknown[] | typeof notPlain): string {
  if (args === notPlain || weigh(args, mostShown) > mostShown) return '(?)'
  try {
    return `(${encodeValue(args, 'arguments')})`
  } catch (error) {
    if (codeOf(error) !== 'NOT_STORABLE') throw error
    return '(?)'
  }
}

/** What is called on the answer of a call with this name is named by: `Shop/main.cart#0`. */
export function localName([key]: CallName): string {
  const at = key.indexOf(called)
  return at < 0 ? key : key.slice(at + called.length)
}

/** Stands in a key before the name of the call within its step. */
const called = '#call:'
