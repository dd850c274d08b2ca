/** Capabilities that are narrowed, saved, restored and revoked between objects in workerd, which are evicted in between. */
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env, exports } from 'cloudflare:workers'
import { newHttpBatchRpcSession } from 'capnweb'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { restoreBy } from '../../src/object/authority.ts'
import { Door, requireSession } from '../../src/object/door.ts'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import { readCapability, signCapability } from '../../src/rpc/capability-token.ts'
import { signToken } from '../../src/rpc/tokens.ts'
import { macOf } from '../../src/object/platform.ts'
import { codeOf, type GrantView } from '../../src/index.ts'

const open = () => new Links(linkPorts('test', () => {}))
const stub = (noun: string, name: string, links = open()): any => links.user(noun, name)
const inspector = (noun: string, name: string): any => open().inspector(noun, name)
const namespace = (noun: string): any => (exports as never)[noun]
const evict = (noun: string, name: string) => evictDurableObject(namespace(noun).getByName(name))
const codeOfFailure = (call: PromiseLike<unknown>) =>
  Promise.resolve(call).then(
    (value) => ({ value }),
    (error: unknown) => codeOf(error) ?? String(error),
  )
const secret = 'a holder of sixteen'

/** An object of its own for each test. */
let counter = 0
let shelf: string
let keeper: any
beforeEach(() => {
  shelf = `shelf ${counter++}`
  keeper = stub('Keeper', `keeper ${counter}`)
})

test('a session’s token that was found genuine before is refused when its time is over, and by another secret', async () => {
  const now = vi.spyOn(Date, 'now').mockReturnValue(1_000_000)
  try {
    const token = await signToken({ kind: 'session', expiresAt: 1_000_100 }, secret)
    const enters = (by: string) => codeOfFailure(requireSession(token, { DOTDO_SECRET: by }))
    expect([await enters(secret), await enters(secret)]).toEqual([{ value: undefined }, { value: undefined }])
    expect(await enters(`${secret}s`)).toBe('TOKEN_INVALID')
    now.mockReturnValue(1_000_100)
    expect(await enters(secret)).toBe('TOKEN_EXPIRED')
  } finally {
    now.mockRestore()
  }
})

describe('a saved capability', () => {
  test('is restored by whoever has the token, in one message', async () => {
    const token = await keeper.hand(shelf, { only: ['read', 'add'] })
    expect(token).toMatch(/^dotdo1\.[\w-]+\.[\w-]{43}$/)
    const links = open()
    const cap = restoreBy(links, readCapability(token), token, undefined) as any
    expect(await cap.add('a')).toBe(1)
    expect(links.stats).toMatchObject({ messages: 1, polls: 0 })
    expect(await cap.read(0)).toBe('a')
    expect(links.stats).toMatchObject({ messages: 2 })
    expect(await Promise.all([cap.read(0), cap.add('b'), cap.read(1)])).toEqual(['a', 2, 'b'])
    expect(links.stats).toMatchObject({ messages: 3 })
  })

  test('names nothing that the object has not, and no instant that is over', async () => {
    for (const options of [{ only: ['reed'] }, { where: { ad: ['x'] } }, { until: 5 }])
      expect(await codeOfFailure(keeper.hand(shelf, options))).toBe('INVALID_CAVEAT')
    expect(await codeOfFailure(keeper.narrowedTo(shelf, { only: ['reed'] }))).toBe('INVALID_CAVEAT')
    expect(await codeOfFailure(keeper.narrowedTo(shelf, { until: '-1h' }))).toBe('INVALID_CAVEAT')
    expect(await codeOfFailure(keeper.narrowedTo(shelf, { only: ['all'] }))).toEqual({ value: [] })
  })

  test('holds after every object involved was evicted', async () => {
    const token = await keeper.hand(shelf, { only: ['read', 'add'], uses: 3 })
    const taker = stub('Keeper', 'taker')
    expect(await taker.use(token, 'add', 'x')).toBe(1)
    await evict('Shelf', shelf)
    await evict('Keeper', `keeper ${counter}`)
    await evict('Keeper', 'taker')
    expect(await taker.use(token, 'add', 'y')).toBe(1)
    await evict('Shelf', shelf)
    expect(await taker.use(token, 'add', 'z')).toBe(1)
    expect(await codeOfFailure(taker.use(token, 'add', 'z'))).toBe('CAPABILITY_USED_UP')
  })

  test('is what calls led to from the object, and those calls are made again', async () => {
    const token = await keeper.handPart(shelf, 'top', { only: ['get'] })
    expect(await keeper.use(token, 'get')).toBe(`${shelf}/top`)
    expect(await codeOfFailure(keeper.use(token, 'set', 'x'))).toBe('CAPABILITY_DENIED')
    const [grant] = (await inspector('Shelf', shelf).grants()) as GrantView[]
    expect(grant).toMatchObject({ path: 'part("top")', by: `Keeper/keeper ${counter}`, label: 'a part', status: 'live' })
  })

  test('of something that was awaited is the same', async () => {
    const token = await keeper.handAwaited(shelf, 'top')
    await evict('Shelf', shelf)
    expect(await keeper.use(token, 'get')).toBe(`${shelf}/top`)
  })

  test('can be the object itself', async () => {
    const token = await stub('Shelf', shelf).shareReading()
    expect(await codeOfFailure(keeper.use(token, 'add', 1))).toBe('CAPABILITY_DENIED')
    await stub('Shelf', shelf).add('mine')
    expect(await keeper.use(token, 'read', 0)).toBe('mine')
  })

  test('can be narrowed, and saved again by whoever restored it; what it was made from limits it', async () => {
    const first = await keeper.hand(shelf, { only: ['read', 'add'] })
    const second = await keeper.handOn(first, { only: ['add'], where: { add: [{ prefix: 'a' }] } }, { uses: 2 })
    expect(await keeper.use(second, 'add', 'ab')).toBe(1)
    expect(await codeOfFailure(keeper.use(second, 'add', 'b'))).toBe('CAPABILITY_DENIED')
    expect(await codeOfFailure(keeper.use(second, 'read', 0))).toBe('CAPABILITY_DENIED')
    expect(await keeper.use(second, 'add', 'ac')).toBe(2)
    expect(await codeOfFailure(keeper.use(second, 'add', 'ad'))).toBe('CAPABILITY_USED_UP')
    expect(await keeper.use(first, 'read', 1)).toBe('ac')
  })

  test.each(['data', 'a function', 'a target of one’s own', 'a promise of data', 'an argument that is no data'])(
    'cannot be made of %s',
    async (what) => {
      expect(await codeOfFailure(keeper.saveWrong(what))).toBe('NOT_SAVABLE')
    },
  )
})

