import { env, exports } from 'cloudflare:workers'
import { describe, expect, test, vi } from 'vitest'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import { stats } from '../../src/object/stats.ts'
import { signToken } from '../../src/rpc/tokens.ts'

const open = () => new Links(linkPorts('test', () => {}))
const stub = (noun: string, name: string, links = open()): any => links.user(noun, name)

describe('what a link counts', () => {
  test('one call is one message, one round trip and a few bytes', async () => {
    const stage = stub('Stage', 'counted')
    await stage.run([1, 2, 3])
    expect(stats(stage)).toMatchObject({
      messages: 1,
      roundTrips: 1,
      calls: 1,
      polls: 0,
      openSessions: 0,
      openExports: 0,
      unawaitedFailures: 0,
    })
    expect(stats(stage).bytesSent).toBeGreaterThan(20)
    expect(stats(stage).bytesSent).toBeLessThan(200)
  })
  test('a turn with many calls is one message, and all references of the object say the same', async () => {
    const stage = stub('Stage', 'counted turn')
    await Promise.all([stage.run([1]), stage.run([2]), stage.run([3])])
    expect(stats(stage)).toMatchObject({ messages: 1, roundTrips: 1, calls: 3 })
  })
  test('bytes are about what was passed, in both directions', async () => {
    const stage = stub('Stage', 'counted bytes')
    await stage.run(Array.from({ length: 10_000 }, (_, i) => i))
    const { bytesSent, bytesReceived } = stats(stage)
    expect(bytesSent).toBeGreaterThan(60_000)
    expect(bytesSent).toBeLessThan(120_000)
    expect(bytesReceived).toBeGreaterThan(60_000)
    expect(bytesReceived).toBeLessThan(120_000)
  })
  test('a capability that is held keeps a session open, and letting go of it closes that', async () => {
    const links = open()
    const stage = stub('Stage', 'counted held', links)
    const door = await stage.door()
    expect(stats(stage)).toMatchObject({ openSessions: 1, openExports: 1 })
    expect(stats(door)).toEqual(stats(stage))
    const inspector = links.inspector('Stage', 'counted held') as any
    expect((await inspector.links()).calledBy.openSessions).toBe(1)
    door[Symbol.dispose]()
    for (let i = 0; i < 300 && stats(stage).openSessions > 0; i++) await new Promise((resolve) => setTimeout(resolve, 10))
    expect(stats(stage)).toMatchObject({ openSessions: 0, openExports: 0 })
  })
  test('an operator sees what an object has called', async () => {
    const links = open()
    await stub('Pipeline', 'counted', links).sequence()
    const { calling } = await (links.inspector('Pipeline', 'counted') as any).links()
    expect(calling.calls).toBeGreaterThanOrEqual(2)
    expect(calling.messages).toBeGreaterThanOrEqual(2)
  })
  test('an owner’s count is the sum of its links', async () => {
    const links = open()
    await Promise.all([stub('Stage', 'sum one', links).run([1]), stub('Stage', 'sum two', links).run([1])])
    expect(links.stats).toMatchObject({ messages: 2, calls: 2 })
  })
  test.each([[undefined], [null], [1], ['Stage/a'], [{}], [() => 1]])('%s has no link', (value) => {
    expect(() => stats(value)).toThrow(expect.objectContaining({ code: 'NOT_A_REFERENCE' }))
  })
})

describe('a call that failed before anybody asked for it', () => {
  /** Sends frames over a socket of the Worker's, one message each, and gives what comes back. */
  async function client() {
    const response = await (exports as unknown as { default: Fetcher }).default.fetch('https://app/rpc', {
      headers: { upgrade: 'websocket' },
    })
    const socket = response.webSocket!
    const answers: string[] = []
    socket.addEventListener('message', ({ data }) => void answers.push(String(data)))
    socket.accept()
    return { say: (...frames: unknown[][]) => frames.forEach((frame) => socket.send(JSON.stringify(frame))), answers, socket }
  }

  test('is told in the log of who called it; a client’s is told to the client, which asks in a later message', async () => {
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
    try {
      const { say, answers, socket } = await client()
      const token = await signToken({ kind: 'session', expiresAt: Date.now() + 60_000 }, (env as { DOTDO_SECRET: string }).DOTDO_SECRET)
      const world = [
        ['push', ['pipeline', 0, ['authenticate'], [token]]],
        ['push', ['pipeline', 1, ['World'], ['asked for late']]],
      ]
      // A call by itself, and one on what another gives; after each, whoever looks sees that it was made.
      say(
        ...world,
        ['push', ['pipeline', 2, ['fail'], ['coded']]],
        ['push', ['pipeline', 2, ['counter'], [1]]],
        ['push', ['pipeline', 4, ['break'], []]],
      )
      const noted = stub('World', 'asked for late')
      for (let i = 0; i < 5; i++) await noted.square(i)
      await new Promise((resolve) => setTimeout(resolve, 50))
      expect(warned).not.toHaveBeenCalled()
      say(['pull', 3], ['pull', 5])
      await vi.waitFor(() => expect(answers.filter((it) => it.startsWith('["reject"'))).toHaveLength(2))
      expect(answers.join()).toMatch(/too far.*the counter broke/)
      socket.close()

      stub('World', 'not awaited').fail('coded')
      await vi.waitFor(() => expect(warned.mock.calls.join()).toContain('a call that nobody awaited failed: TOO_FAR'))
    } finally {
      warned.mockRestore()
    }
  })
})
