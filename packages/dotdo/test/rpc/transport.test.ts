/** The parts of a link, each on its own: the transport's queues, and the receiving end spoken to by hand. */
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import { errorExpression, errorForWire, keepName, linkLost, named, nameKey, thrown } from '../../src/rpc/errors.ts'
import { FrameTransport } from '../../src/rpc/frame-transport.ts'
import { linkVersion, type Frame, type LinkMessage } from '../../src/rpc/frames.ts'
import { LinkServer } from '../../src/rpc/link-server.ts'
import { bytePipe } from './byte-pipe.ts'
import { defaultLinkLimits, type LinkLimits } from '../../src/rpc/limits.ts'

const timer = (delayMs: number, then: () => void) => {
  const id = setTimeout(then, delayMs)
  return () => clearTimeout(id)
}

const ports = { bytePipe, timer }

describe('the transport', () => {
  test('gives frames to the session in the order they came, whether it waits or not', async () => {
    const transport = new FrameTransport(() => {}, ports, defaultLinkLimits)
    transport.deliver([['a'], ['b']])
    expect(await transport.receive()).toEqual(['a'])
    expect(await transport.receive()).toEqual(['b'])
    const waiting = transport.receive()
    transport.deliver([['c'], ['d']])
    expect(await waiting).toEqual(['c'])
    expect(await transport.receive()).toEqual(['d'])
  })

  test('keeps nothing of a frame once the session reads on: its loop refers to the last one for as long as the session rests', async () => {
    const transport = new FrameTransport(() => {}, ports, defaultLinkLimits)
    const frames: Frame[] = [
      ['push', new Uint8Array(8)],
      ['push', 1],
    ]
    transport.deliver([...frames])
    const read = await transport.receive()
    expect([read, transport.current]).toEqual([['push', new Uint8Array(8)], read])
    expect(await transport.receive()).toEqual(['push', 1])
    expect(frames[0]).toEqual([])
    void transport.receive()
    expect([transport.current, frames[1]]).toEqual([undefined, []])
  })

  test('tells of each frame that is sent, and hands all of them over once', () => {
    const told: Frame[] = []
    const transport = new FrameTransport((frame) => told.push(frame), ports, defaultLinkLimits)
    transport.send(['push', 1])
    transport.send(['pull', 1])
    expect(told).toEqual([
      ['push', 1],
      ['pull', 1],
    ])
    expect(transport.waiting).toBe(2)
    expect(transport.take()).toEqual([
      ['push', 1],
      ['pull', 1],
    ])
    expect(transport.take()).toEqual([])
  })

  test('a failure reaches a session that waits, one that reads on first, and drops what was to be sent', async () => {
    const waiting = new FrameTransport(() => {}, ports, defaultLinkLimits)
    const read = waiting.receive()
    waiting.fail(new Error('gone'))
    await expect(read).rejects.toThrow('gone')

    const behind = new FrameTransport(() => {}, ports, defaultLinkLimits)
    behind.send(['push', 1])
    behind.deliver([['a']])
    behind.fail(new Error('gone'))
    behind.fail(new Error('a second reason is not the reason'))
    expect(await behind.receive()).toEqual(['a'])
    await expect(behind.receive()).rejects.toThrow('gone')
    expect(behind.take()).toEqual([])
  })
})

