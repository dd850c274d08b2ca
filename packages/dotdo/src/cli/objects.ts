/** Which objects a command is about, and how it asks them. */
import type { FleetPage } from '../base/fleet-views.ts'
import type { AnyApp, AppStub } from '../client/connect.ts'
import type { InspectorStub } from '../client/operator.ts'
import { readObject, type ObjectName } from './arguments.ts'
import { usageError } from './failure.ts'

/** An object as it is written: `Noun/name`. */
export function nameOf({ noun, name }: ObjectName): string {
  return `${noun}/${name}`
}

/**
 * The object that was named, or else all objects of the app that live without being called: those are the ones which an app declares by name.
 * @throws `USAGE_INVALID` where none was named and the app declares none
 */
export async function objectsOf(app: AppStub<AnyApp>, named: string | undefined): Promise<ObjectName[]> {
  if (named !== undefined) return [readObject(named)]
  const { singletons, nouns } = await app.dotdo.describe()
  const objects = Object.entries(singletons).flatMap(([noun, names]) => names.map((name) => ({ noun, name })))
  if (objects.length > 0) return objects
  throw usageError(`This app declares no objects of its own (serve({ singletons })), so say which one: ${nouns[0] ?? 'Noun'}/name.`, {
    nouns,
  })
}

/** Questions for one list: what is further back is not looked for. */
const mostPages = 20

/**
 * The first `limit` entries of a list of the fleet, page by page.
 * @param ask for so many, behind what the page before gave as `next`
 */
export async function pages<Item>(
  limit: number,
  ask: (size: number, after: string | undefined) => PromiseLike<FleetPage<Item>>,
): Promise<{ items: Item[]; isCut: boolean }> {
  const items: Item[] = []
  let after: string | undefined
  for (let asked = 0; asked < mostPages; asked++) {
    const page: FleetPage<Item> = await ask(Math.min(500, limit - items.length), after)
    items.push(...page.items)
    after = page.next
    if (after === undefined || items.length >= limit) return { items, isCut: false }
  }
  return { items, isCut: true }
}

/**
 * Asks the operator's view of one object, and gives it back: one that is kept would keep its object awake.
 * @param use makes its calls in one turn where it can: they are one round trip
 */
export async function inspect<T>(
  app: AppStub<AnyApp>,
  { noun, name }: ObjectName,
  use: (inspector: InspectorStub) => PromiseLike<T>,
): Promise<T> {
  const inspector = app.dotdo.object(noun, name)
  try {
    return await use(inspector)
  } finally {
    ;(inspector as Partial<Disposable>)[Symbol.dispose]?.()
  }
}
