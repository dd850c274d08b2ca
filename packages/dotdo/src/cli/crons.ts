/** When the cron triggers of a local app are due: on Cloudflare the platform calls `scheduled`, here `dev` does. Pure. */
import { Cron } from 'croner'

/** A pattern, and an instant of it in epoch milliseconds. */
export interface Tick {
  cron: string
  at: number
}

/**
 * The first instant after `after` of any of the patterns, with all patterns that have it; empty where none ever comes. Patterns are Cloudflare's:
 * five fields in UTC, Sunday is 1. What cannot be read is told to `refuse`, and the others go on.
 */
export function nextTicks(crons: readonly string[], after: number, refuse: (cron: string, reason: string) => void): Tick[] {
  const ticks = crons.flatMap((cron): Tick[] => {
    try {
      const next = new Cron(cron, { timezone: 'UTC', mode: '5-part', alternativeWeekdays: true }).nextRun(new Date(after))
      return next ? [{ cron, at: next.getTime() }] : []
    } catch (error) {
      refuse(cron, error instanceof Error ? error.message : String(error))
      return []
    }
  })
  const first = Math.min(...ticks.map(({ at }) => at))
  return ticks.filter(({ at }) => at === first)
}
