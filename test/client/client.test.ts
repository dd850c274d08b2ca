/** What a client meets from outside of a running Worker: calls, sessions, live events, tokens, and everything that is refused. */
import { request } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { newHttpBatchRpcSession, newWebSocketRpcSession } from 'capnweb'
import { codeOf, connect, redeem, type AnyApp, type AppStub, type ConnectionStatus, type LiveEvent } from 'dotdo/client'
import { signToken } from 'dotdo/tokens'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sessionToken, startWorker, until, type RunningApp } from '../support/app.ts'
import { recordSockets, type Recorder } from '../support/sockets.ts'

const config = fileURLToPath(new URL('app/wrangler.toml', import.meta.url))

let running: RunningApp
let recorder: Recorder
let app: AppStub<AnyApp>
beforeAll(async () => {
  running = await startWorker(config)
})
afterAll(() => running?.stop())
beforeEach(() => {
  recorder = recordSockets()
  app = connect(running.url, { token: running.token })
})
afterEach(() => {
  app.close()
  recorder[Symbol.dispose]()
})

/** How a call fails. */
const failure = (call: PromiseLike<unknown>) =>
  Promise.resolve(call).then(
    (value) => ({ answered: value }),
    (error: unknown) => error as Error & { code?: string; data?: unknown; retryable?: boolean },
  )
const codeOfFailure = async (call: PromiseLike<unknown>) => {
  const thrown = await failure(call)
  return 'answered' in thrown ? thrown : codeOf(thrown)
}

describe('calls', () => {
  test('reach the object of a name, and its getters', async () => {
    expect(await app.Counter('a').add(2)).toBe(2)
    expect(await app.Counter('a').add(3)).toBe(5)
    expect(await app.Counter('a').value).toBe(5)
    expect(await app.Counter('b').add(1)).toBe(1)
  })

  test('carry dates, bytes, big integers, undefined in an object and infinite numbers as they are', async () => {
    const value = {
      at: new Date(5),
      bytes: Uint8Array.of(0, 255),
      big: 2n ** 70n,
      none: undefined,
      far: -Infinity,
      text: 'Zürich \u0000',
      list: [1, [2, null]],
    }
    const { bytes, ...others } = await app.Counter('echo').echo(value)
    expect(others).toEqual({ ...value, bytes: undefined })
    // In Node they come as a Buffer, which is one.
    expect(bytes).toBeInstanceOf(Uint8Array)
    expect([...bytes]).toEqual([0, 255])
  })

  test('nothing is sent before the first call', async () => {
    expect(recorder.sockets).toHaveLength(0)
    await app.Counter('lazy').value
    expect(recorder.sockets).toHaveLength(1)
  })

  test('a chain over three objects is one round trip', async () => {
    await app.Counter('warm').value
    recorder.clear()
    expect(await app.Counter('c').next('d').next('e').add(7)).toBe(7)
    expect(recorder.trips('/rpc')).toBe(1)
  })

  test('calls made together leave together, and so does a promise that is an argument', async () => {
    await app.Counter('warm').value
    recorder.clear()
    const sum = app.Counter('t').add(4)
    expect(await Promise.all([sum, app.Counter('u').add(sum), app.Counter('v').add(1)])).toEqual([4, 4, 1])
    expect(recorder.trips('/rpc')).toBe(1)
  })

  test('calls on one object take effect in the order they were made', async () => {
    const results = await Promise.all(Array.from({ length: 50 }, (_, i) => app.Counter('order').add(i)))
    expect(results).toEqual(results.toSorted((a, b) => a - b))
    expect(results.at(-1)).toBe(1225)
  })

  test('the first call opens the session in the same trip: the way in is part of the chain', async () => {
    expect(await app.Counter('first').add(1)).toBe(1)
    expect(recorder.trips('/rpc')).toBe(1)
  })
})

