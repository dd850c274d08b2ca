import { describe, expect, test } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { signCapability, type CapabilityClaims } from '../../src/rpc/capability-token.ts'
import { grantMigrations, Grants, maxGenerations, maxGrants } from '../../src/rpc/grants.ts'
import { narrowName } from '../../src/rpc/narrow.ts'
import { objectLabel } from '../../src/rpc/origin.ts'
import type { Thing } from './grants-world.ts'
import { macOf, sha256, world } from './grants-world.ts'

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as CapabilityClaims
const failure = (work: () => unknown) =>
  Promise.resolve()
    .then(work)
    .then(
      (value) => ({ value }),
      (error: unknown) => error,
    )
const codeOfFailure = async (work: () => unknown) => codeOf(await failure(work))
const restored = async (from: ReturnType<typeof world>, token: unknown, ...rest: [holder?: unknown, caller?: string]) =>
  (await from.grants.restore(token, from.root, ...rest)) as Thing
const day = 86_400_000

test('the stored form is as it was: state outlives code', () => {
  expect(sha256(JSON.stringify(grantMigrations))).toBe('878ab2cd85778d6b50d34710d5e9ea66e8a6b71703924bff3d8d5aed435b76a4')
  const { grants, store } = world()
  grants.issue({
    path: [['part', ['p']], [narrowName, [{ uses: 2 }]], ['size']],
    caveats: { only: ['read'], where: { read: [{ min: 1n }] } },
  })
  const [row] = store.sql('SELECT path, caveats, uses_left FROM dotdo_grants')
  expect(row).toEqual({
    path: 'j[{"call":"part","args":["p"]},{"narrow":{"uses":2},"place":0},{"read":"size"}]',
    caveats: 'd[{"only":1,"where":3},[2],"read",{"read":4},[5],{"min":6},["BigInt","1"]]',
    uses_left: '[2,null]',
  })
})

