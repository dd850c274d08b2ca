/**
 * Streams that have been given to somebody: a stream has one reader. The same result as an argument of two calls, or one stream passed twice, would give
 * whoever comes second a stream that ends at once and looks empty, or one that is locked.
 *
 * Owns what it knows of streams, for as long as they are there. Invariants:
 * 1. A result that is a stream is given once: into one call, or to one end of a session.
 * 2. A stream is sent once, by whatever session. Whoever was given a result may send it on.
 */
import { DotdoError } from '../base/errors.ts'

/** Streams of results that calls were given. */
const delivered = new WeakSet<ReadableStream>()
/** Streams that were sent. */
const sent = new WeakSet<ReadableStream>()

/** A call is given a result that holds this stream. @throws `NOT_SENDABLE` where somebody else was */
export function deliverOnce(stream: ReadableStream): void {
  if (delivered.has(stream) || sent.has(stream)) throw readAlready()
  delivered.add(stream)
}

/**
 * A session sends a stream. Gives what is to be sent: where it is somebody else's by now, one that fails with `NOT_SENDABLE` when it is read. The message that
 * it stands in is not refused, because parts of it have been sent by then.
 * @param isArgument whether it stands in what the program passes; else it is a result, or a part of one
 */
export function sendOnce(stream: ReadableStream, isArgument: boolean): ReadableStream {
  const isGiven = sent.has(stream) || (!isArgument && delivered.has(stream))
  sent.add(stream)
  return isGiven ? new ReadableStream({ start: (controller) => controller.error(readAlready()) }) : stream
}

/** The error for a stream that somebody reads. */
export function readAlready(): DotdoError {
  return new DotdoError(
    'NOT_SENDABLE',
    'A stream has one reader, and this one was passed on or is read already. Pass it once, before it is read; for two readers pass the halves of stream.tee().',
  )
}
