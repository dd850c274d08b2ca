/** What a list of the fleet is narrowed to: read from the page's address, and made into a question for the index. Pure. */
/** The lists of all objects. */
export type FleetList = 'runs' | 'schedules' | 'alerts' | 'letters'

/** As the address has it. A time is a length before now, `1d`, or an instant, `2026-11-23T02:00Z`: a link goes on meaning what it says. */
export interface FleetFilter {
  state?: string
  noun?: string
  tag?: string
  /** At or after, and before. */
  since?: string
  until?: string
}

/** What each list can be narrowed by. */
export const filterWords: Readonly<Record<FleetList, readonly (keyof FleetFilter)[]>> = {
  runs: ['state', 'noun', 'tag', 'since', 'until'],
  schedules: ['state', 'noun'],
  alerts: ['state', 'noun', 'since', 'until'],
  letters: ['noun', 'since', 'until'],
}

/** Lengths of time that are offered, with what they are called. */
export const periods = [
  ['1h', 'last hour'],
  ['1d', 'last day'],
  ['7d', 'last 7 days'],
] as const

const unitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Epoch milliseconds of a time; `undefined` for what is none. */
export function timeOf(text: string, now: number): number | undefined {
  const [, count, unit = ''] = /^(\d{1,6})([mhd])$/.exec(text) ?? []
  if (count !== undefined) return now - Number(count) * unitMs[unit]!
  // Without its zone it would mean something else to whoever is sent the link.
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z$/.test(text) ? Date.parse(text) : NaN
  return Number.isNaN(at) ? undefined : at
}

/** Reads what stands behind the `?` of a list's address. `undefined` where that is nothing the list can be narrowed to. */
export function parseFilter(list: FleetList, text: string): FleetFilter | undefined {
  const filter: FleetFilter = {}
  for (const [word, value] of new URLSearchParams(text)) {
    const known = filterWords[list].find((name) => name === word)
    if (known === undefined || value === '' || filter[known] !== undefined) return undefined
    if ((known === 'since' || known === 'until') && timeOf(value, 0) === undefined) return undefined
    filter[known] = value
  }
  return filter
}

/** `?state=failed&since=1d`, in one order; empty where nothing is narrowed. */
export function formatFilter(list: FleetList, filter: FleetFilter): string {
  const words = filterWords[list].flatMap((word) => (filter[word] === undefined ? [] : [[word, filter[word]]]))
  return words.length === 0 ? '' : `?${String(new URLSearchParams(words))}`
}

/** The filter with some of its words set anew, or without those that are `undefined`. */
export function changed(filter: FleetFilter, words: { [Word in keyof FleetFilter]?: string | undefined }): FleetFilter {
  return Object.fromEntries(Object.entries({ ...filter, ...words }).filter(([, value]) => value !== undefined && value !== ''))
}

/** What the index is asked for. */
export function askOf(
  { since, until, ...words }: FleetFilter,
  now: number,
): Omit<FleetFilter, 'since' | 'until'> & { since?: number; until?: number } {
  const from = since === undefined ? undefined : timeOf(since, now)
  const to = until === undefined ? undefined : timeOf(until, now)
  return { ...words, ...(from !== undefined && { since: from }), ...(to !== undefined && { until: to }) }
}

/** A time as a field for date and time has it, in the reader's zone; and back. */
export function fieldOf(text: string | undefined, now: number): string {
  const at = text === undefined ? undefined : timeOf(text, now)
  if (at === undefined) return ''
  const two = (value: number) => String(value).padStart(2, '0')
  const it = new Date(at)
  return `${it.getFullYear()}-${two(it.getMonth() + 1)}-${two(it.getDate())}T${two(it.getHours())}:${two(it.getMinutes())}`
}

/** The time that such a field has; `undefined` where it is empty or not whole. */
export function timeOfField(value: string): string | undefined {
  const at = value === '' ? NaN : new Date(value).getTime()
  return Number.isNaN(at) ? undefined : minuteOf(at)
}

/** An instant, cut to its minute. */
export function minuteOf(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16)}Z`
}
