import type { StepResult } from './execution.ts'
import { checkStepId, checkWhole, invalid, type StepContext, type StepFunction, type StepOptions } from './step-options.ts'

/** How the steps of a map are named and bounded; beside these, what a step takes. */
export type MapOptions<Item, T = unknown> = Omit<StepOptions<T>, 'stepId' | 'concurrency'> & {
  /** The step of an item, by what tells the item from the others: its place in the list moves when the list does. */
  stepId: (item: Item, index: number) => string
  /** How many are under way at once, 1 to 1,000. Default 10. */
  concurrency?: number
}

const defaultConcurrency = 10
const maxConcurrency = 1000

/**
 * Does one step for each item, a bounded number at a time, and gives their results in the order of the items. Items are taken as they are needed, so an
 * endless or slow list holds no more than what is under way. After a failure no further item begins; those under way end first.
 *
 * @throws the failure of the first item in order that failed; `INVALID_STEP_OPTIONS`, and what a step throws
 */
export async function mapItems<Item, T>(
  items: Iterable<Item> | AsyncIterable<Item>,
  fn: (item: Item, context: StepContext) => T,
  options: MapOptions<Item, Awaited<T>>,
  step: (work: StepFunction<T>, options: StepOptions<Awaited<T>>) => Promise<StepResult<T>>,
): Promise<StepResult<T>[]> {
  const { stepId, concurrency = defaultConcurrency, ...rest } = options
  if (typeof stepId !== 'function') throw invalid('of a map', 'stepId', stepId, 'a function of the item: (item) => `load-${item.id}`')
  checkWhole('of a map', 'concurrency', concurrency, 1, maxConcurrency)
  if (typeof fn !== 'function') throw invalid('of a map', 'its work', fn, 'a function of the item')
  if (!isList(items)) throw invalid('of a map', 'the items', items, 'a list, or what can be iterated over')
  const results: StepResult<T>[] = []
  const failures: { index: number; thrown: unknown }[] = []
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  let next = 0
  let ended = false
  // One asks the list at a time: the order of the items is the order in which they were asked for.
  let asking: Promise<unknown> = Promise.resolve()
  const take = (): Promise<{ index: number; item: Item } | undefined> => {
    const taken = asking.then(async () => {
      if (ended || failures.length > 0) return undefined
      const { done, value } = await iterator.next()
      if (done) {
        ended = true
        return undefined
      }
      return { index: next++, item: value }
    })
    asking = taken.catch(() => undefined)
    return taken
  }
  const work = async (): Promise<void> => {
    for (let taken = await take(); taken; taken = await take()) {
      const { index, item } = taken
      try {
        const id = checkStepId({ stepId: stepId(item, index) })
        results[index] = await step((context) => fn(item, context), { ...rest, stepId: id } as StepOptions<Awaited<T>>)
      } catch (thrown) {
        failures.push({ index, thrown })
      }
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: concurrency }, work))
  const first = failures.toSorted((a, b) => a.index - b.index)[0]
  if (first) {
    if (!ended) await iterator.return?.()
    throw first.thrown
  }
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  return results
}

function isList(items: unknown): boolean {
  if (typeof items === 'string') return true
  return typeof items === 'object' && items !== null && (Symbol.asyncIterator in items || Symbol.iterator in items)
}