describe('errors on the wire', () => {
  test('carry name, message, code, retryable, data and own properties, and neither stack nor cause', () => {
    const error = Object.assign(new DotdoError('X', 'x failed', { data: { n: 1 }, cause: new Error('inside') }), { status: 404 })
    const sent = errorForWire(error)
    expect(Object.assign({}, sent, { message: sent.message, name: sent.name })).toEqual({
      name: 'DotdoError',
      message: 'x failed',
      code: 'X',
      retryable: false,
      data: { n: 1 },
      status: 404,
      // capnweb keeps no name but those of JavaScript's own classes.
      'dotdo:name': 'DotdoError',
    })
    expect(sent.stack).toBeUndefined()
    expect(sent.cause).toBeUndefined()
  })
  test('whose properties cannot be read are told of all the same', () => {
    const error = Object.defineProperty(new Error('told'), 'status', {
      enumerable: true,
      get() {
        throw new Error('do not look')
      },
    })
    expect(errorForWire(error)).toMatchObject({ message: 'told' })
    expect(errorForWire(error)).not.toHaveProperty('status')
  })
  test('that gather others carry them', () => {
    const sent = errorForWire(new AggregateError([new RangeError('a')], 'gathered')) as AggregateError
    expect(sent).toMatchObject({ name: 'AggregateError', message: 'gathered', errors: [expect.objectContaining({ message: 'a' })] })
  })
  test('of others keep their name', () => {
    expect(errorForWire(new RangeError('too far'))).toMatchObject({ name: 'RangeError', message: 'too far' })
  })
  test('come back from what was written without a session, with lists, and without what is no data', () => {
    const data = { list: [1, [2], { three: [] }], text: 'x', none: null, at: new Date(0), call: () => {}, mark: Symbol('x') }
    const expression = errorExpression(Object.assign(new DotdoError('X', 'x failed', { data }), { name: 'PaymentError' }))
    expect(structuredClone(expression)).toEqual(expression)
    const error = thrown(structuredClone(expression))
    expect(error).toMatchObject({ name: 'PaymentError', message: 'x failed', code: 'X', retryable: false })
    expect((error as DotdoError).data).toEqual({ list: [1, [2], { three: [] }], text: 'x', none: null })
    expect(thrown(errorExpression(new RangeError('far')))).toMatchObject({ name: 'RangeError', message: 'far' })
    expect(['a text', 7, undefined, null, ['export', -1]].map((it) => thrown(it))).toEqual(['a text', 7, undefined, undefined, undefined])
  })
  test('have a name that is no more than a short text, whoever sent it', () => {
    const sent = (name: unknown) => named(Object.assign(new RangeError('x'), { [nameKey]: name }))
    for (const name of ['PaymentError', 'x'.repeat(100), '__proto__', 'constructor']) expect(sent(name).name).toBe(name)
    for (const name of ['x'.repeat(101), 7, null, undefined, {}, ['PaymentError']]) expect(sent(name).name).toBe('RangeError')
    for (const name of ['PaymentError', 7]) expect(sent(name)).not.toHaveProperty(nameKey)
    expect(Object.getPrototypeOf(sent('__proto__'))).toBe(RangeError.prototype)
  })
  test.each<[unknown[], unknown[]]>([
    [
      ['error', 'PaymentError', 'x'],
      ['error', 'PaymentError', 'x', null, { 'dotdo:name': 'PaymentError' }],
    ],
    [
      ['error', 'PaymentError', 'x', 'at a', { code: 'X' }],
      ['error', 'PaymentError', 'x', 'at a', { 'dotdo:name': 'PaymentError', code: 'X' }],
    ],
    [
      ['error', 'TypeError', 'x'],
      ['error', 'TypeError', 'x'],
    ],
    [
      ['error', 7, 'x'],
      ['error', 7, 'x'],
    ],
    [
      ['error', 'PaymentError', 'x', null, ['no', 'properties']],
      ['error', 'PaymentError', 'x', null, ['no', 'properties']],
    ],
  ])('of capnweb alone are read with their name: %j', (expression, read) => {
    keepName(expression)
    expect(expression).toEqual(read)
  })
  test('of values that capnweb does not carry have a code, and say what it was and what to pass', () => {
    const value = (shown: string) => (errorForWire(new TypeError(`Cannot serialize value: ${shown}`)) as { data?: unknown }).data
    expect(errorForWire(new TypeError('Cannot serialize value: [object Map]'))).toMatchObject({
      code: 'NOT_SENDABLE',
      message: expect.stringContaining('cannot be sent: Map. Pass plain data') as string,
    })
    expect(value('[object Object]')).toEqual({ value: 'Object' })
    expect(value('/x/')).toEqual({ value: '/x/' })
    // One may say of itself as much as it likes.
    expect(value(`${'x'.repeat(99)}\n${'y'.repeat(1e6)}`)).toEqual({ value: `${'x'.repeat(99)}\n` })
    for (const other of [new TypeError('Cannot serialize'), new Error('It says: Cannot serialize value: 1')])
      expect(errorForWire(other)).not.toHaveProperty('code')
  })
  test('of links say what to do next', () => {
    expect(linkLost('it was idle')).toMatchObject({
      code: 'LINK_LOST',
      retryable: true,
      message: expect.stringMatching(/idle.*Take a new one/s),
    })
  })
})

class Main extends RpcTarget {
  calls: number[] = []
  gate = Promise.withResolvers<void>()
  note(n: number) {
    this.calls.push(n)
    return n
  }
  async wait() {
    await this.gate.promise
    return 'opened'
  }
  self() {
    return this
  }
}

function receiving(limits: Partial<LinkLimits> = {}, later = timer) {
  const main = new Main()
  const server = new LinkServer(() => main, { endOfTurn: (then) => void setImmediate(then), timer: later, bytePipe }, limits)
  const message = (seq: number, frames: Frame[], more: Partial<LinkMessage> = {}): LinkMessage => ({
    version: linkVersion,
    session: 's',
    seq,
    frames,
    ...more,
  })
  return { main, server, message }
}
const call = (method: string, ...args: unknown[]): Frame => ['push', ['pipeline', 0, [method], args]]

