/** Where the live events of an object are, at a Worker and at its entrypoint. */
import { DotdoError } from '../base/errors.ts'

/** The path for an object: `/live/<noun>/<name>`. */
export function livePath(noun: string, name: string): string {
  return `/live/${encodeURIComponent(noun)}/${encodeURIComponent(name)}`
}

/** The object of such a path, or `undefined` for another path. @throws `INVALID_NAME` for a segment that is not percent-encoded UTF-8 */
export function objectOfPath(path: string): { noun: string; name: string } | undefined {
  const [, room, noun, name] = path.split('/').map(decoded)
  return room === 'live' && noun && name ? { noun, name } : undefined
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch (cause) {
    throw new DotdoError(
      'INVALID_NAME',
      `${JSON.stringify(segment)} is no name of a noun or an object: it is not percent-encoded UTF-8. Take the address from dotdo.watch(noun, name).`,
      { data: { segment }, cause },
    )
  }
}
