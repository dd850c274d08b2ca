/** Which objects a command is about, and how it asks them. */
import { setTimeout as wait } from 'node:timers/promises'
import { codeOf, DotdoError } from '../base/errors.ts'
import type { FleetPage } from '../base/fleet-views.ts'
import type { AnyApp, AppStub } from '../client/connect.ts'
import type { InspectorStub } from '../client/operator.ts'
import { readObject, type ObjectName } from './arguments.ts'
import { usageError } from './failure.ts'

/** An object as it is written: `Noun/name`. */
export function nameOf({ noun, name }: ObjectName): string {
  return `${noun}/${name}`
}

/** Objects tell the index within half a second: how often one that it does not know is looked for, and how long after the time before. */
const looks = { most: 3, eachMs: 500 }
/** Of the objects that there are, so many are named. */
const mostNamed = 5

/**
 * The object of that name, to be looked at. Any name is one of an object, and whoever asks it brings it to life: `init()` runs, and what that schedules fires
 * from then on. So a name that is misspelt is not asked where the app's index has objects of its noun that tell of themselves, and none of that name.
 * @param pause waits so many milliseconds: an object that has just begun has not told yet
 * @throws `OBJECT_UNKNOWN`
 */
export async function requireObject(
  app: AppStub<AnyApp>,
  named: string,
  pause: (ms: number) => Promise<unknown> = wait,
): Promise<ObjectName> {
  const object = readObject(named)
  for (let look = 1; ; look++) {
    const others = await strangersTo(app, object)
    if (others.length === 0) return object
    if (look === looks.most)
      throw new DotdoError(
        'OBJECT_UNKNOWN',
        `The app's index knows no ${nameOf(object)}: there is ${others.slice(0, mostNamed).join(', ')}${others.length > mostNamed ? ', …' : ''}. Looking at it would bring it to life, with the schedules that it declares. Correct the name; or call it, if it is to be. One that is there already tells the index of itself by npx dotdo fleet ${nameOf(object)} --rebuild.`,
        { data: { object: nameOf(object), known: others.slice(0, mostNamed) } },
      )
    await pause(looks.eachMs)
  }
}

/** Objects of the same noun that the index knows, where it does not know this one and the app does not declare it. Empty where there is no index. */
async function strangersTo(app: AppStub<AnyApp>, { noun, name }: ObjectName): Promise<string[]> {
  // Where data has to stay there may be an index of its own, or none.
  if (noun.includes(':')) return []
  const { fleet } = app.dotdo
  try {
    const object = nameOf({ noun, name })
    const [{ singletons }, found, siblings] = await Promise.all([
      app.dotdo.describe(),
      fleet.objects({ object, limit: 1 }),
      fleet.objects({ noun, limit: mostNamed + 1 }),
    ])
    if (found.items.length > 0 || singletons[noun]?.includes(name)) return []
    return siblings.items.map((it) => it.object)
  } catch (error) {
    if (codeOf(error) === 'FLEET_OFF') return []
    throw error
  }
}

/**
 * The object that was named, or else all objects of the app that live without being called: those are the ones which an app declares by name.
 * @throws `OBJECT_UNKNOWN`; `USAGE_INVALID` where none was named and the app declares none
 */
export async function objectsOf(app: AppStub<AnyApp>, named: string | undefined): Promise<ObjectName[]> {
  if (named !== undefined) return [await requireObject(app, named)]
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
