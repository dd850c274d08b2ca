/**
 * The far end of a link with a meter in front of it: what passes is counted, and, where traces are kept, each session is a span of its caller
 * from its first message to the last answer that was asked for. Messages pass as they are, but for the trace that their origin names.
 *
 * Owns the spans of sessions whose answers have not all come. Invariant: a span ends with the last answer, or with the failure of a message.
 */
import type { Frame, LinkMessage, LinkPeer, LinkReply } from './frames.ts'
import type { Origin } from './origin.ts'
import type { SpanOutcome } from './spans.ts'
import { estimateBytes, type LinkStats } from './stats.ts'

/** The span of a session or of a call. */
export interface SentSpan {
  /** The origin that tells the receiver of it. */
  readonly origin: Origin
  end(outcome?: SpanOutcome): void
}

/** Begins the span of what is sent on behalf of `origin`; `method` where it is one call. `undefined` where no traces are kept. */
export type TraceSent = (origin: Origin, method?: string) => SentSpan | undefined

interface OpenSpan {
  span: SentSpan
  calls: number
}

/** A peer that counts trips and bytes in `stats` (messages and calls the link counts itself), and tells `trace` of what it sends. */
export function meteredPeer(peer: LinkPeer, stats: LinkStats, trace?: TraceSent): LinkPeer {
  let underWay = 0
  const spans = new Map<string, OpenSpan>()

  /** The message as it leaves: one that opens a session tells of the session's span. */
  const begun = (message: LinkMessage): LinkMessage => {
    const sent = message.origin && trace?.(message.origin)
    if (!sent) return message
    spans.set(message.session, { span: sent, calls: 0 })
    return { ...message, origin: sent.origin }
  }
  const ended = (session: string, outcome: { reply: LinkReply } | { error: unknown }): void => {
    const open = spans.get(session)
    if (!open || ('reply' in outcome && outcome.reply.pending)) return
    spans.delete(session)
    const attributes = { 'dotdo.calls': open.calls }
    open.span.end('error' in outcome ? { error: outcome.error, attributes } : { attributes })
  }

  return {
    address: peer.address,
    async call(call) {
      const { calls } = call
      const span = trace?.(call.origin, calls.length === 1 ? calls[0]!.method : undefined)
      if (underWay++ === 0) stats.roundTrips++
      for (const it of calls) stats.bytesSent += estimateBytes(it.args ?? []) + it.method.length
      try {
        const answer = await peer.call(span ? { ...call, origin: span.origin } : call)
        stats.bytesReceived += estimateBytes(answer.answers) + (answer.reply ? estimateBytes(answer.reply.frames) : 0)
        span?.end(calls.length === 1 ? undefined : { attributes: { 'dotdo.calls': calls.length } })
        return answer
      } catch (error) {
        span?.end({ error })
        throw error
      } finally {
        underWay--
      }
    },
    async send(message) {
      const sent = begun(message)
      const open = spans.get(message.session)
      if (open) open.calls += pushes(message.frames)
      if (underWay++ === 0) stats.roundTrips++
      stats.bytesSent += estimateBytes(message.frames)
      try {
        const reply = await peer.send(sent)
        stats.bytesReceived += estimateBytes(reply.frames)
        ended(message.session, { reply })
        return reply
      } catch (error) {
        ended(message.session, { error })
        throw error
      } finally {
        underWay--
      }
    },
  }
}

function pushes(frames: readonly Frame[]): number {
  let count = 0
  for (const [kind] of frames) if (kind === 'push') count++
  return count
}
