/**
 * Clients that mean harm, against a real app: each gets an error that says why, its session ends or goes on as it should, another client goes on
 * being served, and what they held is freed.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect, type AnyApp, type AppStub } from 'dotdo/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root, startWorker, workerdOf, type RunningApp } from '../support/app.ts'
import { call, codeIn, raw, type Raw } from './raw.ts'

let running: RunningApp
let good: AppStub<AnyApp>
beforeAll(async () => {
  running = await startWorker(join(root, 'test/hostile/app/wrangler.toml'))
  good = connect(running.url, { token: running.token })
})
afterAll(async () => {
  good?.close()
  await running?.stop()
})

/** Another client, and the object that is attacked itself, are served. */
async function othersAreServed(): Promise<void> {
  expect(await good.Target('another').echo('fine')).toBe('fine')
  expect(await good.Target('attacked').echo('fine too')).toBe('fine too')
}
async function attack(work: (it: Raw) => Promise<void>, token: string | undefined = running.token): Promise<void> {
  const it = await raw(running.url, token)
  try {
    await work(it)
    await othersAreServed()
  } finally {
    it.close()
  }
}
const limitIn = (frame: unknown[]) =>
  ((frame[2] ?? frame[1]) as [string, string, string, null, { data: { limit: string; caller: string } }])[4]?.data

describe('what is refused alone', () => {
  test('a deep chain', () =>
    attack(async (it) => {
      for (let i = 3; i <= 2_000; i++) it.send(call(i - 1, 'self'))
      it.send(call(2, 'ping'), ['pull', 2_000], ['pull', 2_001])
      expect(limitIn(await it.answer(2_000))).toMatchObject({ limit: 'chainDepth', caller: 'a client' })
      expect(codeIn(await it.answer(2_001))).toBe(undefined)
    }))

  test('many chains at once, in which each object leads to the next: they are answered, and others in between', () =>
    attack(async (it) => {
      let id = 2
      for (let chain = 0; chain < 5; chain++) {
        it.send(call(2, 'self'))
        id++
        for (let i = 0; i < 25; i++, id++) it.send(call(id, 'self'))
        it.send(call(id, 'ping'), ['pull', ++id])
      }
      await othersAreServed()
      expect((await it.answer(id))[0]).toBe('resolve')
    }))

  const map = (from: number, instructions: unknown[], captures: unknown[] = []) => ['push', ['remap', from, [], captures, instructions]]
  test('a .map over too many', () =>
    attack(async (it) => {
      it.send(call(2, 'list', 50_000), map(3, [{ n: ['import', 0] }]), ['pull', 4])
      expect(limitIn(await it.answer(4))).toMatchObject({ limit: 'mapFanOut' })
    }))

  test('a .map in a .map over the same long list', () =>
    attack(async (it) => {
      it.send(call(2, 'list', 3_000), ['pull', 3])
      await it.answer(3)
      it.send(map(3, [['remap', -1, [], [], [[[['import', 0]]]]]], [['import', 3]]), ['pull', 4])
      expect(codeIn(await it.answer(4))).toBe('LINK_LIMIT')
    }))

  test('.map in .map in .map', () =>
    attack(async (it) => {
      const inner = (level: number): unknown => (level === 0 ? 1 : ['remap', 0, [], [], [inner(level - 1)]])
      it.send(call(2, 'list', 3), map(3, [inner(20)]), ['pull', 4])
      expect(limitIn(await it.answer(4))).toMatchObject({ limit: 'mapNesting' })
    }))

  test('a value that is nested too deep', () =>
    attack(async (it) => {
      it.send(`["push",["pipeline",2,["echo"],[${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}]]]`, ['pull', 3])
      expect(limitIn(await it.answer(3))).toMatchObject({ limit: 'nesting' })
    }))

  test.each([
    ['constructor.constructor', ['constructor', 'constructor']],
    ['__proto__', ['__proto__', 'constructor']],
    ['a framework’s name', ['dotdo:grant']],
    ['a framework’s name behind a method', ['self', 'dotdo:accept']],
    ['a private name', ['_calls']],
    ['init', ['init']],
    ['a field', ['calls']],
    ['the bindings', ['env', 'DOTDO_SECRET']],
    ['the platform’s state', ['ctx', 'storage']],
    ['a noun from an object', ['Target']],
  ])('a walk to %s', (_, path) =>
    attack(async (it) => {
      it.send(['push', ['pipeline', 2, path, ['return process']]], ['pull', 3])
      const answer = await it.answer(3)
      expect(answer[0]).toBe('reject')
      expect(JSON.stringify(answer)).not.toContain(running.secret)
    }),
  )

  test('a forged token, and one that is a megabyte long', async () => {
    for (const token of ['dotdo1.e30.AAAA', 'x'.repeat(1_000_000), running.token.replace('.', '..'), `${running.token}A`])
      await attack(async (it) => {
        it.send(['pull', 1])
        expect(codeIn(await it.answer(1))).toBe('TOKEN_INVALID')
      }, token)
  })

  test('a reference to what was released', () =>
    attack(async (it) => {
      it.send(call(2, 'ping'), ['pull', 3])
      await it.answer(3)
      it.send(['release', 3, 1], call(2, 'echo', ['pipeline', 3]), ['pull', 4])
      expect(codeIn(await it.answer(4))).toBe('REFERENCE_GONE')
    }))

  test('a call that is asked for twice is made once and answered once', () =>
    attack(async (it) => {
      const before = (await good.Target('attacked').ping()) as number
      it.send(call(2, 'ping'), ['pull', 3], ['pull', 3], ['pull', 3])
      expect(await it.answer(3)).toEqual(['resolve', 3, before + 1])
      await othersAreServed()
      expect(it.frames.filter(([, id]) => id === 3)).toHaveLength(1)
    }))
})

