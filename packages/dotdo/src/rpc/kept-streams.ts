/**
 * Streams that outlive the call that brought them. capnweb cancels a stream of a call's arguments when the call has ended, unless somebody reads
 * it: whoever keeps one, or passes it on as a result, would be left with one that ends at once and looks empty.
 */

import { withParts } from './changed-parts.ts'

/** How deep streams are looked for. What a method gives back lies on top or beside a label. */
const depthLooked = 3

/** A stream that goes on after its call: it is read from now on, so the call's end leaves it alone. What is read already, and other values, are given back. */
export function keptStream(value: unknown): unknown {
  if (value instanceof ReadableStream) return value.locked ? value : value.pipeThrough(new TransformStream())
  if (value instanceof Response && value.body && !value.body.locked) return new Response(keptStream(value.body) as ReadableStream, value)
  if (value instanceof Request && value.body && !value.body.locked)
    return new Request(value, { body: keptStream(value.body) as ReadableStream, duplex: 'half' } as RequestInit)
  return value
}

/**
 * The result of a call, made so that streams among its arguments go on in it. A result that comes later is waited for; any other thenable is
 * given back as it is.
 */
export function withStreamsOf(args: readonly unknown[], result: unknown): unknown {
  if (!args.some(isStream)) return result
  const streams = new Set(args.filter(isStream))
  return result instanceof Promise
    ? result.then((value: unknown) => replaced(value, streams, depthLooked))
    : replaced(result, streams, depthLooked)
}

function replaced(value: unknown, streams: Set<unknown>, depth: number): unknown {
  if (streams.has(value)) return keptStream(value)
  return depth === 0 ? value : withParts(value, (part) => replaced(part, streams, depth - 1))
}

/** Lets the streams in a value go that nobody reads: their sources learn that nobody will. */
export function cancelStreams(value: unknown, reason: unknown): void {
  if (Array.isArray(value)) for (const part of value as unknown[]) cancelStreams(part, reason)
  else if (value instanceof Response || value instanceof Request) cancelStreams(value.body, reason)
  else if (value instanceof ReadableStream) {
    // It may have failed by itself, and that is all there is to say.
    if (!value.locked) value.cancel(reason).catch(() => {})
  } else if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype)
    for (const part of Object.values(value)) cancelStreams(part, reason)
}

function isStream(value: unknown): boolean {
  return value instanceof ReadableStream || value instanceof Response || value instanceof Request
}