describe('a saved capability', () => {
  test('is what was saved, with its arguments, each time it is restored', async () => {
    const from = world()
    const token = from.grants.issue({ path: [['part', ['p']]] })
    expect((await restored(from, token)).read(1)).toBe('root.p 1')
    expect((await restored(from, token)).read(2)).toBe('root.p 2')
  })

  test('is found again by an object that was restarted, and by no other object', async () => {
    const from = world()
    const token = from.grants.issue({ path: [] })
    expect(((await new Grants(from.ports).restore(token, from.root)) as Thing).read(1)).toBe('root 1')
    const other = world({ name: 'b', store: from.store })
    expect(await failure(() => restored(other, token))).toMatchObject({
      code: 'TOKEN_INVALID',
      data: { reason: 'it is of another object' },
    })
    const elsewhere = world()
    // Same name and secret, another table: nothing is remembered of it.
    expect(await codeOfFailure(() => restored(elsewhere, token))).toBe('CAPABILITY_REVOKED')
  })

  test('stands in the table without its token: no column has a part of it that is secret', () => {
    const { grants, store } = world()
    const token = grants.issue({ path: [], holder: { secret: 'a holder of sixteen' }, label: 'x' })
    const stored = JSON.stringify(store.sql('SELECT * FROM dotdo_grants'))
    const [, claims, signature] = token.split('.')
    for (const secret of [claims!.slice(-20), signature!, claimsOf(token).nonce, 'a holder of sixteen'])
      expect(stored).not.toContain(secret)
    expect(stored).toContain(sha256(token))
  })

  test('can be reached through promises, getters of data, and lists', async () => {
    const from = world()
    const token = from.grants.issue({ path: [['parts', []], ['list'], ['0']] })
    expect((await restored(from, token)).read(1)).toBe('root.0 1')
  })

  test('can be a function', async () => {
    const from = world()
    const fn = (await from.grants.restore(from.grants.issue({ path: [['reader', []]], caveats: { uses: 1 } }), from.root)) as (
      n: number,
    ) => string
    expect(fn(1)).toBe('root 1')
    expect(() => fn(1)).toThrow(expect.objectContaining({ code: 'CAPABILITY_USED_UP' }))
  })

  test('that leads to data, or nowhere, says so when it is restored', async () => {
    const from = world()
    for (const path of [
      [['read', [1]]],
      [['gone', []]],
      [['part', ['p']], ['gone']],
      [
        ['plain', []],
        ['toString', []],
      ],
    ] as never[])
      expect(await codeOfFailure(() => restored(from, from.grants.issue({ path }))), JSON.stringify(path)).toBe('NOT_SAVABLE')
  })

  test.each<[string, unknown]>([
    ['no list', 'part'],
    ['a name that cannot be reached', [['_hidden', []]]],
    ['a prototype', [['__proto__']]],
    ['a name of the framework', [['dotdo:grant', []]]],
    ['a function as an argument', [['part', [() => 1]]]],
    ['a promise as an argument', [['part', [Promise.resolve(1)]]]],
    ['too many calls', Array.from({ length: 65 }, () => ['part', ['p']])],
    ['too much to store', [['part', ['x'.repeat(70_000)]]]],
  ])('cannot be made of %s', async (_, path) => {
    expect(await codeOfFailure(() => world().grants.issue({ path: path as never }))).toBe('NOT_SAVABLE')
  })

  test.each<[string, object]>([
    ['an unknown caveat', { caveats: { onyl: ['read'] } }],
    ['no uses', { caveats: { uses: 0 } }],
    ['a half', { caveats: { uses: 1.5 } }],
    ['no instant', { caveats: { until: 'soon' } }],
    ['a name that cannot be reached', { caveats: { only: ['_x'] } }],
    ['names that are none', { caveats: { only: [1] } }],
    ['patterns of nothing', { caveats: { where: { read: 1 } } }],
    ['caveats that are none', { caveats: [] }],
    ['a short secret', { holder: { secret: 'short' } }],
    ['two holders', { holder: { secret: 'a holder of sixteen', object: 'A/b' } }],
    ['an object without a name', { holder: { object: 'Stage' } }],
    ['a label that is long', { label: 'x'.repeat(300) }],
  ])('is refused with %s', async (_, request) => {
    expect(await codeOfFailure(() => world().grants.issue({ path: [], ...request }))).toBe('INVALID_CAVEAT')
  })

  test.each(['Auditor/eve', 'eu:Auditor/eve'])('is bound to an object by its name, wherever it lives: %s', async (object) => {
    const from = world()
    const token = from.grants.issue({ path: [], holder: { object } })
    expect((await restored(from, token, undefined, object)).read(1)).toBe('root 1')
    await expect(restored(from, token, undefined, 'us:Auditor/eve')).rejects.toMatchObject({ code: 'HOLDER_REFUSED' })
  })

  test('takes an instant as a number, a Date, a text, or a time from now', async () => {
    for (const until of [
      (now: number) => now + day,
      (now: number) => new Date(now + day),
      (now: number) => new Date(now + day).toISOString(),
      () => '24h',
    ]) {
      const from = world()
      const token = from.grants.issue({ path: [], caveats: { until: until(from.clock.now()) } })
      expect(claimsOf(token).expiresAt).toBe(from.clock.now() + day)
      from.clock.advance(day - 1)
      const cap = await restored(from, token)
      from.clock.advance(1)
      expect(() => cap.read(1)).toThrow(expect.objectContaining({ code: 'CAPABILITY_EXPIRED' }))
      expect(await codeOfFailure(() => restored(from, token))).toBe('CAPABILITY_EXPIRED')
    }
  })
})

describe('revoking', () => {
  test('holds for the next call of what was restored before, and of everything reached through it', async () => {
    const from = world()
    const token = from.grants.issue({ path: [] })
    const cap = await restored(from, token)
    const part = cap.part('p')
    const { list } = await cap.parts()
    const reader = cap.reader()
    expect(part.read(1)).toBe('root.p 1')
    expect(from.grants.revoke(token)).toBe(true)
    const calls = [() => cap.read(1), () => cap.size, () => part.read(1), () => part.part('q'), () => list[0]!.read(1), () => reader(1)]
    for (const call of calls) expect(call).toThrow(expect.objectContaining({ code: 'CAPABILITY_REVOKED' }))
    expect(from.grants.revoke(token)).toBe(false)
  })

  test('takes every grant along that was made from it, however far', async () => {
    const from = world()
    const first = from.grants.issue({ path: [] })
    let token = first
    for (let i = 1; i < maxGenerations; i++)
      token = from.grants.issue({
        path: [
          ['dotdo:restore', [token]],
          ['part', [String(i)]],
        ],
      })
    const cap = await restored(from, token)
    expect(cap.read(1)).toMatch(/^root\.1\..*15 1$/)
    expect(await failure(() => from.grants.issue({ path: [['dotdo:restore', [token]]] }))).toMatchObject({ code: 'NOT_SAVABLE' })
    from.grants.revoke(first)
    expect(() => cap.read(1)).toThrow(expect.objectContaining({ code: 'CAPABILITY_REVOKED' }))
    expect(await codeOfFailure(() => restored(from, token))).toBe('CAPABILITY_REVOKED')
    expect(from.grants.list().every(({ status }) => status === 'revoked')).toBe(true)
  })

  test('an id that was never given out is told; a token that is forgotten is as good as revoked', async () => {
    const from = world()
    expect(await failure(() => from.grants.revoke('grant_0'))).toMatchObject({
      code: 'GRANT_UNKNOWN',
      message: expect.stringContaining('Shelf/a') as string,
    })
    expect(await codeOfFailure(() => from.grants.revoke({}))).toBe('GRANT_UNKNOWN')
    expect(await codeOfFailure(() => from.grants.revoke('dotdo1.x.y'))).toBe('TOKEN_INVALID')
    const token = from.grants.issue({ path: [], caveats: { until: '1h' } })
    from.clock.advance(40 * day)
    from.grants.issue({ path: [] })
    expect(from.grants.list()).toHaveLength(1)
    expect(from.grants.revoke(token)).toBe(false)
    expect(await codeOfFailure(() => restored(from, token))).toBe('CAPABILITY_REVOKED')
  })
})