describe('revoking', () => {
  test('holds for the next call of a session that is open', async () => {
    const token = await keeper.hand(shelf, {})
    const taker = stub('Keeper', 'holds')
    expect(await taker.hold(token, shelf)).toEqual([1, 'CAPABILITY_REVOKED', 'CAPABILITY_REVOKED', 'CAPABILITY_REVOKED'])
  })

  test('holds in the middle of a run', async () => {
    const token = await keeper.hand(shelf, {})
    expect(await codeOfFailure(stub('Keeper', 'runs').runWith(token, shelf))).toBe('CAPABILITY_REVOKED')
    expect(await stub('Shelf', shelf).all()).toEqual(['first'])
  })

  test('by id, by entry of the list, by token, by an operator: once', async () => {
    const tokens = [
      await keeper.hand(shelf, {}),
      await keeper.hand(shelf, {}),
      await keeper.hand(shelf, {}),
      await stub('Shelf', shelf).shareReading(),
    ]
    const listed = (await keeper.listOf(shelf)) as GrantView[]
    expect(listed).toHaveLength(4)
    const idOf = (token: string) => readCapability(token).id
    expect(await keeper.revokeToken(tokens[0])).toBe(true)
    expect(await keeper.revokeToken(tokens[0])).toBe(false)
    expect(await keeper.revokeEntry(listed.find(({ id }) => id === idOf(tokens[1]))!)).toBe(true)
    expect(await inspector('Shelf', shelf).revoke(idOf(tokens[2]))).toBe(true)
    expect(await stub('Shelf', shelf).takeBack(idOf(tokens[3]))).toBe(true)
    for (const token of tokens) expect(await codeOfFailure(keeper.use(token, 'read', 0))).toBe('CAPABILITY_REVOKED')
    expect(((await stub('Shelf', shelf).handedOut()) as GrantView[]).map(({ status }) => status)).toEqual(Array(4).fill('revoked'))
    expect(await codeOfFailure(stub('Shelf', shelf).takeBack('grant_unknown'))).toBe('GRANT_UNKNOWN')
  })

  test('outside of an object there is none that an id could mean', async () => {
    const { grants, revoke } = await import('../../src/index.ts')
    await expect(revoke('grant_1')).rejects.toMatchObject({ code: 'OUTSIDE_OBJECT' })
    for (const none of [undefined, null, 5, {}, stub('Shelf', 'no grant')])
      await expect(revoke(none as never)).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' })
    await expect(grants()).rejects.toMatchObject({ code: 'OUTSIDE_OBJECT' })
  })
})

