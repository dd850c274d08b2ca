/** What becomes of calls when the network between a client and an app breaks: a proxy in between is cut. */
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { codeOf, connect, type AnyApp, type AppStub, type ConnectionStatus, type ConnectOptions } from 'dotdo/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { connectOver } from '../../packages/dotdo/src/client/connect.ts'
import { webPorts } from '../../packages/dotdo/src/client/ports.ts'
import { sessionToken, startWorker, temporary, until, type RunningApp } from '../support/app.ts'
import { tcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

const config = fileURLToPath(new URL('app/wrangler.toml', import.meta.url))

let running: RunningApp
let proxy: TcpProxy
let clients: AppStub<AnyApp>[] = []
beforeAll(async () => {
  running = await startWorker(config)
})
afterAll(() => running?.stop())
beforeEach(async () => {
  proxy = await tcpProxy(running.url)
})
afterEach(async () => {
  for (const client of clients) client.close()
  clients = []
  await proxy.stop()
})

/** A client behind the proxy, and what it was told. */
function client(options: Partial<ConnectOptions> = {}) {
  const seen: ConnectionStatus[] = []
  const app = connect(proxy.url, { token: running.token, onStatus: (status) => seen.push(status), ...options })
  clients.push(app)
  return { app, seen }
}
const outcome = (call: PromiseLike<unknown>) =>
  Promise.resolve(call).then(
    (value) => value,
    (error: unknown) => codeOf(error) ?? String(error),
  )

describe('a call on an object', () => {
  test('whose answer was cut off is answered when the connection stands again, and took effect once', async () => {
    const { app } = client()
    await app.Counter('cut').keep(1)
    const call = app.Counter('cut').addSlowly(5, 400)
    await wait(100)
    proxy.cut()
    expect(await call).toBe(5)
    expect(await running.app.Counter('cut').value).toBe(5)
    expect(proxy.connections).toBe(2)
  })

  test('that was done while nobody could be told is answered from what the object kept', async () => {
    const { app } = client()
    await app.Counter('kept').value
    proxy.pass = (from) => from === 'client'
    const call = app.Counter('kept').keep(7)
    await until(
      'it has taken effect',
      () => running.app.Counter('kept').keep(0),
      (it) => it === 7,
    )
    proxy.cut()
    proxy.pass = () => true
    expect(await call).toBe(7)
    expect(await app.Counter('kept').keep(0)).toBe(7)
  })

  test('that never arrived is made when the connection stands again', async () => {
    const { app } = client()
    await app.Counter('dropped').value
    proxy.pass = (from) => from === 'app'
    const call = app.Counter('dropped').add(3)
    await wait(100)
    proxy.cut()
    proxy.pass = () => true
    expect(await call).toBe(3)
  })

  test('of several parts is resumed as a whole: each part took effect once', async () => {
    const { app } = client()
    await app.Counter('whole').value
    proxy.pass = (from) => from === 'client'
    const call = app.Counter('whole').next('whole, next').next('whole, last').add(4)
    await wait(300)
    proxy.cut()
    proxy.pass = () => true
    expect(await call).toBe(4)
    expect(await app.Counter('whole, last').value).toBe(4)
  })

  test('whose result was too large to be kept tells that it took effect', async () => {
    const { app } = client()
    await app.Counter('large').value
    proxy.pass = (from) => from === 'client'
    const call = outcome(app.Counter('large').text(300_000))
    await wait(300)
    proxy.cut()
    proxy.pass = () => true
    expect(await call).toBe('RESULT_NOT_KEPT')
    expect(await app.Counter('large').value).toBe(1)
  })

  test('keeps its place: calls on one object take effect in their order, through three cuts', async () => {
    const { app } = client()
    await app.Counter('order').value
    const answers: Promise<unknown>[] = []
    for (let i = 0; i < 60; i++) {
      answers.push(app.Counter('order').add(i + 1))
      if (i % 20 === 10) proxy.cut()
      await wait(5)
    }
    expect(await Promise.all(answers)).toEqual(answers.map((_, i) => ((i + 1) * (i + 2)) / 2))
  })
})

describe('a connection that stops without being closed', () => {
  /** A client whose clock goes ten times as fast: what it waits 30 s for takes three. */
  function fastClient() {
    const ports = webPorts()
    const begun = Date.now()
    const seen: ConnectionStatus[] = []
    const app = connectOver<AnyApp>(
      proxy.url,
      { token: running.token, onStatus: (status) => seen.push(status) },
      {
        ...ports,
        now: () => begun + (Date.now() - begun) * 10,
        timer: (delayMs, then) => ports.timer(delayMs / 10, then),
      },
    )
    clients.push(app)
    return { app, seen }
  }

  test.each([
    ['a call that never arrived is made on a new one', undefined],
    ['a call whose answer never came is answered on a new one, and took effect once', 'app'],
  ] as const)('is given up after 30 s of silence: %s', async (name, from) => {
    const { app, seen } = fastClient()
    await app.Counter(name).keep(1)
    const before = proxy.connections
    proxy.mute(from)
    const calls = [app.Counter(name).keep(10), app.Counter(name).next(`${name}, next`).add(5)]
    expect(await Promise.all(calls)).toEqual([11, 5])
    expect(proxy.connections).toBeGreaterThan(before)
    expect(seen).toContain('lost')
    expect(await running.app.Counter(name).keep(0)).toBe(11)
    expect(await running.app.Counter(`${name}, next`).value).toBe(5)
  })

  test('is given up for calls that are sent once too: they reject with LINK_LOST, and the next call goes on', async () => {
    const { app } = fastClient()
    await app.Counter('half').keep(1)
    proxy.mute('app')
    expect(await outcome(app.Counter('half').tell(() => {}, 1))).toBe('LINK_LOST')
    expect(await app.Counter('half').keep(1)).toBe(2)
  })

  test('where nothing is due is not looked for', async () => {
    const { app, seen } = fastClient()
    await app.Counter('idle').keep(1)
    proxy.mute()
    await wait(4000)
    expect(seen).toEqual(['connecting', 'open'])
    expect(await app.Counter('idle').keep(1)).toBe(2)
  })
})

describe('a call that cannot be sent twice', () => {
  test('rejects with LINK_LOST when the connection breaks: one with a callback, one of a promise, one of the operator', async () => {
    const { app } = client()
    await app.Counter('plain').value
    const calls = [
      outcome(app.Counter('plain').tell(() => {}, 400)),
      outcome(app.Counter('plain').echo(app.Counter('other').addSlowly(1, 400))),
      outcome(app.dotdo.object('Counter', 'plain').runs()),
    ]
    proxy.pass = (from) => from === 'client'
    await wait(100)
    proxy.cut()
    proxy.pass = () => true
    expect(await Promise.all(calls)).toEqual(['LINK_LOST', 'LINK_LOST', 'LINK_LOST'])
    expect(await app.Counter('plain').value).toBe(0)
  })
})

describe('without a connection', () => {
  test('calls wait, and go in their order when there is one', async () => {
    const { app, seen } = client()
    proxy.isUp = false
    const calls = [1, 2, 3].map((n) => app.Counter('waited').add(n))
    const described = app.dotdo.describe()
    await until(
      'it was tried twice',
      async () => seen,
      (it) => it.filter((status) => status === 'connecting').length > 1,
    )
    proxy.isUp = true
    expect(await Promise.all(calls)).toEqual([1, 3, 6])
    expect(await described).toMatchObject({ nouns: ['Counter', 'Runner'] })
  })

  test('one call more than may wait is refused by name, and the others are made', async () => {
    const { app } = client({ offline: { maxCalls: 3 } })
    proxy.isUp = false
    const calls = [1, 2, 3, 4].map((n) => outcome(app.Counter('full').add(n)))
    expect(await calls[3]).toBe('OFFLINE_QUEUE_FULL')
    proxy.isUp = true
    expect(await Promise.all(calls)).toEqual([1, 3, 6, 'OFFLINE_QUEUE_FULL'])
  })

  test('more bytes than may wait are refused by name', async () => {
    const { app } = client({ offline: { maxBytes: 10_000 } })
    proxy.isUp = false
    const calls = [1, 2].map(() => outcome(app.Counter('heavy').echo('x'.repeat(6000))))
    expect(await calls[1]).toBe('OFFLINE_QUEUE_FULL')
    proxy.isUp = true
    expect(await calls[0]).toHaveLength(6000)
  })

  test('what waits fails with LINK_LOST when it has been tried for long enough, and the next call tries again', async () => {
    const { app } = client({ giveUpMs: 600 })
    proxy.isUp = false
    expect(await outcome(app.Counter('gone').add(1))).toBe('LINK_LOST')
    proxy.isUp = true
    expect(await app.Counter('gone').add(1)).toBe(1)
  })

  test('a token that opens nothing ends what waits, and nothing is tried again', async () => {
    const { app, seen } = client({ token: await sessionToken(running.secret, -1) })
    proxy.isUp = false
    const calls = [outcome(app.Counter('x').add(1)), outcome(app.dotdo.describe())]
    await wait(100)
    proxy.isUp = true
    expect(await Promise.all(calls)).toEqual(['TOKEN_EXPIRED', 'TOKEN_EXPIRED'])
    const { length } = seen
    await wait(600)
    expect(seen).toHaveLength(length)
  })
})

describe('an app that is started anew', () => {
  test('answers what it had done, and refuses what it cannot tell: nothing takes effect twice', async () => {
    const folder = await temporary('restart')
    const first = await startWorker(config, {}, folder.path)
    proxy.target = first.url
    const { app } = client({ token: first.token })
    expect(await app.Counter('restarted').keep(1)).toBe(1)
    // Both arrive, and nobody hears of it.
    proxy.pass = (from) => from === 'client'
    const calls = [outcome(app.Counter('restarted').keep(10)), outcome(app.Counter('interrupted').keepSlowly(10, 60_000))]
    for (const name of ['restarted', 'interrupted'])
      await until(
        `${name} has taken effect`,
        () => first.app.Counter(name).keep(0),
        (it) => Number(it) >= 10,
      )
    proxy.isUp = false
    proxy.cut()
    await first.stop()
    const second = await startWorker(config, {}, folder.path)
    proxy.target = second.url
    proxy.pass = () => true
    proxy.isUp = true
    expect(await Promise.all(calls)).toEqual([11, 'CALL_INTERRUPTED'])
    expect(await app.Counter('restarted').keep(0)).toBe(11)
    expect(await app.Counter('interrupted').keep(0)).toBe(10)
    await second.stop()
    await folder.remove()
  })
})

describe('by batches', () => {
  test('the same calls go as one HTTP request for each turn', async () => {
    const { app } = client({ transport: 'batch' })
    const sum = app.Counter('batch').add(4)
    expect(await Promise.all([sum, app.Counter('batch, other').add(sum), app.Counter('batch').next('batch, next').add(2)])).toEqual([
      4, 4, 2,
    ])
    expect(await app.Counter('batch').value).toBe(4)
    expect(await app.dotdo.object('Counter', 'batch').describe()).toMatchObject({ noun: 'Counter', name: 'batch' })
  })

  test('a request whose answer was cut off is made again, and takes effect once', async () => {
    const { app } = client({ transport: 'batch' })
    proxy.pass = (from) => from === 'client'
    const call = app.Counter('batch cut').keep(3)
    await until(
      'it has taken effect',
      () => running.app.Counter('batch cut').keep(0),
      (it) => it === 3,
    )
    proxy.pass = () => true
    proxy.cut()
    expect(await call).toBe(3)
    expect(await app.Counter('batch cut').keep(0)).toBe(3)
  })

  test('what a batch cannot carry is refused by name', async () => {
    const { app } = client({ transport: 'batch' })
    expect(await outcome(app.Counter('batch').tell(() => {}, 1))).toBe('BATCH_ONE_WAY')
  })

  test('errors are the same', async () => {
    const { app } = client({ transport: 'batch' })
    expect(await outcome(app.Counter('batch').fail())).toBe('COUNTER_BROKE')
    expect(await outcome(app.Nowhere('x').go())).toBe('NOUN_UNKNOWN')
  })
})