describe('errors', () => {
  test('of the user’s code arrive with code, message and data', async () => {
    await app.Counter('broken').add(3)
    expect(await failure(app.Counter('broken').fail())).toMatchObject({
      code: 'COUNTER_BROKE',
      message: 'The counter broken broke at 3. Take another one.',
      data: { id: 'broken', total: 3 },
      retryable: false,
    })
  })

  test('of an unknown noun name those that exist, and the framework’s own are none', async () => {
    const error = await failure(app.Nowhere('x').go())
    expect(error).toMatchObject({ code: 'NOUN_UNKNOWN', data: { noun: 'Nowhere', known: ['Counter', 'Runner'] } })
    expect((error as Error).message).toContain('Counter, Runner')
    for (const name of ['tokens', 'catalog R2_BUCKET']) {
      expect(await codeOfFailure(app.DotdoSystem(name).listNamespaces())).toBe('NOUN_UNKNOWN')
      expect(await codeOfFailure(app.DotdoSystem(name).redeem('x', 1))).toBe('NOUN_UNKNOWN')
      expect(await codeOfFailure(app.dotdo.object('DotdoSystem', name).describe())).toBe('NOUN_UNKNOWN')
      expect(await codeOfFailure(app.dotdo.watch('DotdoSystem', name))).toBe('NOUN_UNKNOWN')
    }
  })

  test('of an unknown method name those that exist', async () => {
    const error = await failure(app.Counter('x').explode())
    expect(error).toMatchObject({ code: 'METHOD_UNKNOWN', data: { noun: 'Counter', method: 'explode' } })
    expect((error as Error).message).toMatch(/Counter has no method "explode".*add/)
  })

  test.each(['_hidden', 'init', 'ctx', 'env', 'do', 'send', 'every', 'dotdoLink', 'dotdoCall', 'fetch', 'alarm', 'total'])(
    '%s is reached by no call',
    async (name) => {
      const answer = await failure((app.Counter('x') as Record<string, (...args: unknown[]) => PromiseLike<unknown>>)[name]!('x'))
      expect(answer).toBeInstanceOf(Error)
    },
  )

  test.each([[''], ['x'.repeat(1025)], [7], [undefined], [{}]])('an object is not named %j', async (name) => {
    expect(await codeOfFailure(app.Counter(name as string).value)).toBe('INVALID_NAME')
  })

  test('of a bad address are of the line that has it', () => {
    expect(() => connect('my-pipeline', { token: '' })).toThrow(/INVALID_URL|is no address/)
    expect(() => connect('ftp://my-pipeline.example', { token: '' })).toThrow(/Write http:\/\/my-pipeline\.example/)
  })
})

describe('a session that breaks', () => {
  test('is opened again at once where a call has no answer: the call is sent again, and takes effect once', async () => {
    const seen: ConnectionStatus[] = []
    const fragile = connect(running.url, { token: running.token, onStatus: (status) => seen.push(status) })
    await fragile.Counter('fragile').add(1)
    const underWay = fragile.Counter('fragile').addSlowly(1, 500)
    await wait(50)
    recorder.sockets.at(-1)!.close()
    expect(await underWay).toBe(2)
    expect(await fragile.Counter('fragile').add(1)).toBe(3)
    expect(seen).toEqual(['connecting', 'open', 'lost', 'connecting', 'open'])
    fragile.close()
    expect(seen.at(-1)).toBe('closed')
  })

  test('is opened again by the next call where none is under way', async () => {
    const seen: ConnectionStatus[] = []
    const idle = connect(running.url, { token: running.token, onStatus: (status) => seen.push(status) })
    await idle.Counter('idle').add(1)
    recorder.sockets.at(-1)!.close()
    await until(
      'the loss is told',
      async () => seen.at(-1),
      (it) => it === 'lost',
      5000,
    )
    await wait(400)
    expect(seen).toEqual(['connecting', 'open', 'lost'])
    expect(await idle.Counter('idle').add(1)).toBe(2)
    expect(seen).toEqual(['connecting', 'open', 'lost', 'connecting', 'open'])
    idle.close()
  })

  test('a reference taken from the connection before it broke serves after it', async () => {
    const counter = () => app.Counter('kept')
    await counter().add(1)
    recorder.sockets.at(-1)!.close()
    await until(
      'the loss is noticed',
      () =>
        counter().value.then(
          (it: unknown) => it,
          () => undefined,
        ),
      (it) => it === 1,
      5000,
    )
  })

  test('an app that is not there fails each call as LINK_LOST, when it was tried for long enough', async () => {
    const seen: ConnectionStatus[] = []
    const nobody = connect('http://127.0.0.1:9', { token: running.token, giveUpMs: 500, onStatus: (status) => seen.push(status) })
    expect(await failure(nobody.Counter('x').value)).toMatchObject({ code: 'LINK_LOST', retryable: true })
    expect(seen.slice(0, 3)).toEqual(['connecting', 'lost', 'connecting'])
    expect(seen.at(-1)).toBe('lost')
    expect(await failure(nobody.Counter('x').value)).toMatchObject({ code: 'LINK_LOST' })
    nobody.close()
  })

  test('after close() every call is refused, and no socket is left', async () => {
    await app.Counter('closed').value
    const underWay = failure(app.Counter('closed').slow(60_000))
    app.close()
    expect(await underWay).toBeInstanceOf(Error)
    expect(await failure((async () => await app.Counter('closed').value)())).toMatchObject({ code: 'LINK_LOST' })
    await until(
      'the socket closes',
      async () => recorder.sockets.map((it) => it.readyState),
      (states) => states.every((it) => it === WebSocket.CLOSED),
      5000,
    )
  })
})