describe('a narrowed reference', () => {
  test('is held to its caveats by the object, in the message of its calls, in every turn', async () => {
    expect(await keeper.narrowed(shelf)).toEqual({
      added: 1,
      refused: 'CAPABILITY_DENIED',
      again: 2,
      wrong: 'CAPABILITY_DENIED',
      usedUp: 'CAPABILITY_USED_UP',
      messages: 5,
    })
  })
  test('of what a call gives makes no message of its own', async () => {
    expect(await keeper.narrowedPart(shelf)).toEqual({ got: `${shelf}/top`, refused: 'CAPABILITY_DENIED', messages: 1 })
  })
  test('is passed to another object, which has no more than that', async () => {
    expect(await keeper.pass(shelf)).toEqual([1, 'CAPABILITY_DENIED', 'CAPABILITY_USED_UP'])
  })
  test('of the object itself is given to whoever calls', async () => {
    const reading = await stub('Shelf', shelf).reading()
    expect(await codeOfFailure(reading.add('x'))).toBe('CAPABILITY_DENIED')
    await stub('Shelf', shelf).add('x')
    expect(await stub('Shelf', shelf).reading().read(0)).toBe('x')
  })
  test('has no way to what the framework itself can call', async () => {
    const reading = stub('Shelf', shelf).reading()
    for (const name of ['dotdo:grant', 'dotdo:restore', 'dotdo:narrowed', 'dotdo:provide'])
      expect(
        await codeOfFailure(Promise.resolve().then(() => reading[name]?.({ path: [] }) ?? Promise.reject(new Error('not there')))),
      ).not.toHaveProperty('value')
  })
})

describe('a holder', () => {
  test('that is a secret is asked for', async () => {
    const token = await keeper.hand(shelf, { holder: { secret } })
    expect(await codeOfFailure(keeper.use(token, 'add', 1))).toBe('HOLDER_REFUSED')
    expect(await keeper.useHeld(token, secret, 'add', 1)).toBe(1)
    expect(await codeOfFailure(keeper.useHeld(token, 'another of sixteen', 'add', 1))).toBe('HOLDER_REFUSED')
  })
  test('that is an object is who restores, whoever asks it to', async () => {
    const token = await keeper.hand(shelf, { holder: { object: 'Keeper/the one' } })
    expect(await stub('Keeper', 'the one').use(token, 'add', 1)).toBe(1)
    expect(await codeOfFailure(stub('Keeper', 'another').use(token, 'add', 1))).toBe('HOLDER_REFUSED')
    expect(await codeOfFailure((restoreBy(open(), readCapability(token), token, undefined) as any).add(1))).toBe('HOLDER_REFUSED')
  })
})

