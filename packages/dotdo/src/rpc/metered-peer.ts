/**
 * The far end of a link with a meter in front of it: what passes is counted, and, where traces are kept, each session is a span of its caller
 * from its first message to the last answer that was asked for. Messages pass as they are, but for the trace that their origin names.
 *
 * Owns the spans of sessions whose answers have not all come. Invariant: a span ends with the last answer, or with the failure of a message.
 */
import type { Frame, LinkMessage, LinkPeer, LinkReply } from './frames.ts'
import { spending, type LinkSpent, type Origin } from './origin.ts'
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

/** Sessions whose payers are known; of older ones that still go on nothing is counted. */
const mostSpenders = 1000

interface OpenSpan {
  span: SentSpan
  calls: number
}

/** A peer that counts trips and bytes in `stats` (messages and calls the link counts itself), and tells `trace` of what it sends. */
export function meteredPeer(peer: LinkPeer, stats: LinkStats, trace?: TraceSent): LinkPeer {
  let underWay = 0
  const spans = new Map<string, OpenSpan>()
  const spenders = new Map<string, (spent: LinkSpent) => void>()

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

  /** Who pays for a session: whoever opened it, which its first message tells. */
  const spenderOf = ({ session, origin, ended = [] }: LinkMessage): ((spent: LinkSpent) => void) | undefined => {
    for (const over of ended) spenders.delete(over)
    const spend = origin?.[spending]
    if (!spend) return spenders.get(session)
    spenders.set(session, spend)
    if (spenders.size > mostSpenders) spenders.delete(spenders.keys().next().value!)
    return spend
  }

  return {
    address: peer.address,
    async call(call) {
      const { calls } = call
      const span = trace?.(call.origin, calls.length === 1 ? calls[0]!.method : undefined)
      if (underWay++ === 0) stats.roundTrips++
      let sent = 0
      for (const it of calls) sent += estimateBytes(it.args ?? []) + it.method.length
      stats.bytesSent += sent
      const spend = call.origin[spending]
      spend?.({ messages: 1, calls: calls.length, bytes: sent })
      try {
        const answer = await peer.call(span ? { ...call, origin: span.origin } : call)
        const received = estimateBytes(answer.answers) + (answer.reply ? estimateBytes(answer.reply.frames) : 0)
        stats.bytesReceived += received
        spend?.({ bytes: received })
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
      const calls = pushes(message.frames)
      if (open) open.calls += calls
      const spend = spenderOf(message)
      if (underWay++ === 0) stats.roundTrips++
      const bytes = estimateBytes(message.frames)
      stats.bytesSent += bytes
      spend?.({ messages: 1, calls, bytes })
      try {
        const reply = await peer.send(sent)
        const received = estimateBytes(reply.frames)
        stats.bytesReceived += received
        spend?.({ bytes: received })
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