describe('live events', () => {
  /** Watches, and waits until the subscription stands. */
  async function watching(name: string) {
    const events: LiveEvent[] = []
    const notes: string[] = []
    const subscription = app.watch('Runner', name, {
      event: (event) => events.push(event),
      refresh: () => notes.push('refresh'),
      lost: (_, retryMs) => notes.push(retryMs <= 250 ? 'lost' : `lost, again in ${retryMs} ms`),
      resumed: () => notes.push('resumed'),
      ended: (error) => notes.push(`ended: ${codeOf(error)}`),
    })
    await until(
      'the subscription stands',
      async () => notes.length,
      (it) => it > 0,
      10_000,
    )
    return { events, notes, subscription }
  }
  const runTo = async (name: string, events: LiveEvent[]): Promise<string> => {
    const runId = await app.dotdo.object('Runner', name).trigger('nightly')
    await until(
      'the run’s end is told',
      async () => events,
      (it) => it.some((event) => event.type === 'run.done' && event.run.runId === runId),
      20_000,
    )
    return runId
  }

  test('tell of a run: that it started, each step with its progress and result, and its end', async () => {
    const { events, notes, subscription } = await watching('told')
    const runId = await runTo('told', events)
    subscription.close()
    expect(notes).toEqual(['refresh'])
    const ofRun = events.filter((it) => ('run' in it ? it.run.runId : 'step' in it ? it.runId : '') === runId)
    const told = ofRun.map((it) => ('step' in it ? `${it.type} ${it.step.stepId}` : it.type))
    expect(told.filter((it) => !it.startsWith('step.progress'))).toEqual([
      'run.started',
      'step.started lay-out',
      'step.done lay-out',
      'step.started read',
      'step.done read',
      'run.done',
    ])
    expect(ofRun.find((it) => it.type === 'step.done' && it.step.stepId === 'read')).toMatchObject({
      step: { status: 'done', attempt: 1, result: { rows: 5000 }, progress: { rows: 5000 } },
    })
    const progress = ofRun.flatMap((it) => (it.type === 'step.progress' ? [[it.step.stepId, it.step.progress]] : []))
    expect(progress).toContainEqual(['read', expect.objectContaining({ at: 's3://data-lake/rows.ndjson' })])
    // Numbered without gaps.
    expect(events.map((it) => it.seq - events[0]!.seq)).toEqual(events.map((_, i) => i))
  })

  test('that are missed call for a look at the state', async () => {
    const { events, notes, subscription } = await watching('gap')
    recorder.dropNext('/live')
    await runTo('gap', events)
    subscription.close()
    expect(notes).toEqual(['refresh', 'refresh'])
    expect(events.some((it) => it.type === 'run.started')).toBe(false)
  })

  test('come again after the socket broke, with a new ticket', async () => {
    const { events, notes, subscription } = await watching('again')
    recorder.of('/live').at(-1)!.close()
    await until(
      'it stands again',
      async () => notes,
      (it) => it.length === 3,
      10_000,
    )
    // Nothing happened in between.
    expect(notes).toEqual(['refresh', 'lost', 'resumed'])
    await runTo('again', events)
    const [first, second] = recorder.of('/live').map((it) => new URL(it.url).searchParams.get('ticket'))
    expect(first).not.toBe(second)
    subscription.close()
    await wait(50)
    expect(recorder.of('/live').every((it) => it.readyState >= WebSocket.CLOSING)).toBe(true)
  })

  test('that happened while the socket was broken come when it stands again, in their order', async () => {
    const { events, notes, subscription } = await watching('caught up')
    await runTo('caught up', events)
    const other: LiveEvent[] = []
    const witness = app.watch('Runner', 'caught up', { event: (event) => other.push(event) })
    await wait(200)
    recorder.of('/live')[0]!.close()
    await runTo('caught up', other)
    await until(
      'what was missed has come',
      async () => events,
      (it) => it.at(-1)?.seq === other.at(-1)?.seq,
      10_000,
    )
    expect(notes).toEqual(['refresh', 'lost', 'resumed'])
    expect(events.map((it) => it.seq - events[0]!.seq)).toEqual(events.map((_, i) => i))
    expect(events.slice(-other.length)).toEqual(other)
    witness.close()
    subscription.close()
  })

  test('end where trying again cannot help, and are tried again no more', async () => {
    const expired = connect(running.url, { token: await sessionToken(running.secret, -1) })
    const told: string[] = []
    await new Promise<void>((resolve) => {
      expired.watch('Runner', 'expired', {
        event: () => told.push('event'),
        lost: () => told.push('lost'),
        ended: (error) => (told.push(codeOf(error)!), resolve()),
      })
    })
    await wait(600)
    expect(told).toEqual(['TOKEN_EXPIRED'])
    expired.close()
  })
})

