/**
 * What a case of the conformance suite is made of. One suite runs in Node, in workerd and in a browser, so it brings its own few
 * assertions and asks nothing of a test runner.
 */
import { print } from './print.ts'

/** A stub of a far object. The types of stubs have tests of their own; here every name may be tried. */
export type Far = any

/**
 * What a case needs of its link beyond single turns of calls and answers.
 *
 * - `later`: a capability that one turn got is called in another
 * - `callbacks`: the far end calls a function or an object of the caller
 * - `streams`: streams and Blobs, in either direction
 * - `beside`: an answer comes while that of another call of its turn is not there
 * - `middle`: what stood in the middle of a chain is used in a later turn
 * - `answered`: a promise whose answer has come is an argument
 * - `remote`: a wire in between: in one heap capnweb takes some things as they are, and some in another order
 */
export type Need = 'later' | 'callbacks' | 'streams' | 'beside' | 'middle' | 'answered' | 'remote'

/** What a case works with. */
export interface Kit {
  /** What is known of the link. */
  traits: Traits
  /** The root stub of an object that nobody has used yet, over a link of its own. */
  open: () => Promise<Far>
  /** A reference to the same object that each turn asks for anew, as narrowed ones are; absent where the link has none. */
  anew?: (world: Far) => Far
  /** Lets everything that is on its way arrive. */
  settle: () => Promise<void>
}

/** How a link differs from the others by its nature. */
export interface Traits {
  /** What it lacks, and what its user sees instead: the code of the error, or words of its message. */
  lacks: Partial<Record<Need, RegExp>>
  /**
   * How values travel: copied in one heap by capnweb (`memory`), as structured clones (`clone`), or as JSON text (`json`, where -0 is 0).
   */
  wire: 'memory' | 'clone' | 'json'
  /** Whether this end is capnweb alone, which leaves the names of errors in the property that they travel by. */
  isBare?: boolean
}

/** One behaviour. */
export interface Case {
  group: string
  title: string
  needs: readonly Need[]
  run(kit: Kit): Promise<void>
}

/** Starts a group: the result adds cases to `into`. */
export function grouped(into: Case[], group: string) {
  return (title: string, ...rest: [run: Case['run']] | [needs: Need[], run: Case['run']]): void => {
    const [needs, run] = rest.length === 2 ? rest : [[], rest[0]]
    into.push({ group, title, needs, run })
  }
}

/**
 * Runs a case on a link. Where the link lacks what the case needs, the case either holds all the same or ends in the refusal that the link
 * promises: an error in the link's own words, and never in silence or with something else.
 * @throws what is not as it should be
 */
export async function runCase(it: Case, kit: Kit, withinMs = 20_000): Promise<void> {
  const lacking = it.needs.map((need) => kit.traits.lacks[need]).find((words) => words !== undefined)
  if (!lacking) return within(withinMs, it.run(kit))
  try {
    await within(withinMs, it.run(kit))
  } catch (error) {
    // A case may have looked for another refusal than the link's.
    const reason: unknown = error instanceof Mismatch && error.cause ? error.cause : error
    if (reason instanceof Mismatch) throw reason
    await refused(() => Promise.reject(reason as Error), lacking)
  }
}

/** Fails when `work` has not ended in time. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Mismatch(`still waiting after ${ms} ms`)), ms)
  return Promise.race([work, late.promise]).finally(() => clearTimeout(timer))
}

/** What an assertion throws: never what a link says, so that a refusal is not mistaken for it. */
export class Mismatch extends Error {
  override readonly name = 'Mismatch'
}

/** Deep equality by what can be seen of both: types, -0, holes, bytes and own properties of errors included. */
export function same(actual: unknown, expected: unknown, what = 'value'): void {
  const [left, right] = [print(actual), print(expected)]
  if (left !== right) throw new Mismatch(`${what}: got ${left}, and not ${right}`)
}

/** Fails unless `holds`. */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Mismatch(what)
}

/** Expects a call to be refused, at once or by its promise, with these words in code or message. Answers with the error. */
export async function refused(call: () => unknown, words: RegExp = /./): Promise<Error & { code?: string; data?: unknown }> {
  let answer: unknown
  try {
    answer = await call()
  } catch (error) {
    if (error instanceof Mismatch) throw error
    must(error instanceof Error, `refused with ${print(error)}, which is no error`)
    const told = `${(error as { code?: string }).code ?? ''} ${error.name}: ${error.message}`
    if (!words.test(told)) throw new Mismatch(`refused with "${told}", which is not ${words}`, { cause: error })
    return error
  }
  throw new Mismatch(`answered with ${print(answer)}, and should have been refused`)
}

/** Waits until `read` gives something true. */
export async function eventually(what: string, read: () => unknown, withinMs = 10_000): Promise<void> {
  const end = Date.now() + withinMs
  while (!(await read())) {
    if (Date.now() > end) throw new Mismatch(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