describe('the receiving end', () => {
  test('answers a pulled call in the reply to the message that brought it', async () => {
    const { server, message } = receiving()
    expect(await server.accept(message(0, [call('note', 7), ['pull', 1]]))).toEqual({
      seq: 0,
      frames: [['resolve', 1, 7]],
      pending: false,
      open: false,
    })
  })

  test('takes messages in the order of their numbers, whatever order they come in', async () => {
    const { server, message, main } = receiving()
    await server.accept(message(0, [call('note', 0)]))
    const late = [3, 1, 2].map((seq) => server.accept(message(seq, [call('note', seq)])))
    await Promise.all(late)
    expect(main.calls).toEqual([0, 1, 2, 3])
  })

  test('refuses a message that comes twice, and runs it once', async () => {
    const { server, message, main } = receiving()
    await server.accept(message(0, [call('note', 1)]))
    await expect(server.accept(message(0, [call('note', 1)]))).rejects.toMatchObject({ code: 'LINK_LOST' })
    expect(main.calls).toEqual([1])
  })

  test('holds a poll until there is something to say', async () => {
    const { server, message, main } = receiving()
    expect(await server.accept(message(0, [call('wait'), ['pull', 1], call('note', 1), ['pull', 2]]))).toMatchObject({
      frames: [['resolve', 2, 1]],
      pending: true,
      open: true,
    })
    const poll = server.accept(message(1, []))
    main.gate.resolve()
    expect(await poll).toMatchObject({ frames: [['resolve', 1, 'opened']], pending: false })
  })

  test('a newer message releases the poll that hangs', async () => {
    const { server, message, main } = receiving()
    await server.accept(message(0, [call('wait'), ['pull', 1], call('note', 1), ['pull', 2]]))
    const poll = server.accept(message(1, []))
    await new Promise((resolve) => setImmediate(resolve))
    const newer = server.accept(message(2, [call('note', 9), ['pull', 3]]))
    // Whichever of the two replies is first on its way carries the answer.
    const first = await poll
    expect(first).toMatchObject({ pending: true })
    main.gate.resolve()
    expect([...first.frames, ...(await newer).frames]).toEqual([
      ['resolve', 3, 9],
      ['resolve', 1, 'opened'],
    ])
  })

  test('gives up a poll after a while, so that the caller can renew it', async () => {
    const { server, message, main } = receiving({ pollMs: 20 })
    expect(await server.accept(message(0, [call('wait'), ['pull', 1]]))).toMatchObject({ frames: [], pending: true, open: true })
    main.gate.resolve()
  })

  test('answers a caller that has more to say at once, though its call still runs', async () => {
    const { server, message, main } = receiving()
    expect(await server.accept(message(0, [call('wait'), ['pull', 1]], { duplex: true }))).toMatchObject({
      frames: [],
      pending: true,
      open: true,
    })
    main.gate.resolve()
  })

  test('keeps a session that a result leads back to, and forgets one that its caller has ended', async () => {
    const { server, message } = receiving()
    expect(await server.accept(message(0, [call('self'), ['pull', 1]]))).toMatchObject({ open: true })
    expect(server.openSessions).toBe(1)
    await server.accept({ version: linkVersion, session: 'other', seq: 0, frames: [], ended: ['s', 'unknown'] })
    expect(server.openSessions).toBe(1)
    await expect(server.accept(message(1, [call('note', 1)]))).rejects.toMatchObject({ code: 'LINK_LOST' })
  })

  test('drops what nobody uses, and the retained only when idle for long', async () => {
    const waiting: (() => void)[] = []
    const pass = (graces: number) => {
      for (; graces > 0; graces--) for (const then of waiting.splice(0)) then()
    }
    const { server, message } = receiving({ graceMs: 5, idleMs: 60 }, (_, then) => {
      waiting.push(then)
      return () => void waiting.splice(waiting.indexOf(then) >>> 0, 1)
    })
    await server.accept(message(0, [call('note', 1), ['pull', 1]]))
    await server.accept({ ...message(0, [call('self'), ['pull', 1]]), session: 'kept' })
    expect(server.openSessions).toBe(2)
    pass(2)
    expect(server.openSessions).toBe(1)
    pass(60 / 5 - 2)
    expect(server.openSessions).toBe(1)
    pass(1)
    expect(server.openSessions).toBe(0)
    expect(waiting).toEqual([])
  })

  test('bounds the calls that one session keeps', async () => {
    const { server, message } = receiving({ callsPerSession: 3 })
    await server.accept(message(0, [call('self'), call('self'), call('self')]))
    await expect(server.accept(message(1, [call('self')]))).rejects.toMatchObject({
      code: 'LINK_LIMIT',
      data: { limit: 'callsPerSession' },
    })
  })

  test('every limit has a default and is a whole positive number', () => {
    for (const value of Object.values(defaultLinkLimits)) expect(Number.isInteger(value) && value > 0).toBe(true)
  })

  test.each([
    ['no array', [7]],
    ['an unknown kind', [['shout', 1]]],
    ['a pull of nothing', [['pull', 99]]],
    ['a release of nothing', [['release', 99, 1]]],
    ['a release below zero', [call('self'), ['release', 1, 5]]],
    ['a push of nothing', [['push']]],
    [
      'an export that is none',
      [
        ['push', ['pipeline', 55, ['note'], []]],
        ['pull', 1],
      ],
    ],
  ])('%s ends that session with a reason, and the object goes on', async (_, frames) => {
    const { server, message } = receiving()
    const answer = await server.accept(message(0, frames as Frame[])).then(
      (reply) => reply.frames,
      (error: unknown) => [['threw', (error as { code: string }).code]],
    )
    expect(['abort', 'reject', 'threw']).toContain((answer[0] as unknown[])[0])
    expect(await server.accept({ ...message(0, [call('note', 5), ['pull', 1]]), session: 'fresh' })).toMatchObject({
      frames: [['resolve', 1, 5]],
    })
  })
})