describe('an unmodified capnweb client', () => {
  const ws = () => newWebSocketRpcSession(new URL('/rpc', running.url).href.replace('http', 'ws')) as any
  const batch = () => newHttpBatchRpcSession(new URL('/rpc', running.url).href) as any

  test('makes the same calls over a WebSocket, in one round trip', async () => {
    using door = ws()
    expect(await door.authenticate(running.token).Counter('capnweb').next('other').add(5)).toBe(5)
    expect(recorder.trips('/rpc')).toBe(1)
    expect(await door.authenticate(running.token).dotdo.describe()).toEqual({ nouns: ['Counter', 'Runner'], singletons: {} })
  })

  test('makes the same calls as one HTTP batch', async () => {
    expect(await batch().authenticate(running.token).Counter('batched').next('other batch').add(5)).toBe(5)
    const door = batch()
    const opened = door.authenticate(running.token)
    expect(
      await Promise.all([
        opened.Counter('batched').add(1),
        opened.Counter('batched').add(1),
        opened.dotdo
          .object('Runner', 'x')
          .schedules()
          .map((it: { scheduleId: string }) => it.scheduleId),
      ]),
    ).toEqual([1, 2, ['nightly']])
  })

  test.each([
    ['a WebSocket', ws],
    ['an HTTP batch', batch],
  ])('gets the same typed errors over %s', async (_, open) => {
    expect(await failure(open().authenticate(running.token).Nowhere('x').go())).toMatchObject({ code: 'NOUN_UNKNOWN' })
    expect(await failure(open().authenticate('dotdo1.e30.AAAA').Counter('x').value)).toMatchObject({ code: 'TOKEN_INVALID' })
  })

  test.each([
    ['a WebSocket', ws],
    ['an HTTP batch', batch],
  ])('reaches nothing without authenticate, over %s', async (_, open) => {
    for (const call of [
      (door: any) => door.Counter('x').add(1),
      (door: any) => door.Counter,
      (door: any) => door.dotdo.describe(),
      (door: any) => door.dotdo,
      (door: any) => door.links,
      (door: any) => door.env,
    ]) {
      const answer = await failure(call(open()))
      expect(answer instanceof Error || answer.answered === undefined, `${String(call)} gave ${JSON.stringify(answer)}`).toBe(true)
    }
  })
})

