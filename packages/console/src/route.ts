/** Where in the page somebody is: `#/Pipeline/main/runs/<id>`. Pure; the browser's history does the rest. */

import { filterWords, formatFilter, parseFilter, type FleetFilter, type FleetList } from './fleet-filter.ts'

/** The sides that the page has. */
export type Tab = 'fleet' | 'runs' | 'schedules' | 'query' | 'tables'

/** The sides of a run: its steps where none is said, what it called, read and wrote, and what a fork of it would do. */
export type RunSide = 'lineage' | 'fork'

/** A snapshot of a table: the current one where no id is said, of the app's only bucket where no warehouse is. */
export interface SnapshotPlace {
  table: string
  snapshotId?: number
  warehouse?: string
}

/** A place in the page. Tables and lists of the fleet belong to the app, the rest to one object. */
export type Route =
  | { tab: 'home' }
  | { tab: 'tables'; of?: SnapshotPlace }
  | { tab: 'fleet'; list: FleetList; filter?: FleetFilter }
  | { tab: 'schedules' | 'query'; noun: string; name: string }
  | { tab: 'runs'; noun: string; name: string; runId?: string; side?: RunSide }

/** A place that belongs to one object. */
export type ObjectRoute = Extract<Route, { noun: string }>

/** Reads a fragment; what is no place of the page is `home`. A noun may say where its object has to stay: `eu:Pipeline`. */
export function parseRoute(hash: string): Route {
  const parts = hash.replace(/^#\/?/, '').split('/').map(decode)
  const [noun, name, tab, runId, side, ...rest] = parts
  if (noun === 'tables') return parseTable(parts.slice(1))
  const fleet = /^#\/?fleet(?:\/([a-z]+))?(?:\?(.*))?$/s.exec(hash)
  if (fleet) return parseFleet(fleet[1] ?? 'runs', fleet[2])
  if (!noun || !/^([a-z][\w-]*:)?[A-Z]/.test(noun) || !name || rest.length > 0) return { tab: 'home' }
  if (tab === undefined || tab === 'runs') {
    if (!runId) return side === undefined ? { tab: 'runs', noun, name } : { tab: 'home' }
    if (side === undefined) return { tab: 'runs', noun, name, runId }
    return side === 'lineage' || side === 'fork' ? { tab: 'runs', noun, name, runId, side } : { tab: 'home' }
  }
  if ((tab === 'schedules' || tab === 'query') && runId === undefined) return { tab, noun, name }
  return { tab: 'home' }
}

/** `fleet/runs`, `fleet/runs?state=failed&since=1d`. */
function parseFleet(name: string, words: string | undefined): Route {
  if (!Object.hasOwn(filterWords, name)) return { tab: 'home' }
  const list = name as FleetList
  const filter = words === undefined ? {} : parseFilter(list, words)
  if (!filter) return { tab: 'home' }
  return { tab: 'fleet', list, ...(Object.keys(filter).length > 0 && { filter }) }
}

/** `tables`, `tables/analytics.events`, `tables/analytics.events/123`, `tables/analytics.events/current/R2_BUCKET`. */
function parseTable([table, snapshot, warehouse, ...rest]: readonly string[]): Route {
  if (!table) return table === undefined ? { tab: 'tables' } : { tab: 'home' }
  const snapshotId = snapshot === undefined || snapshot === current ? undefined : Number(snapshot)
  if (rest.length > 0 || warehouse === '' || (snapshotId !== undefined && !Number.isSafeInteger(snapshotId))) return { tab: 'home' }
  if (snapshot === '') return { tab: 'home' }
  return { tab: 'tables', of: { table, ...(snapshotId !== undefined && { snapshotId }), ...(warehouse !== undefined && { warehouse }) } }
}

const current = 'current'

/** The fragment of a place. */
export function hrefOf(route: Route): string {
  if (route.tab === 'home') return '#/'
  if (route.tab === 'fleet') return `#/fleet/${route.list}${formatFilter(route.list, route.filter ?? {})}`
  return `#/${partsOf(route).map(encodeURIComponent).join('/')}`
}

function partsOf(route: Exclude<Route, { tab: 'home' | 'fleet' }>): string[] {
  if (route.tab !== 'tables') {
    const { noun, name, tab } = route
    const { runId, side } = route.tab === 'runs' ? route : {}
    return [noun, name, tab, ...(runId === undefined ? [] : [runId, ...(side === undefined ? [] : [side])])]
  }
  if (!route.of) return ['tables']
  const { table, snapshotId, warehouse } = route.of
  const shown = snapshotId === undefined ? (warehouse === undefined ? [] : [current]) : [String(snapshotId)]
  return ['tables', table, ...shown, ...(warehouse === undefined ? [] : [warehouse])]
}

/** The noun and the name of an object that is written `Noun/name`. Names may hold slashes, nouns never do. */
export function objectOf(label: string): { noun: string; name: string } {
  const slash = label.indexOf('/')
  return { noun: label.slice(0, slash), name: label.slice(slash + 1) }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    // A percent sign of its own: somebody typed it.
    return part
  }
}
