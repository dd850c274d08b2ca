/** The fleet as a capability: what an operator sees of all objects of an app. Its methods answer with plain views. */
import { RpcTarget } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import type {
  FleetAlert,
  FleetAlertQuery,
  FleetLetter,
  FleetObject,
  FleetPage,
  FleetQuery,
  FleetRebuild,
  FleetRun,
  FleetRunQuery,
  FleetSchedule,
  FleetScheduleQuery,
  FleetSummary,
  FleetTimeQuery,
} from '../base/fleet-views.ts'
import { shardName, shardOf } from '../fleet/facts.ts'
import { merge, readQuery, sum, type Asked, type Listed, type Lists } from '../fleet/lists.ts'
import { appOptions, appRenames, fleetOf, type Fleet } from './app.ts'
import { readPlacedNoun } from '../rpc/origin.ts'
import { noShards } from './fleet-feed.ts'
import { hasJurisdictions, isOwnNoun, requireAppNoun, type Links } from './nouns.ts'

/** A shard from afar. */
interface ShardStub {
  list<Name extends keyof Lists>(asked: Asked<Name>): Promise<Listed<Lists[Name]['item']>>
  summary(): Promise<FleetSummary>
  rebuild(objects: readonly string[]): Promise<FleetRebuild>
  rebuilding(): Promise<FleetRebuild | null>
}

/**
 * The index of the fleet. Lists come by pages: `next` of one is `after` of the following. A question goes to all shards at once, and fails where one of them
 * does: a list with a hole in it looks whole. Objects tell what changes within half a second.
 */
export class FleetView extends RpcTarget {
  readonly #links: Links

  constructor(links: Links) {
    super()
    this.#links = links
  }

  /** Runs, newest first. @throws `FLEET_QUERY_INVALID`, `FLEET_OFF` */
  runs(query?: FleetRunQuery): Promise<FleetPage<FleetRun>> {
    return this.#list('runs', query)
  }

  /** Schedules, the one that fires next first. @throws as {@link runs} */
  schedules(query?: FleetScheduleQuery): Promise<FleetPage<FleetSchedule>> {
    return this.#list('schedules', query)
  }

  /** Dead letters, the latest first: of each object the newest 50; of a time are those that died in it. @throws as {@link runs} */
  deadLetters(query?: FleetTimeQuery): Promise<FleetPage<FleetLetter>> {
    return this.#list('letters', query)
  }

  /** What went wrong, the latest first, whether anybody was told or not. @throws as {@link runs} */
  alerts(query?: FleetAlertQuery): Promise<FleetPage<FleetAlert>> {
    return this.#list('alerts', query)
  }

  /** The objects that have told anything, by name. @throws as {@link runs} */
  objects(query?: FleetQuery): Promise<FleetPage<FleetObject>> {
    return this.#list('objects', query)
  }