describe('what ends its session', () => {
  /** What ends it is told in an `abort` frame, to the open calls, and in the reason of the close. */
  async function ends(frames: unknown[], code: string, number: number): Promise<void> {
    await attack(async (it) => {
      it.send(call(2, 'slow', 60_000), ['pull', 3])
      it.send(...frames)
      const closed = await it.closed
      expect(closed).toMatchObject({ code: number, reason: expect.stringMatching(new RegExp(`^${code}`)) })
      expect(codeIn(it.frames.at(-1)!)).toBe(code.split(' ')[0])
    })
  }

  test.each<[string, unknown[]]>([
    ['no JSON', ['x']],
    ['an empty text', ['']],
    ['no list', ['7']],
    ['an unknown kind', [['explode', 1]]],
    ['a call of no number', [['push', ['pipeline', 'x', ['ping'], []]]]],
    ['a pull of nothing', [['pull', 99]]],
    ['a release of nothing', [['release', 99, 1]]],
    ['a release of the main capability', [['release', 0, 1]]],
    ['a release below nothing', [['release', -5, -1]]],
    ['a release twice', [call(2, 'ping'), ['release', 4, 1], ['release', 4, 1]]],
    ['an answer to nothing', [['resolve', 1, 'mine']]],
    ['an answer to a promise that was never given', [['resolve', -1, 'mine']]],
    ['a capability of a number that the other end gives', [call(2, 'echo', ['export', 5])]],
    ['a stream of nothing', [call(2, 'echo', ['readable', 77])]],
    ['a value of no kind', [call(2, 'echo', ['nonsense', 1])]],
    ['an address that is none', [call(2, 'echo', ['url', 'no address'])]],
  ])('%s', (_, frames) => ends(frames, 'FRAME_INVALID', 1007))

  test('a message that is too large, before it is read', () =>
    ends([JSON.stringify(['push', 'x'.repeat(17 * 1024 * 1024)])], 'LINK_LIMIT messageBytes', 1009))

  test('capabilities without end', () =>
    ends(
      Array.from({ length: 200 }, (_, i) => call(2, 'echo', ...Array.from({ length: 10 }, (__, j) => ['export', -(10 * i + j + 1)]))),
      'LINK_LIMIT exportsPerSession',
      1008,
    ))

  test('calls that nobody releases, without end', () =>
    ends(
      Array.from({ length: 20_000 }, () => call(1, 'Target', 'attacked')),
      'LINK_LIMIT (?:callsPerSession|framesWaiting)',
      1008,
    ))
})

