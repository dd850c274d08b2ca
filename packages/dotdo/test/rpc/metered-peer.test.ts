import { describe, expect, test } from 'vitest'
import { linkVersion, type Frame, type LinkMessage, type LinkPeer, type LinkReply } from '../../src/rpc/frames.ts'
import { meteredPeer, type SentSpan } from '../../src/rpc/metered-peer.ts'
import type { Origin } from '../../src/rpc/origin.ts'
import type { SpanOutcome } from '../../src/rpc/spans.ts'
import { newLinkStats } from '../../src/rpc/stats.ts'

const message = (session: string, seq: number, frames: Frame[], origin?: Origin): LinkMessage => ({
  version: linkVersion,
  session,
  seq,
  frames,
  ...(origin && { origin }),
})
const reply = (frames: Frame[], pending = false): LinkReply => ({ seq: 0, frames, pending, open: false })

/** A peer whose answers the test gives, and the spans that were begun and ended. */
function setUp(traced = true) {
  const stats = newLinkStats()
  const sent: LinkMessage[] = []
  const answers: PromiseWithResolvers<LinkReply>[] = []
  const begun: { origin: Origin; ended: SpanOutcome[] }[] = []
  const far = {
    send: (it: LinkMessage) => {
      sent.push(it)
      const answer = Promise.withResolvers<LinkReply>()
      answers.push(answer)
      return answer.promise
    },
  } as unknown as LinkPeer
  const trace = (origin: Origin): SentSpan => {
    const span = { origin, ended: [] as SpanOutcome[] }
    begun.push(span)
    return { origin: { ...origin, traceparent: `span ${begun.length}` }, end: (outcome = {}) => span.ended.push(outcome) }
  }
  return { peer: meteredPeer(far, stats, traced ? trace : undefined), stats, sent, answers, begun }
}

describe('what is counted', () => {
  test('bytes of the frames in both directions', async () => {
    const { peer, stats, answers } = setUp()
    const done = peer.send(message('s', 0, [['push', new Uint8Array(1000)]]))
    answers[0]!.resolve(reply([['resolve', 1, new Uint8Array(5000)]]))
    await done
    expect(stats.bytesSent).toBeGreaterThan(1000)
    expect(stats.bytesSent).toBeLessThan(1100)
    expect(stats.bytesReceived).toBeGreaterThan(5000)
    expect(stats.bytesReceived).toBeLessThan(5100)
  })
  test('messages that are on their way together are one round trip, and one after them another', async () => {
    const { peer, stats, answers } = setUp()
    const both = [peer.send(message('a', 0, [])), peer.send(message('b', 0, []))]
    for (const answer of answers) answer.resolve(reply([]))
    await Promise.all(both)
    expect(stats.roundTrips).toBe(1)
    const third = peer.send(message('c', 0, []))
    answers[2]!.resolve(reply([]))
    await third
    expect(stats.roundTrips).toBe(2)
  })
  test('a message that fails is over, and its failure passes as it is', async () => {
    const { peer, stats, answers } = setUp()
    const failure = new Error('gone')
    const first = peer.send(message('a', 0, []))
    answers[0]!.reject(failure)
    await expect(first).rejects.toBe(failure)
    const second = peer.send(message('b', 0, []))
    answers[1]!.resolve(reply([]))
    await second
    expect(stats.roundTrips).toBe(2)
  })
})

describe('the span of a session', () => {
  test('begins with its first message, whose origin names it, and ends with the last answer', async () => {
    const { peer, sent, answers, begun } = setUp()
    const first = peer.send(
      message(
        's',
        0,
        [
          ['push', 1],
          ['push', 2],
          ['pull', 2],
        ],
        { depth: 1, caller: 'A/a' },
      ),
    )
    expect(sent[0]!.origin).toEqual({ depth: 1, caller: 'A/a', traceparent: 'span 1' })
    answers[0]!.resolve(reply([], true))
    await first
    expect(begun[0]!.ended).toEqual([])
    const second = peer.send(message('s', 1, [['push', 3]]))
    answers[1]!.resolve(reply([['resolve', 3, 1]]))
    await second
    expect(begun).toHaveLength(1)
    expect(begun[0]!.ended).toEqual([{ attributes: { 'dotdo.calls': 3 } }])
  })
  test('ends with the failure of a message', async () => {
    const { peer, answers, begun } = setUp()
    const failure = new Error('gone')
    const first = peer.send(message('s', 0, [['push', 1]], { depth: 1 }))
    answers[0]!.reject(failure)
    await expect(first).rejects.toBe(failure)
    expect(begun[0]!.ended).toEqual([{ error: failure, attributes: { 'dotdo.calls': 1 } }])
  })
  test('is the session’s own: another one in between changes nothing', async () => {
    const { peer, answers, begun } = setUp()
    const both = [
      peer.send(message('a', 0, [['push', 1]], { depth: 1 })),
      peer.send(
        message(
          'b',
          0,
          [
            ['push', 1],
            ['push', 2],
          ],
          { depth: 1 },
        ),
      ),
    ]
    answers[1]!.resolve(reply([]))
    await both[1]
    expect(begun.map(({ ended }) => ended.length)).toEqual([0, 1])
    answers[0]!.resolve(reply([]))
    await both[0]
    expect(begun.map(({ ended }) => ended[0]?.attributes?.['dotdo.calls'])).toEqual([1, 2])
  })
  test('is not there where no traces are kept: messages pass as they are', async () => {
    const { peer, sent, answers } = setUp(false)
    const it = message('s', 0, [], { depth: 3, traceparent: 'as it came' })
    const done = peer.send(it)
    expect(sent[0]).toBe(it)
    answers[0]!.resolve(reply([]))
    await done
  })
})