describe('frames made by hand', () => {
  /** Calls one path of the door, as no client would, and gives the answer's frame. */
  async function call(path: string[], args?: unknown[]): Promise<unknown[]> {
    const socket = new WebSocket(new URL('/rpc', running.url).href.replace('http', 'ws'))
    const answer = Promise.withResolvers<unknown[]>()
    socket.addEventListener('message', ({ data }) => answer.resolve(JSON.parse(String(data)) as unknown[]))
    socket.addEventListener('close', () => answer.resolve(['closed']))
    await new Promise((opened) => socket.addEventListener('open', opened))
    socket.send(JSON.stringify(['push', ['pipeline', 0, path, ...(args ? [args] : [])]]))
    socket.send(JSON.stringify(['pull', 1]))
    const frame = await answer.promise
    socket.close()
    return frame
  }
  const paths = [
    ['constructor'],
    ['constructor', 'constructor'],
    ['__proto__', 'constructor'],
    ['authenticate', 'constructor'],
    ['toString'],
    ['hasOwnProperty'],
    ['Counter'],
    ['dotdo', 'describe'],
    ['links'],
    ['env', 'DOTDO_SECRET'],
  ]
  test.each(paths.map((path) => [path.join('.'), path] as const))('do not walk to %s', async (_, path) => {
    expect(await call(path, ['return 1'])).toEqual(['reject', 1, expect.anything()])
  })

  test.each([
    ['no JSON', 'x'],
    ['no list', '7'],
    ['an unknown frame', '["explode",1]'],
    ['an answer to nothing', '["resolve",99,1]'],
    ['a release of nothing', '["release",99,1]'],
  ])('that are %s end their session, and others go on', async (_, frame) => {
    const socket = new WebSocket(new URL('/rpc', running.url).href.replace('http', 'ws'))
    const ended = new Promise((end) => socket.addEventListener('close', end))
    await new Promise((opened) => socket.addEventListener('open', opened))
    socket.send(frame)
    const { reason } = (await ended) as CloseEvent
    expect(reason).toMatch(/^FRAME_INVALID: /)
    expect(await app.Counter('others').value).toBe(0)
  })

  test.each([
    ['a call of nothing', ['pipeline', 99, ['add'], [1]], 'REFERENCE_GONE'],
    ['deep nesting', JSON.parse(`${'['.repeat(5000)}${']'.repeat(5000)}`) as unknown[], 'LINK_LIMIT'],
  ])('that are %s are refused alone, and their session goes on', async (_, expression, code) => {
    const socket = new WebSocket(new URL('/rpc', running.url).href.replace('http', 'ws'))
    const answers: unknown[][] = []
    const both = Promise.withResolvers<void>()
    socket.addEventListener('message', ({ data }) => {
      if (answers.push(JSON.parse(String(data)) as unknown[]) === 2) both.resolve()
    })
    await new Promise((opened) => socket.addEventListener('open', opened))
    for (const frame of [
      ['push', expression],
      ['pull', 1],
      ['push', ['pipeline', 0, ['authenticate'], ['no token']]],
      ['pull', 2],
    ])
      socket.send(JSON.stringify(frame))
    await both.promise
    socket.close()
    const codes = answers.map(([kind, id, error]) => [kind, id, (error as [string, string, string, null, { code: string }])[4].code])
    expect(codes.toSorted(([, a], [, b]) => Number(a) - Number(b))).toEqual([
      ['reject', 1, code],
      ['reject', 2, 'TOKEN_INVALID'],
    ])
  })
})

