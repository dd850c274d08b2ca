/** What links count of themselves, and how they weigh what they carry. */

/** What a link has done so far, as its caller's end has seen it. */
export interface LinkStats {
  /** Native calls, polls included. */
  messages: number
  /** How often something was waited for: messages that were on their way together are one trip. */
  roundTrips: number
  /** Of the messages, polls for answers that came late. */
  polls: number
  /** Method calls (and property reads) that were sent. */
  calls: number
  /** Of arguments and frames, by {@link estimateBytes}. */
  bytesSent: number
  /** Of results and frames, by {@link estimateBytes}. */
  bytesReceived: number
  /** Sessions that are open at this end now. */
  openSessions: number
  /** Capabilities and promises that these sessions hold on either side now, their roots not counted. */
  openExports: number
  /** Calls that failed before anybody awaited them. */
  unawaitedFailures: number
}

/** Counters at zero. */
export function newLinkStats(): LinkStats {
  return {
    messages: 0,
    roundTrips: 0,
    polls: 0,
    calls: 0,
    bytesSent: 0,
    bytesReceived: 0,
    openSessions: 0,
    openExports: 0,
    unawaitedFailures: 0,
  }
}

/** The sum of what several links have done. */
export function sumStats(all: Iterable<LinkStats>): LinkStats {
  const sum = newLinkStats()
  for (const stats of all) for (const name in sum) sum[name as keyof LinkStats] += stats[name as keyof LinkStats]
  return sum
}

/** Lists longer than this are weighed by a sample of as many of their entries. */
const sampled = 64
/** Parts of one value that are looked at; a value that refers to one thing many times would else take for ever. */
const mostParts = 20_000
/** Levels of one value that are looked at: no estimate is worth a stack that overflows. */
const mostLevels = 200

/**
 * About how many bytes a value is on the wire. Not a measurement, which would be a second serialization: texts count a byte a character, bytes as
 * they are, numbers 8, everything else 8 for itself and its names and values. A list of more than 64 entries counts as 64 of them, evenly
 * taken, scaled up. So it costs the same for a million rows as for a hundred; what lies beyond 20,000 parts, or
 * deeper than 200 levels, is not counted.
 */
export function estimateBytes(value: unknown): number {
  return weigh(value, { left: mostParts }, 0)
}

function weigh(value: unknown, budget: { left: number }, level: number): number {
  if (typeof value === 'string') return value.length + 4
  if (typeof value !== 'object' || value === null) return 8
  if (level > mostLevels || budget.left-- <= 0) return 0
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength + 8
  if (Array.isArray(value)) return 8 + weighList(value, budget, level + 1)
  let bytes = 8
  // Stubs, dates and streams have no fields of their own that travel; those of a plain object do.
  if (Object.getPrototypeOf(value) === Object.prototype) {
    for (const key in value) bytes += key.length + 4 + weigh((value as Record<string, unknown>)[key], budget, level + 1)
  }
  return bytes
}

function weighList(list: readonly unknown[], budget: { left: number }, level: number): number {
  let bytes = 0
  if (list.length <= sampled) {
    for (const entry of list) bytes += weigh(entry, budget, level)
    return bytes
  }
  for (let i = 0; i < sampled; i++) bytes += weigh(list[Math.floor((i * list.length) / sampled)], budget, level)
  return Math.round((bytes * list.length) / sampled)
}