describe('a token that is not genuine', () => {
  const from = world()
  const genuine = from.grants.issue({ path: [] })
  const claims = claimsOf(genuine)
  const signed = (changes: object, secret = 'a secret for tests alone') => signCapability({ ...claims, ...changes }, macOf(secret))
  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['an object', { toString: () => genuine }],
    ['no token', 'dotdo1.abc'],
    ['one without its signature', genuine.split('.').slice(0, 2).join('.')],
    ['one signed with another secret', signed({}, 'another secret for tests')],
    ['one with a changed character', genuine.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))],
    ['one whose nonce was made up by somebody with the secret', signed({ nonce: 'AAAAAAAAAAAAAAAAAAAAAA' })],
    ['one of another object', signed({ name: 'b' })],
    ['one of another jurisdiction', signed({ jurisdiction: 'eu' })],
    ['a session of the app', signed({ kind: 'session' })],
    ['one of another release', signed({ v: 2 })],
    ['one without an id', signed({ id: '' })],
    ['one whose end is no instant', signed({ expiresAt: 'never' })],
    ['a very long one', `dotdo1.${'A'.repeat(9000)}.${'A'.repeat(43)}`],
  ])('%s is refused, and is not repeated', async (_, token) => {
    const error = (await failure(() => restored(from, token))) as Error
    expect(codeOf(error)).toBe('TOKEN_INVALID')
    if (typeof token === 'string') expect(error.message).not.toContain(token.slice(7, 27))
  })
  test('the genuine one is taken', async () => {
    expect((await restored(from, genuine)).read(1)).toBe('root 1')
  })
})

describe('a holder', () => {
  const secret = 'a holder of sixteen'
  test('who knows the secret, and nobody else, restores it', async () => {
    const from = world()
    const token = from.grants.issue({ path: [], holder: { secret } })
    expect((await restored(from, token, { secret })).read(1)).toBe('root 1')
    for (const wrong of [undefined, {}, { secret: 'another of sixteen' }, { secret: 1 }, secret, { object: 'A/b' }, null])
      expect(await codeOfFailure(() => restored(from, token, wrong))).toBe('HOLDER_REFUSED')
  })

  test('that is an object is who calls, and not who somebody says it is', async () => {
    const from = world()
    const token = from.grants.issue({ path: [], holder: { object: 'Report/daily' } })
    expect((await restored(from, token, undefined, 'Report/daily')).read(1)).toBe('root 1')
    expect(await codeOfFailure(() => restored(from, token, { object: 'Report/daily' }))).toBe('HOLDER_REFUSED')
    expect(await codeOfFailure(() => restored(from, token, { object: 'Report/daily' }, 'Report/weekly'))).toBe('HOLDER_REFUSED')
  })

  test('that is an object may have to stay in a jurisdiction: it is called there as it calls itself, and not its namesake elsewhere', async () => {
    const from = world()
    const object = objectLabel({ noun: 'Auditor', name: 'eve', jurisdiction: 'eu' })
    const token = from.grants.issue({ path: [], holder: { object } })
    expect((await restored(from, token, undefined, object)).read(1)).toBe('root 1')
    for (const other of ['Auditor/eve', 'fedramp:Auditor/eve'])
      expect(await codeOfFailure(() => restored(from, token, undefined, other))).toBe('HOLDER_REFUSED')
    for (const wrong of ['eu:/eve', 'eu:auditor/eve', ':Auditor/eve', 'eu:us:Auditor/eve', 'eu:Auditor/'])
      expect(await codeOfFailure(() => from.grants.issue({ path: [], holder: { object: wrong } })), wrong).toBe('INVALID_CAVEAT')
  })

  test('is the holder of what is made from it, too', async () => {
    const from = world()
    const token = from.grants.issue({ path: [], holder: { secret } })
    const path = [['dotdo:restore', [token, { secret }]]] as const
    const derived = from.grants.issue({ path })
    expect(await codeOfFailure(() => restored(from, derived))).toBe('HOLDER_REFUSED')
    expect((await restored(from, derived, { secret })).read(1)).toBe('root 1')
    expect(await codeOfFailure(() => from.grants.issue({ path, holder: { object: 'A/b' } }))).toBe('INVALID_CAVEAT')
    expect(await codeOfFailure(() => from.grants.issue({ path: [['dotdo:restore', [token]]] }))).toBe('HOLDER_REFUSED')
  })
})

