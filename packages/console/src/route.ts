/** Where in the page somebody is: `#/Pipeline/main/runs/<id>`. Pure; the browser's history does the rest. */

/** The sides that the page has. */
export type Tab = 'fleet' | 'runs' | 'schedules' | 'query' | 'tables'

/** The lists of all objects. */
export type FleetList = 'runs' | 'schedules' | 'alerts' | 'letters'

const fleetLists: readonly string[] = ['runs', 'schedules', 'alerts', 'letters'] satisfies FleetList[]

/** A place in the page. Tables and lists of the fleet belong to the app, the rest to one object. */
export type Route =
  | { tab: 'home' }
  | { tab: 'tables' }
  | { tab: 'fleet'; list: FleetList }
  | { tab: 'schedules' | 'query'; noun: string; name: string }
  | { tab: 'runs'; noun: string; name: string; runId?: string }

/** A place that belongs to one object. */
export type ObjectRoute = Extract<Route, { noun: string }>

/** Reads a fragment; what is no place of the page is `home`. */
export function parseRoute(hash: string): Route {
  const parts = hash.replace(/^#\/?/, '').split('/').map(decode)
  const [noun, name, tab, runId, ...rest] = parts
  if (parts.length === 1 && noun === 'tables') return { tab: 'tables' }
  if (parts.length <= 2 && noun === 'fleet' && (name === undefined || fleetLists.includes(name)))
    return { tab: 'fleet', list: (name as FleetList | undefined) ?? 'runs' }
  if (!noun || !/^[A-Z]/.test(noun) || !name || rest.length > 0) return { tab: 'home' }
  if (tab === undefined || tab === 'runs') return runId ? { tab: 'runs', noun, name, runId } : { tab: 'runs', noun, name }
  if ((tab === 'schedules' || tab === 'query') && runId === undefined) return { tab, noun, name }
  return { tab: 'home' }
}

/** The fragment of a place. */
export function hrefOf(route: Route): string {
  if (route.tab === 'home') return '#/'
  if (route.tab === 'tables') return '#/tables'
  if (route.tab === 'fleet') return `#/fleet/${route.list}`
  const parts = [route.noun, route.name, route.tab, ...('runId' in route && route.runId !== undefined ? [route.runId] : [])]
  return `#/${parts.map(encodeURIComponent).join('/')}`
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    // A percent sign of its own: somebody typed it.
    return part
  }
}