describe('at the door', () => {
  const door = () => new Door(env as never, open()) as any
  const expectNoObject = async (name: string) => {
    const untouched = await runInDurableObject(namespace('Shelf').getByName(name), (_: unknown, state: DurableObjectState) => [
      ...state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'dotdo_grants'"),
    ])
    expect(untouched).toEqual([])
  }

  test('the token alone opens what it stands for, and nothing else', async () => {
    const token = await keeper.hand(shelf, { only: ['add'], holder: { secret } })
    expect(await door().restore(token, { secret }).add('x')).toBe(1)
    expect(await codeOfFailure(door().restore(token, { secret }).read(0))).toBe('CAPABILITY_DENIED')
    expect(await codeOfFailure(door().restore(token).add('x'))).toBe('HOLDER_REFUSED')
    // A client cannot say that it is an object.
    const bound = await keeper.hand(shelf, { holder: { object: 'Keeper/the one' } })
    expect(await codeOfFailure(door().restore(bound, { object: 'Keeper/the one', secret }).add('x'))).toBe('HOLDER_REFUSED')
  })

  test('an unmodified capnweb client restores it over HTTP in one batch', async () => {
    const token = await keeper.hand(shelf, { only: ['add', 'part'] })
    const ask: typeof fetch = (...request) => (exports as any).default.fetch(new Request(...request))
    const before = globalThis.fetch
    globalThis.fetch = ask
    try {
      const session = newHttpBatchRpcSession('https://app.example/rpc') as any
      expect(await session.restore(token).part('p').get()).toBe(`${shelf}/p`)
    } finally {
      globalThis.fetch = before
    }
  })

  test('a forged token is refused before any object is woken', () => {
    const secretOfOthers = macOf({ DOTDO_SECRET: 'a secret of somebody else' })
    const forged = signCapability(
      { kind: 'capability', v: 1, noun: 'Shelf', name: 'never woken', id: 'grant_1', nonce: 'n' },
      secretOfOthers,
    )
    expect(() => door().restore(forged)).toThrow(expect.objectContaining({ code: 'TOKEN_INVALID' }))
    for (const token of [undefined, {}, '', 'dotdo1.e30.x', forged.slice(0, -1)])
      expect(() => door().restore(token)).toThrow(expect.objectContaining({ code: 'TOKEN_INVALID' }))
    return expectNoObject('never woken')
  })

  test('a token of the framework’s own objects opens nothing', () => {
    const token = signCapability({ kind: 'capability', v: 1, noun: 'DotdoSystem', name: 'tokens', id: 'grant_1', nonce: 'n' }, macOf(env))
    expect(() => door().restore(token)).toThrow(expect.objectContaining({ code: 'NOUN_UNKNOWN' }))
  })

  test('an expired one is told so, and wakes nothing', () => {
    const token = signCapability(
      { kind: 'capability', v: 1, noun: 'Shelf', name: 'x', id: 'grant_1', nonce: 'n', expiresAt: 1 },
      macOf(env),
    )
    expect(() => door().restore(token)).toThrow(expect.objectContaining({ code: 'CAPABILITY_EXPIRED' }))
  })
})

describe('a token is a secret', () => {
  const printed: string[] = []
  beforeEach(() => {
    printed.length = 0
    for (const name of ['log', 'warn', 'error', 'info', 'debug'] as const)
      vi.spyOn(console, name).mockImplementation((...args: unknown[]) => void printed.push(args.map(String).join(' ')))
  })
  afterEach(() => void vi.restoreAllMocks())

  test('no log, error, view, live event or table of the issuer has it', async () => {
    const token: string = await keeper.hand(shelf, { only: ['read'], label: 'canary' })
    const [, claims, signature] = token.split('.') as [string, string, string]
    const { nonce } = readCapability(token)
    const socket = (
      await namespace('Keeper')
        .getByName(`keeper ${counter}`)
        .fetch('https://x/', { headers: { upgrade: 'websocket' } })
    ).webSocket!
    const live: string[] = []
    socket.accept()
    socket.addEventListener('message', ({ data }: { data: unknown }) => live.push(String(data)))

    const told: unknown[] = []
    const note = (call: PromiseLike<unknown>) =>
      Promise.resolve(call).catch((error: Error & { data?: unknown }) => told.push(error.message, error.data, error.stack))
    await note(keeper.use(token, 'add', token))
    await note(keeper.spill(token))
    await note(keeper.leak(token))
    await keeper.forget(token)
    await note(keeper.use(`${token}x`, 'add', 1))
    await note(inspector('Shelf', shelf).revoke(token.slice(0, -1)))
    await vi.waitFor(() => expect(live.join()).toContain('step.failed'))
    await vi.waitFor(() => expect(printed.join()).toContain('nobody awaited'))
    for (const [noun, name] of [
      ['Keeper', `keeper ${counter}`],
      ['Shelf', shelf],
    ] as const) {
      told.push(
        await inspector(noun, name).runs(),
        await inspector(noun, name).events(),
        await inspector(noun, name).deadLetters(),
        await inspector(noun, name).grants(),
      )
      for (const { runId } of await inspector(noun, name).runs()) told.push(await inspector(noun, name).run(runId))
    }
    told.push(
      await runInDurableObject(namespace('Shelf').getByName(shelf), (_: unknown, { storage }: DurableObjectState) =>
        [...storage.sql.exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'dotdo_%'")].map(({ name }) => [
          ...storage.sql.exec(`SELECT * FROM ${name as string}`),
        ]),
      ),
    )
    const all = JSON.stringify([told, live, printed])
    // All of these were looked at, and had something to say.
    for (const mark of ['canary', 'spilled', 'run.failed', 'event.sent', 'leaked']) expect(all).toContain(mark)
    expect(all).toContain('dotdo1.(redacted)')
    for (const part of [signature, nonce, claims.slice(-24)]) expect(all).not.toContain(part)
  })
})
