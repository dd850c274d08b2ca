/**
 * The wire of the session link. A session is capnweb's: its frames are the arrays that capnweb's encoding level `structuredClonable` gives
 * to a transport (bytes stay bytes). What is ours is the envelope: all frames of one turn travel in one {@link LinkMessage}, as the
 * argument of one native call, and what the session has to say to them travels back as that call's result.
 *
 * What may be large stands last in each of them. The platform writes a value into a buffer that it doubles when it is full, and copies; for bytes
 * it makes just enough room, so that whatever stands behind 16 MiB would have them copied once more (measured: 1.7 of a native call instead of 1.25).
 */

import type { IntendedWrite } from './graph.ts'
import type { Marks, Places } from './lines.ts'
import type { CallOrder } from './order.ts'
import type { Origin } from './origin.ts'
import type { ToldObject } from './shortcuts.ts'

/** Version of the envelope. A peer refuses another one with `LINK_VERSION`. */
export const linkVersion = 2

/** One frame of capnweb, such as `['push', …]`, `['pull', 3]`, `['resolve', 3, …]`. */
export type Frame = [kind: string, ...rest: unknown[]]

/** The native streams of an envelope, by the number that its `lane` frame names. See stream-lanes.ts. */
export type StreamsOfFrames = Record<number, ReadableStream<Uint8Array>>

/** What one turn of the caller has to say. An empty message is a poll for late answers. */
export interface LinkMessage {
  version: typeof linkVersion
  /** Unguessable, chosen by the caller; the first message with it opens the session. */
  session: string
  /** Counts up from 0 within the session: the order in which messages take effect. */
  seq: number
  streams?: StreamsOfFrames
  /** Which of the object's capabilities the session starts from: the user's object where nothing is said. */
  to?: 'inspector'
  /** Who calls: said by the message that opens the session. */
  origin?: Origin
  /** By ticket, where the provider of a hand-off pushes its result: addresses as {@link LinkPeer} has them. `null` is the receiver itself. */
  targets?: Record<string, unknown>
  /** Which of the calls have to wait for their turn. */
  order?: CallOrder
  /** Which of the calls on what calls have given wait for something, and for what. */
  marks?: Marks
  /** Which of the calls are on references that each turn asks for anew, and have places among those of other turns. */
  places?: Places
  /** The caller exports something (a callback, a promise of another session) and will have more to say: answer at once. */
  duplex?: true
  /** Other sessions of this caller that it is done with. */
  ended?: string[]
  frames: Frame[]
}

/** What the receiver has to say so far. */
export interface LinkReply {
  /** Counts up from 0 within the session: the order in which replies take effect. */
  seq: number
  streams?: StreamsOfFrames
  /** Whether calls are still running whose answers the caller awaits: poll for them. */
  pending: boolean
  /** Of a dry run: what would have been written since the last reply. */
  records?: IntendedWrite[]
  /** Whether something can refer to the session: a running call, an unpulled promise, a capability, a callback. When not, it ends soon. */
  open: boolean
  /** Capabilities in `frames` that are other objects: the caller may let go of them, and call the objects. */
  objects?: ToldObject[]
  /** As in {@link LinkMessage}, of calls on what the caller has given. */
  marks?: Marks
  frames: Frame[]
}

/** One call on the object itself, or, without `args`, one read of a property. */
export interface DirectCall {
  method: string
  args?: unknown[]
}

/** A turn's calls on the object itself, where all are of plain data and none needs another: they go as they are, without a session. How it travels, packed-call.ts says. */
export interface LinkCall {
  version: typeof linkVersion
  /** The caller's link, by a name that nobody can guess. */
  link: string
  /** Counts up from 0 within the link. */
  number: number
  /** As in {@link LinkMessage}. */
  to?: 'inspector'
  origin: Origin
  /** Whether other calls of the link are under way: see gathering.ts. */
  together?: true
  /** Made in this order. */
  calls: DirectCall[]
}

/** The name of the session that the answer to a call opens, where not all of it is plain. */
export function sessionOfCall({ link, number }: Pick<LinkCall, 'link' | 'number'>): string {
  return `${link}:${number}`
}

/** What became of a {@link LinkCall}, so far. */
export interface LinkAnswer {
  /** The first reply of the session that the receiver has opened for the others, where they are numbered from 1 and their answers asked for. */
  reply?: LinkReply
  /** Of a dry run, as in {@link LinkReply}. */
  records?: IntendedWrite[]
  /** For each call its plain value; `null` for one that only a session can tell: an error, a capability, a stream, what is still under way. */
  answers: ({ value: unknown } | null)[]
}

/** The far end of a link: native calls. */
export interface LinkPeer {
  send(message: LinkMessage): Promise<LinkReply>
  call(call: LinkCall): Promise<LinkAnswer>
  /** What the platform can pass on to another object so that it reaches this one: see `LinkMessage.targets`. */
  readonly address: unknown
}