describe('the list of what was handed out', () => {
  test('says of each what it is, for whom, and how it stands, and no secret', async () => {
    const from = world()
    const tokens: string[] = []
    tokens.push(
      from.grants.issue(
        {
          path: [
            ['part', ['p']],
            ['part', [new Date(0)]],
          ],
          caveats: { only: ['read'], uses: 3 },
          label: 'for the report',
          holder: { secret: 'a holder of sixteen' },
        },
        'Pipeline/main',
      ),
    )
    const createdAt = from.clock.now()
    from.clock.advance(1)
    tokens.push(from.grants.issue({ path: [], holder: { object: 'A/b' }, caveats: { until: '1h' } }))
    from.clock.advance(1)
    const derived = from.grants.issue(
      {
        path: [
          ['dotdo:restore', [tokens[1]]],
          [narrowName, [{ uses: 1 }]],
          ['part', [tokens[0]]],
        ],
      },
      'A/b',
    )
    const [last, second, first] = from.grants.list()
    expect(first).toEqual({
      noun: 'Shelf',
      name: 'a',
      id: claimsOf(tokens[0]!).id,
      label: 'for the report',
      path: 'part("p").part(…)',
      caveats: { only: ['read'], uses: 3 },
      status: 'live',
      usesLeft: 3,
      holder: 'secret',
      by: 'Pipeline/main',
      createdAt,
    })
    expect(second).toMatchObject({ path: '', holder: { object: 'A/b' } })
    expect(last).toMatchObject({
      parent: second!.id,
      path: expect.stringMatching(/^restore\(grant_\w+\)\.narrow\(…\)\.part\("dotdo1\.\(redacted\)"\)$/) as string,
    })
    for (const token of [...tokens, derived]) expect(JSON.stringify(from.grants.list())).not.toContain(token.split('.')[2])

    const cap = await restored(from, tokens[0], { secret: 'a holder of sixteen' })
    for (let i = 0; i < 3; i++) cap.read(i)
    from.clock.advance(3_600_000)
    from.grants.revoke(derived)
    expect(from.grants.list().map(({ status }) => status)).toEqual(['revoked', 'expired', 'used up'])
    expect(from.grants.list()[2]).toMatchObject({ usesLeft: 0, usedAt: expect.any(Number) as number })
    expect(from.grants.list(1)).toHaveLength(1)
  })

  test('ends: what is over goes after 30 days, and of what is not there is a bound', async () => {
    const from = world()
    from.grants.issue({ path: [], caveats: { until: '1h' } })
    const used = from.grants.issue({ path: [], caveats: { uses: 1 } })
    ;(await restored(from, used)).read(1)
    from.grants.revoke(from.grants.issue({ path: [] }))
    from.grants.issue({ path: [] })
    from.clock.advance(29 * day)
    from.grants.issue({ path: [] })
    expect(from.grants.list()).toHaveLength(5)
    from.clock.advance(2 * day)
    from.grants.issue({ path: [] })
    expect(from.grants.list().map(({ status }) => status)).toEqual(['live', 'live', 'live'])
    from.store.sql(
      `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       INSERT INTO dotdo_grants (id, token_hash, path, caveats, created_at, uses_left) SELECT 'grant_' || i, '', 'j[]', 'j{}', 0, '[null]' FROM n`,
      maxGrants - 3,
    )
    expect(await codeOfFailure(() => from.grants.issue({ path: [] }))).toBe('TOO_MANY_GRANTS')
  })

  test('costs an object that hands nothing out no table', () => {
    const from = world()
    expect(from.store.sql("SELECT name FROM sqlite_master WHERE name = 'dotdo_grants'")).toEqual([])
  })
})