describe('tokens', () => {
  const open = (token: unknown) => {
    const client = connect(running.url, { token: token as string })
    return failure(client.Counter('guarded').value).finally(() => client.close())
  }
  const later = () => Date.now() + 60_000
  const wrong: [string, () => Promise<unknown>, string][] = [
    ['none', async () => undefined, 'TOKEN_INVALID'],
    ['an empty one', async () => '', 'TOKEN_INVALID'],
    ['one that is no text', async () => ({ toString: () => running.token }), 'TOKEN_INVALID'],
    ['one of another secret', () => sessionToken('another secret, as long as it must be'), 'TOKEN_INVALID'],
    [
      'one whose claims were changed',
      async () => running.token.replace(/\.(.)/, (_, first: string) => `.${first === 'e' ? 'f' : 'e'}`),
      'TOKEN_INVALID',
    ],
    ['one without its signature', async () => running.token.split('.').slice(0, 2).join('.'), 'TOKEN_INVALID'],
    ['one that is very long', async () => running.token + 'A'.repeat(5000), 'TOKEN_INVALID'],
    ['one that has expired', () => sessionToken(running.secret, -1), 'TOKEN_EXPIRED'],
    ['one of a link', () => signToken({ kind: 'once', id: 'as a session', expiresAt: later() }, running.secret), 'TOKEN_INVALID'],
    ['a ticket', () => signToken({ kind: 'watch', object: 'Counter/guarded', expiresAt: later() }, running.secret), 'TOKEN_INVALID'],
  ]
  test.each(wrong)('%s opens nothing, and is told why', async (_, token, code) => {
    const given = await token()
    const error = await open(given)
    expect(error).toMatchObject({ code })
    expect((error as Error).message).toMatch(/Open (?:the|a new) link/)
    // A token is a secret.
    if (typeof given === 'string' && given.length > 0) expect((error as Error).message).not.toContain(given)
  })

  test('a link’s token becomes a session once', async () => {
    const link = await signToken({ kind: 'once', id: 'once', expiresAt: later() }, running.secret)
    const session = await redeem(running.url, link)
    expect(session.expiresAt).toBeGreaterThan(Date.now())
    expect(await open(session.token)).toEqual({ answered: 0 })
    expect(await codeOfFailure(redeem(running.url, link))).toBe('TOKEN_USED')
  })

  test('a link that is opened ten times at once opens once', async () => {
    const link = await signToken({ kind: 'once', id: 'raced', expiresAt: later() }, running.secret)
    const answers = await Promise.all(Array.from({ length: 10 }, () => codeOfFailure(redeem(running.url, link))))
    expect(answers.filter((it) => typeof it === 'object')).toHaveLength(1)
    expect(answers.filter((it) => it === 'TOKEN_USED')).toHaveLength(9)
  })

  test('a link that has expired, or is a session’s token, becomes no session', async () => {
    expect(
      await codeOfFailure(redeem(running.url, await signToken({ kind: 'once', id: 'late', expiresAt: Date.now() - 1 }, running.secret))),
    ).toBe('TOKEN_EXPIRED')
    expect(await codeOfFailure(redeem(running.url, running.token))).toBe('TOKEN_INVALID')
  })
})