  /** Numbers of all of it. @throws `FLEET_OFF` */
  async summary(): Promise<FleetSummary> {
    return sum(await Promise.all(this.#everywhere().map((shard) => shard.summary())))
  }

  /** Resolves when the app's singletons have told all that they had not told yet: what they have done is in the lists then. It wakes them. */
  async settle(): Promise<void> {
    requireFleet()
    const singletons = Object.entries(appOptions().singletons ?? {}).flatMap(([noun, names]) => names.map((name) => ({ noun, name })))
    await Promise.all(singletons.map(async ({ noun, name }) => await this.#links.link(noun, name).framework('fleetTell', [])))
  }

  /**
   * Makes the index again from the objects: each that it knows tells everything anew, some at a time, in the background; `rebuilding` says how far that is.
   * @param options `objects`: more objects, as `Noun/name`, which the index may not know; `from`: the number of shards that it had before
   * @throws `FLEET_OFF`, `NOUN_UNKNOWN`, `FLEET_QUERY_INVALID`
   */
  async rebuild(options: { objects?: readonly string[]; from?: number } = {}): Promise<FleetRebuild> {
    const { objects = [], from } = options
    const fleet = requireFleet()
    const known = from === undefined ? [] : await this.#objectsOf(from)
    const byPlace = new Map(places().map((place) => [place, Array.from({ length: fleet.shards }, (): string[] => [])]))
    for (const given of [...objects, ...known]) {
      const object = appRenames().firstLabel(String(given))
      const placed = object.split('/')[0]!
      requireAppNoun(placed)
      byPlace.get(requirePlace(placed))![shardOf(object, fleet.shards)]!.push(object)
    }
    const all = [...byPlace].flatMap(([place, byShard]) =>
      this.#shards(fleet.shards, place).map((shard, index) => shard.rebuild(byShard[index]!)),
    )
    return total(await Promise.all(all))
  }

  /** How far the last rebuild is; `null` where there was none. @throws `FLEET_OFF` */
  async rebuilding(): Promise<FleetRebuild | null> {
    const all = (await Promise.all(this.#everywhere().map((shard) => shard.rebuilding()))).filter((it) => it !== null)
    return all.length === 0 ? null : total(all)
  }

  async #list<Name extends keyof Lists>(name: Name, query: unknown): Promise<FleetPage<Lists[Name]['item']>> {
    const read = readQuery(name, query)
    const renames = appRenames()
    // The index knows objects by their first nouns, and people by those of today.
    const noun = read.query.noun && renames.firstNoun(read.query.noun)
    const object = read.query.object && renames.firstLabel(read.query.object)
    const asked = { ...read, query: { ...read.query, ...(noun !== undefined && { noun }), ...(object !== undefined && { object }) } }
    const shards = object === undefined ? this.#everywhere() : [this.#shardOf(object)]
    const { items, ...page } = merge(name, asked.limit, await Promise.all(shards.map((shard) => shard.list(asked))))
    return { ...page, items: items.map((item) => ({ ...item, object: renames.labelNow(item.object) })) }
  }

  /** All objects that an index of so many shards knew. */
  async #objectsOf(count: number): Promise<string[]> {
    if (!Number.isInteger(count) || count < 1 || count > 256) throw readFault(count)
    const found: string[] = []
    for (const shard of this.#everywhere(count)) {
      let after: FleetObject | undefined
      do {
        const place = after && ([0, after.object, ''] as const)
        const page: Listed<FleetObject> = await shard.list({ name: 'objects', query: {}, limit: 500, ...(place && { after: place }) })
        found.push(...page.slice(0, 500).map(({ item }) => item.object))
        after = page.length > 500 ? page[499]!.item : undefined
      } while (after)
    }
    return found
  }

  /** The one that has an object. @throws `FLEET_OFF` */
  #shardOf(object: string): ShardStub {
    const { shards } = requireFleet()
    return this.#shards(shards, requirePlace(object.split('/')[0]!))[shardOf(object, shards)]!
  }

  /** All shards, wherever they are. */
  #everywhere(count = requireFleet().shards): ShardStub[] {
    return places().flatMap((place) => this.#shards(count, place))
  }

  #shards(count: number, place: string | undefined): ShardStub[] {
    return Array.from({ length: count }, (_, i) => this.#links.user('DotdoSystem', shardName(i, count), place) as unknown as ShardStub)
  }
}

/** Where the index has shards: outside of all jurisdictions, and in those that the app names. Where the platform has none, no object is in one. */
function places(): (string | undefined)[] {
  const { jurisdictions } = requireFleet()
  return [undefined, ...(jurisdictions.length > 0 && hasJurisdictions() ? jurisdictions : [])]
}

/** The place of the shard that has an object. @throws `FLEET_OFF` where the index has none there */
function requirePlace(placed: string): string | undefined {
  const { jurisdiction } = readPlacedNoun(placed)
  if (places().includes(jurisdiction)) return jurisdiction
  throw new DotdoError('FLEET_OFF', `${noShards(jurisdiction!)} The object itself can be asked: npx dotdo runs ${placed}/name.`, {
    data: { jurisdiction },
  })
}

/** @throws `FLEET_OFF` */
function requireFleet(): Fleet {
  const fleet = fleetOf()
  if (fleet && isOwnNoun('DotdoSystem')) return fleet
  throw new DotdoError(
    'FLEET_OFF',
    'This app has no index of its fleet. Export DotdoSystem from its entry, and do not set serve({ fleet: false }). One object can be asked without: npx dotdo runs Noun/name.',
  )
}

function readFault(from: unknown): DotdoError {
  return new DotdoError('FLEET_QUERY_INVALID', `An index has from 1 to 256 shards, not ${String(from)}.`, { data: { from: String(from) } })
}

function total(all: readonly FleetRebuild[]): FleetRebuild {
  const running = all.filter(({ status }) => status === 'running')
  const error = all.find((it) => it.error)?.error
  const ended = all.flatMap(({ endedAt }) => (endedAt === undefined ? [] : [endedAt]))
  return {
    status: running.length > 0 ? 'running' : 'done',
    startedAt: Math.min(...all.map(({ startedAt }) => startedAt)),
    ...(running.length === 0 && ended.length > 0 && { endedAt: Math.max(...ended) }),
    asked: all.reduce((sum, { asked }) => sum + asked, 0),
    failed: all.reduce((sum, { failed }) => sum + failed, 0),
    ...(error && { error }),
  }
}
