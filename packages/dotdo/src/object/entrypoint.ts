/** The way in for other Workers: what a service binding with `entrypoint = "DotdoEntrypoint"` reaches. */
import { WorkerEntrypoint } from '#platform'
import type { LinkMessage, LinkReply } from '../rpc/frames.ts'
import type { PackedCall } from '../rpc/packed-call.ts'
import { readPlacedNoun } from '../rpc/origin.ts'
import { appOptions, appRenames } from './app.ts'
import { objectOfPath } from './live-path.ts'
import { nounUnknown, objectAt, ownNouns, placeOf, type LinkedObject, type LinkedService } from './nouns.ts'

/**
 * Offers the objects of this Worker to other Workers: export it from the app's entry, bind it there as a service, and name the nouns in
 * `serve({ services })`. Each message of a caller is passed on to its object as it came, with its streams and stubs, in one native call.
 *
 * Whoever has the binding reaches the methods of the offered objects and their inspector, as a Durable Object binding would. Which nouns
 * are offered, `serve({ offers })` of this Worker says: all that it exports, unless it says less. The framework's own objects never are.
 *
 * @example
 * export { DotdoEntrypoint, DotdoSystem } from 'dotdo'
 * export { Stage } from './stage.ts'
 * export default serve({ offers: ['Stage'] })
 */
export class DotdoEntrypoint extends WorkerEntrypoint implements LinkedService {
  /** A message for one object: its methods or its inspector. @throws `NOUN_UNKNOWN` with the nouns that are offered */
  dotdoLink(noun: string, name: string, message: LinkMessage): Promise<LinkReply> {
    return offered(noun, name).dotdoLink(message)
  }

  /** A call on one object without a session. @throws `NOUN_UNKNOWN` */
  dotdoCall(noun: string, name: string, ...call: PackedCall): Promise<unknown> {
    return offered(noun, name).dotdoCall(...call)
  }

  /** A WebSocket with the live events of one object, at `/live/<noun>/<name>`. Who may watch, the calling Worker has checked. */
  override async fetch(request: Request): Promise<Response> {
    const isWatch = request.headers.get('upgrade') === 'websocket'
    const watched = isWatch ? objectOfPath(new URL(request.url).pathname) : undefined
    if (!watched) return new Response('This entrypoint serves other Workers of dotdo.\n', { status: 404 })
    return await offered(watched.noun, watched.name).fetch(request)
  }
}

/** An object of this Worker's own: what it reaches in others is not its to offer. A noun that is kept back looks as if there were none. */
function offered(noun: string, name: string): LinkedObject {
  const offers = appOptions().offers
  const nouns = ownNouns().filter((own) => !offers || offers.includes(own))
  if (!nouns.includes(appRenames().nounNow(readPlacedNoun(noun).noun))) throw nounUnknown(noun, nouns)
  return objectAt(placeOf(noun)(name))
}