describe('what speaks HTTP', () => {
  /** One request by hand: fetch lets nobody set Host or Upgrade. */
  function ask(path: string, headers: Record<string, string> = {}, at = running.url): Promise<{ status: number; text: string }> {
    const url = new URL(at)
    return new Promise((resolve, reject) => {
      const asking = request({ host: url.hostname, port: url.port, path, headers, agent: false })
      asking.on('response', (response) => {
        let text = ''
        response.on('data', (part: Buffer) => (text += part.toString())).on('end', () => resolve({ status: response.statusCode!, text }))
      })
      asking.on('upgrade', (response, socket) => (socket.destroy(), resolve({ status: response.statusCode!, text: '' })))
      asking.on('error', reject).end()
    })
  }
  const upgrade = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
  const ticket = (object: string, ms = 60_000) => signToken({ kind: 'watch', object, expiresAt: Date.now() + ms }, running.secret)

  test('/live takes a ticket for this object, and nothing else', async () => {
    expect((await ask(`/live/Runner/x?ticket=${await ticket('Runner/x')}`, upgrade)).status).toBe(101)
    expect((await ask(`/live/Runner/x?ticket=${await ticket('Runner/x')}`)).status).toBe(426)
    expect((await ask('/live/Runner/x', upgrade)).status).toBe(401)
    expect((await ask('/live/Runner/x?ticket=wrong', upgrade)).status).toBe(401)
    expect((await ask(`/live/Runner/x?ticket=${running.token}`, upgrade)).status).toBe(401)
    expect((await ask(`/live/Runner/x?ticket=${await ticket('Runner/x', -1)}`, upgrade)).text).toContain('TOKEN_EXPIRED')
    expect((await ask(`/live/Runner/y?ticket=${await ticket('Runner/x')}`, upgrade)).status).toBe(403)
    expect((await ask(`/live/Runner?ticket=${await ticket('Runner/undefined')}`, upgrade)).status).toBe(403)
    expect((await ask(`/live/%E0%A4%A?ticket=${await ticket('Runner/x')}`, upgrade)).status).toBe(400)
  })

  test('/iceberg takes a session’s token, and nothing else', async () => {
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
    expect((await ask('/iceberg/v1/config', bearer(running.token))).status).toBe(200)
    expect(await ask('/iceberg/v1/config')).toMatchObject({ status: 401, text: expect.stringContaining('TOKEN_INVALID') })
    expect((await ask('/iceberg/v1/namespaces')).status).toBe(401)
    expect((await ask('/iceberg/v1/config', bearer('wrong'))).status).toBe(401)
    expect(await ask('/iceberg/v1/config', bearer(await sessionToken(running.secret, -1)))).toMatchObject({
      status: 401,
      text: expect.stringContaining('TOKEN_EXPIRED'),
    })
    expect((await ask('/iceberg/v1/config', { authorization: `Basic ${btoa(`x:${running.token}`)}` })).status).toBe(401)
    expect(await ask('/iceberg/elsewhere/v1/config', bearer(running.token))).toMatchObject({
      status: 400,
      text: expect.stringContaining('data-lake'),
    })
    expect((await ask('/iceberg/data-lake/v1/config', bearer(running.token))).status).toBe(200)
  })

  test('/buckets is there for callers of this machine by its own name, and for no others', async () => {
    const list = '/buckets/data-lake?list-type=2'
    expect((await ask(list)).status).toBe(200)
    const { port } = new URL(running.url)
    expect((await ask(list, { host: `localhost:${port}` })).status).toBe(200)
    // A page elsewhere whose name was pointed at this machine.
    for (const host of ['evil.example', `evil.example:${port}`, 'localhost.evil.example', '127.0.0.1.evil.example'])
      expect((await ask(list, { host })).status, host).toBe(404)
  })

  test('/buckets is not there where the app is not run for development', async () => {
    await using deployed = await startWorker(config, { DOTDO_LOCAL: '' })
    expect((await ask('/buckets/data-lake?list-type=2', {}, deployed.url)).status).toBe(404)
    const config200 = await ask('/iceberg/v1/config', { authorization: `Bearer ${deployed.token}` }, deployed.url)
    expect(config200).toMatchObject({ status: 200 })
    expect(config200.text).not.toContain('s3.endpoint')
  })

  test('an app without a secret opens to nobody, and says what to set', async () => {
    await using open = await startWorker(config, { DOTDO_SECRET: '' })
    expect(await failure(open.app.Counter('x').value)).toMatchObject({
      code: 'SECRET_MISSING',
      message: expect.stringContaining('DOTDO_SECRET'),
    })
    expect(await ask('/iceberg/v1/config', { authorization: 'Bearer x' }, open.url)).toMatchObject({
      status: 401,
      text: expect.stringContaining('SECRET_MISSING'),
    })
  })

  test('anything else is not found', async () => {
    for (const path of ['/', '/rpcs', '/dotdoLink', '/%', '//', '/Counter/x']) expect((await ask(path)).status, path).toBe(404)
  })
})
