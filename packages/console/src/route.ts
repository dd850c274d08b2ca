/** Where in the page somebody is: `#/Pipeline/main/runs/<id>`. Pure; the browser's history does the rest. */

/** The sides that the page has. */
export type Tab = 'runs' | 'schedules' | 'query' | 'tables'

/** A place in the page. Tables belong to the app, the rest to one object. */
export type Route =
  | { tab: 'home' }
  | { tab: 'tables' }
  | { tab: 'schedules' | 'query'; noun: string; name: string }
  | { tab: 'runs'; noun: string; name: string; runId?: string }

/** A place that belongs to one object. */
export type ObjectRoute = Extract<Route, { noun: string }>

/** Reads a fragment; what is no place of the page is `home`. */
export function parseRoute(hash: string): Route {
  const parts = hash.replace(/^#\/?/, '').split('/').map(decode)
  const [noun, name, tab, runId, ...rest] = parts
  if (parts.length === 1 && noun === 'tables') return { tab: 'tables' }
  if (!noun || !/^[A-Z]/.test(noun) || !name || rest.length > 0) return { tab: 'home' }
  if (tab === undefined || tab === 'runs') return runId ? { tab: 'runs', noun, name, runId } : { tab: 'runs', noun, name }
  if ((tab === 'schedules' || tab === 'query') && runId === undefined) return { tab, noun, name }
  return { tab: 'home' }
}

/** The fragment of a place. */
export function hrefOf(route: Route): string {
  if (route.tab === 'home') return '#/'
  if (route.tab === 'tables') return '#/tables'
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
