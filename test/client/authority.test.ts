/** Saved capabilities from outside: a client that has a token and nothing else. */
import { fileURLToPath } from 'node:url'
import { newHttpBatchRpcSession } from 'capnweb'
import { codeOf, connect, restore, type ConnectionStatus } from 'dotdo/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startWorker, temporary, type RunningApp } from '../support/app.ts'
import { recordSockets, type Recorder } from '../support/sockets.ts'

const config = fileURLToPath(new URL('app/wrangler.toml', import.meta.url))
const secret = 'a holder of sixteen'
const codeOfFailure = (call: PromiseLike<unknown>) =>
  Promise.resolve(call).then(
    (value) => ({ answered: value }),
    (error: unknown) => codeOf(error) ?? String(error),
  )

let state: Awaited<ReturnType<typeof temporary>>
let running: RunningApp
let recorder: Recorder
beforeAll(async () => {
  state = await temporary('authority')
  running = await startWorker(config, {}, state.path)
})
afterAll(async () => {
  await running?.stop()
  await state?.remove()
})
beforeEach(() => void (recorder = recordSockets()))
afterEach(() => recorder[Symbol.dispose]())

let names = 0
const counter = () => running.app.Counter(`shared ${names++}`)

describe.each(['socket', 'batch'] as const)('over a %s, a token', (transport) => {
  const open = (token: string, options = {}) => restore<any>(running.url, token, { transport, ...options })

  test('gives what it stands for, and nothing else', async () => {
    const token = await counter().hand({ only: ['add', 'value', 'next'], where: { add: [{ min: 1, max: 5 }] } })
    using shared = open(token)
    expect(await shared.add(2)).toBe(2)
    expect(await shared.value).toBe(2)
    expect(await codeOfFailure(shared.add(6))).toBe('CAPABILITY_DENIED')
    expect(await codeOfFailure(shared.keep(1))).toBe('CAPABILITY_DENIED')
    expect(await codeOfFailure(shared._hidden())).toEqual(expect.any(String))
    expect(await shared.next(`next ${names++}`).add(1)).toBe(1)
    for (const name of ['dotdo:restore', 'dotdo:grant', 'dotdo:revoke', 'authenticate', 'constructor', 'Counter'])
      expect(await codeOfFailure(Promise.resolve().then(() => shared[name]('x')))).toEqual(expect.any(String))
  })

  test('is counted, expires, and is bound to a holder', async () => {
    using twice = open(await counter().hand({ uses: 2 }))
    expect([await twice.add(1), await twice.add(1), await codeOfFailure(twice.add(1))]).toEqual([1, 2, 'CAPABILITY_USED_UP'])
    const expired = await counter().hand({ until: '1ms' })
    using late = open(expired)
    expect(await codeOfFailure(late.add(1))).toBe('CAPABILITY_EXPIRED')
    const bound = await counter().hand({ holder: { secret } })
    using nobody = open(bound)
    using holder = open(bound, { holder: { secret } })
    expect(await codeOfFailure(nobody.add(1))).toBe('HOLDER_REFUSED')
    expect(await holder.add(1)).toBe(1)
  })

  test('is refused from the moment that an operator revokes it, in a session that is open', async () => {
    const name = `shared ${names}`
    const token = await counter().hand({ label: 'for the page' })
    using shared = open(token)
    expect(await shared.add(1)).toBe(1)
    const inspector = running.app.dotdo.object('Counter', name)
    const [grant] = await inspector.grants()
    expect(grant).toMatchObject({ noun: 'Counter', name, label: 'for the page', status: 'live', by: `Counter/${name}` })
    expect(await inspector.revoke(grant!.id)).toBe(true)
    expect(await codeOfFailure(shared.add(1))).toBe('CAPABILITY_REVOKED')
    expect((await inspector.grants())[0]).toMatchObject({ status: 'revoked' })
  })

  test('of another kind, or changed, opens nothing', async () => {
    const token: string = await counter().hand({})
    for (const wrong of [running.token, token.slice(0, -1), `${token}A`, '', 'x'.repeat(10_000)]) {
      using shared = open(wrong)
      expect(await codeOfFailure(shared.add(1))).toBe('TOKEN_INVALID')
    }
    const app = connect(running.url, { token })
    expect(await codeOfFailure(app.Counter('x').add(1))).toBe('TOKEN_INVALID')
    app.close()
  })
})

test('a chain of calls is one round trip over one socket, which opens again after it broke', async () => {
  const token = await counter().hand({})
  const statuses: ConnectionStatus[] = []
  using shared = restore<any>(running.url, token, { onStatus: (status) => statuses.push(status) })
  expect(recorder.sockets).toHaveLength(0)
  expect(await shared.next(`next ${names++}`).next(`next ${names++}`).add(3)).toBe(3)
  expect(recorder.sockets).toHaveLength(1)
  recorder.sockets[0]!.close()
  await expect.poll(() => statuses).toContain('lost')
  expect(await shared.add(1)).toBe(1)
  expect(recorder.sockets).toHaveLength(2)
})

test('an unmodified capnweb client restores a token by the door’s own method', async () => {
  const token = await counter().hand({ only: ['add'] })
  const door = newHttpBatchRpcSession<any>(`${running.url}rpc`)
  expect(await (door as any).restore(token).add(7)).toBe(7)
})

test('a token holds after the whole of workerd was started anew, and so does its revocation', async () => {
  const name = `shared ${names}`
  const kept = await counter().hand({ only: ['keep'] })
  const revoked = await running.app.Counter(name).hand({})
  const inspector = running.app.dotdo.object('Counter', name)
  const grants = await inspector.grants()
  await inspector.revoke(grants.find(({ caveats }) => caveats.only === undefined)!.id)
  {
    using before = restore<any>(running.url, kept)
    expect(await before.keep(1)).toBe(1)
  }
  await running.stop()
  running = await startWorker(config, {}, state.path)
  using after = restore<any>(running.url, kept)
  expect(await after.keep(1)).toBe(2)
  using gone = restore<any>(running.url, revoked)
  expect(await codeOfFailure(gone.keep(1))).toBe('CAPABILITY_REVOKED')
})

test('an app without a secret says what to set when a capability is saved or restored', async () => {
  await using open = await startWorker(config, { DOTDO_SECRET: '' })
  const token = await counter().hand({})
  using shared = restore<any>(open.url, token)
  expect(await codeOfFailure(shared.add(1))).toBe('SECRET_MISSING')
})