describe('a POST', () => {
  const post = async (body: string | Uint8Array<ArrayBuffer> | ReadableStream) => {
    const response = await fetch(new URL('/rpc', running.url), { method: 'POST', body, duplex: 'half' })
    const text = await response.text()
    return { status: response.status, code: response.ok ? undefined : (JSON.parse(text) as { code: string }).code }
  }

  test.each<[string, string | Uint8Array<ArrayBuffer>, string]>([
    ['text', 'hello', 'FRAME_INVALID'],
    ['JSON that is no frame', '{"a":1}', 'FRAME_INVALID'],
    ['an unknown frame', '["explode",1]', 'FRAME_INVALID'],
    ['a pull of nothing', '["pull",7]', 'FRAME_INVALID'],
    ['bytes that are no text', new Uint8Array([0xff, 0xfe, 0x00, 0x80]), 'FRAME_INVALID'],
    ['an address that is none', '["push",["url","no address"]]\n["pull",1]', 'FRAME_INVALID'],
    ['more frames than may be', '["pipe"]\n'.repeat(20_000).trim(), 'LINK_LIMIT'],
    ['more bytes than may be', 'x'.repeat(17 * 1024 * 1024), 'LINK_LIMIT'],
  ])('of %s is answered with 400 and a code, whether it says how long it is or not', async (_, body, code) => {
    expect(await post(body)).toEqual({ status: 400, code })
    expect(await post(new Blob([body]).stream())).toEqual({ status: 400, code })
    await othersAreServed()
  })

  test('that would never end is answered: a callback, and a promise that never comes', async () => {
    const login = JSON.stringify(['push', ['pipeline', 0, ['authenticate'], [running.token]]])
    for (const value of [
      ['export', -1],
      ['promise', -1],
    ]) {
      const body = [login, call(1, 'Target', 'attacked'), call(2, 'ask', value), ['pull', 3]].map((it) =>
        typeof it === 'string' ? it : JSON.stringify(it),
      )
      const response = await fetch(new URL('/rpc', running.url), { method: 'POST', body: body.join('\n') })
      const answers = (await response.text()).split('\n').map((line) => JSON.parse(line) as unknown[])
      expect(answers.map(codeIn)).toContain('BATCH_ONE_WAY')
    }
  })

  test('or a request of another kind than a batch or a socket is refused', async () => {
    for (const method of ['GET', 'PUT', 'DELETE']) expect((await fetch(new URL('/rpc', running.url), { method })).status).toBe(405)
  })
})

describe('what stays', () => {
  test('of sockets that are opened and never used: nothing that others would notice', async () => {
    const idle = await Promise.all(Array.from({ length: 100 }, () => raw(running.url)))
    await othersAreServed()
    for (const it of idle) it.close()
    await othersAreServed()
  })

  const residentMiB = () => {
    const status = readFileSync(`/proc/${workerdOf(running.state)}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024
  }
  test('of sessions that were filled and dropped: not the values that they held', async () => {
    const fill = async () => {
      const it = await raw(running.url, running.token)
      // 50 values of 100 kB that nobody releases, and 500 capabilities.
      for (let i = 0; i < 50; i++)
        it.send(call(2, 'echo', 'x'.repeat(100_000), ...Array.from({ length: 10 }, (_, j) => ['export', -(10 * i + j + 1)])))
      it.send(call(2, 'echo', 'done'), ['pull', 53])
      await it.answer(53)
      it.socket.close()
      await it.closed
    }
    for (let i = 0; i < 5; i++) await fill()
    const before = residentMiB()
    for (let i = 0; i < 60; i++) await fill()
    await othersAreServed()
    // They held 300 MB together. That nothing at all stays is not shown: resident memory grows a little with each connection, also with empty ones.
    expect(residentMiB() - before).toBeLessThan(220)
  })
})
