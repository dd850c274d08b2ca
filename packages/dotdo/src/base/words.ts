/** Numbers, sizes, distances in time and targets as people read them: on the page, in a terminal, in what an app prints. Pure. */
import { formatRound, shownUnits } from './durations.ts'
import type { FleetAlert } from './fleet-views.ts'
import { priceNames, type Budget, type Price, type Spent } from './price.ts'
import type { RunTarget } from './views.ts'

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 6 })

/** A number with its thousands apart: `1,234,567`. */
export function formatCount(value: number | bigint): string {
  return grouped.format(value)
}

/** A number of things: `1 row`, `1,200 rows`. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${formatCount(value)} ${value === 1 ? one : many}`
}

const sizes = ['B', 'kB', 'MB', 'GB', 'TB']

/** Bytes by powers of 1,000: `999 B`, `12.3 kB`, `4.0 MB`. */
export function formatBytes(value: number): string {
  let scaled = value
  let unit = 0
  // The bound is where rounding reaches the next unit: nothing is ever '1000.0 kB'.
  while (scaled >= (unit === 0 ? 1000 : 999.95) && unit < sizes.length - 1) {
    scaled /= 1000
    unit++
  }
  return unit === 0 ? `${value} B` : `${scaled.toFixed(1)} ${sizes[unit]}`
}

/**
 * How far an instant is from now, cut off: `4 min ago`, `in 1 h 54 min`, `in 3 h`, `now`. Both in epoch milliseconds. What has been is told in its largest unit, and what
 * is to come in two: whoever waits for it has to know it better.
 */
export function formatRelative(at: number, now: number): string {
  const distance = Math.abs(at - now)
  const index = shownUnits.findIndex(([, ms]) => distance >= ms)
  if (index < 0) return 'now'
  const [name, ms] = shownUnits[index]!
  const amount = `${Math.floor(distance / ms)} ${name}`
  if (at < now) return `${amount} ago`
  const [finer, finerMs] = shownUnits[index + 1] ?? ['', Infinity]
  const rest = Math.floor((distance % ms) / finerMs)
  return `in ${amount}${rest === 0 ? '' : ` ${rest} ${finer}`}`
}

/** What started a run: `load()`, `schedule daily`, `event Order.paid`. */
export function targetInWords(target: RunTarget): string {
  if (target.kind === 'schedule') return `schedule ${target.id}`
  return target.kind === 'event' ? `event ${target.type}` : `${target.name}()`
}

/** Who could not be told of an alert: `nobody could be told at chat OPS: BINDING_MISSING: …`. */
export function untoldInWords({ to, error }: NonNullable<FleetAlert['untold']>): string {
  return `nobody could be told at ${to}: ${error.code === undefined ? '' : `${error.code}: `}${error.message}`
}

const priced: Readonly<Record<Exclude<keyof Price, 'bytes'>, readonly [one: string, many: string]>> = {
  requests: ['request', 'requests'],
  calls: ['call', 'calls'],
  messages: ['message', 'messages'],
  rowsRead: ['row read', 'rows read'],
  rowsWritten: ['row written', 'rows written'],
  r2: ['bucket operation', 'bucket operations'],
}

/** What was used: `3 requests, 2 calls, 1 message, 1.2 kB, 20 rows read`. Empty where that is nothing. */
export function priceInWords(spent: Spent): string {
  return priceNames
    .flatMap((name) => {
      const value = spent[name]
      return value === undefined ? [] : [name === 'bytes' ? formatBytes(value) : counted(value, ...priced[name])]
    })
    .join(', ')
}

/** What may be used at most: `1,000 requests, 50,000 rows written, 1 h`. */
export function budgetInWords({ wallMs, ...most }: Budget): string {
  return [priceInWords(most as Spent), wallMs === undefined ? '' : formatRound(wallMs)].filter(Boolean).join(', ')
}
