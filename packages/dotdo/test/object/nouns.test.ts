/** Where nouns are found: among the Worker's exports, its bindings, and behind services. */
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, test } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { appOptions, configureApp } from '../../src/object/app.ts'
import { Links, nounNames, objectAt, ownNouns, placeOf, requireAppNoun, type LinkedService } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import { linkVersion, type LinkMessage } from '../../src/rpc/frames.ts'

const original = appOptions()
afterEach(() => configureApp(original))

const stub = (noun: string, name: string): any => new Links(linkPorts('test', () => {})).user(noun, name)
const inspector = (noun: string, name: string): any => new Links(linkPorts('test', () => {})).inspector(noun, name)
const thrown = (work: () => unknown): { code?: string; data?: Record<string, unknown>; message: string } => {
  try {
    work()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}
const rejected = (promise: PromiseLike<unknown>) =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => error as Error & { code?: string; data?: Record<string, unknown> },
  )

const own = ['Broken', 'Counter', 'Pipeline', 'Stage']
const message: LinkMessage = { version: linkVersion, session: 'none', seq: 0, frames: [] }

describe('a noun', () => {
  test('is found among the exports, and among the bindings by itself and by its capitals', async () => {
    for (const [noun, name] of [
      ['Stage', 'own'],
      ['DataStage', 'words'],
    ] as const) {
      await stub(noun, name).execute(noun)
      expect(await stub(noun, name).history()).toEqual([noun])
    }
    await stub('Tally', 't').add(1)
    expect(await stub('Tally', 't').size).toBe(1)
  })

  test('that is bound is the same object as the one of its class', async () => {
    await stub('DataStage', 'both ways').execute('once')
    expect(await stub('Stage', 'both ways').history()).toEqual(['once'])
  })

  test('in none of the places is refused with all that there are', () => {
    configureApp({ ...original, services: { Elsewhere: 'SELF' } })
    expect(ownNouns()).toEqual(expect.arrayContaining(own))
    const known = nounNames()
    expect(known).toEqual(expect.arrayContaining([...own, 'DataStage', 'Tally', 'Elsewhere']))
    expect(known).toEqual([...known].sort())
    expect(thrown(() => placeOf('Nowhere'))).toMatchObject({ code: 'NOUN_UNKNOWN', data: { noun: 'Nowhere', known } })
  })

  test('of the list is found by the name that it is listed by', () => {
    for (const noun of nounNames()) expect(() => placeOf(noun)('x')).not.toThrow()
  })

  test.each(['DotdoSystem', 'Hidden', 'HIDDEN', 'DotdoAnything'])('%s is the framework’s own, and no noun for clients', (noun) => {
    expect(nounNames()).not.toContain(noun)
    expect(thrown(() => requireAppNoun(noun))).toMatchObject({ code: 'NOUN_UNKNOWN' })
  })

  test.each(['toString', 'constructor', '__proto__', 'R2_BUCKET', 'SELF', 'DOTDO_SECRET'])(
    '%s is none, though a value has that name',
    (noun) => {
      configureApp({ ...original, services: { Elsewhere: 'SELF' } })
      expect(thrown(() => placeOf(noun))).toMatchObject({ code: 'NOUN_UNKNOWN' })
    },
  )
})

describe('a noun that was renamed', () => {
  test('is found by its earlier name: here, by clients, and behind a service whose caller knows of nothing', async () => {
    configureApp({ ...original, offers: ['Stage'], renamed: { First: 'Former', Former: 'Stage' } })
    await stub('First', 'renamed').execute(1)
    await stub('Former', 'renamed').execute(2)
    expect(await stub('Stage', 'renamed').history()).toEqual([1, 2])
    expect(await inspector('Former', 'renamed').describe()).toMatchObject({ noun: 'Stage', name: 'renamed' })
    expect(() => requireAppNoun('Former')).not.toThrow()
    expect(nounNames()).not.toContain('Former')
    const service = (env as unknown as { SELF: LinkedService }).SELF
    expect(await service.dotdoLink('Former', 'renamed', { ...message, session: 'renamed' })).toMatchObject({ seq: 0 })
    expect(await rejected(service.dotdoLink('Tally', 's', message))).toMatchObject({ code: 'NOUN_UNKNOWN' })
  })

  test('behind a service is asked for there by the noun of today', () => {
    configureApp({ ...original, services: { Remote: 'SELF' }, renamed: { Former: 'Remote' } })
    expect(placeOf('eu:Former')('x').at).toEqual(['eu:Remote', 'x'])
  })

  test('may keep a binding of its earlier name, and is refused where that is of another class, or of a service, or exported', () => {
    configureApp({ ...original, renamed: { DataStage: 'Stage' } })
    expect(() => placeOf('DataStage')('x')).not.toThrow()
    for (const renamed of [{ Tally: 'Stage' }, { Counter: 'Stage' }, { Counter: 'Elsewhere' }]) {
      configureApp({ ...original, renamed })
      expect(thrown(() => placeOf('Pipeline'))).toMatchObject({ code: 'RENAMED_INVALID', data: { noun: Object.keys(renamed)[0] } })
    }
    expect(thrown(() => configureApp({ ...original, services: { Far: 'SELF' }, renamed: { Far: 'Stage' } }))).toMatchObject({
      code: 'RENAMED_INVALID',
    })
  })
})

describe('behind a service', () => {
  test('an object is reached, with its inspector', async () => {
    configureApp({ ...original, services: { Remote: 'SELF', Stage: 'NEVER_ASKED' } })
    // The noun has to be one of that Worker: here it is this one, which has no Remote.
    expect(await rejected(stub('Remote', 'x').history())).toMatchObject({ code: 'NOUN_UNKNOWN', data: { noun: 'Remote' } })
    const service = (env as unknown as { SELF: LinkedService }).SELF
    const far = objectAt({ stub: service, at: ['Stage', 'far'] })
    await stub('Stage', 'far').execute(1)
    expect(await far.dotdoLink({ ...message, session: 'far' })).toMatchObject({ seq: 0, frames: [] })
    // An export goes before a service of the same name.
    expect(await stub('Stage', 'far').history()).toEqual([1])
    expect(await inspector('Stage', 'far').describe()).toMatchObject({ noun: 'Stage', name: 'far' })
  })

  test('only what is offered is there, and of that only the Worker’s own', async () => {
    const service = (env as unknown as { SELF: LinkedService }).SELF
    configureApp({ ...original, offers: ['Stage', 'DataStage', 'DotdoSystem'] })
    expect(await service.dotdoLink('Stage', 's', { ...message, session: 'offered' })).toMatchObject({ seq: 0 })
    for (const noun of ['Counter', 'DataStage', 'DotdoSystem', 'Hidden', 'toString'])
      expect(await rejected(service.dotdoLink(noun, 's', message))).toMatchObject({
        code: 'NOUN_UNKNOWN',
        data: { noun, known: ['Stage'] },
      })
  })

  test.each([
    ['NOTHING', /has no binding of that name/],
    ['R2_BUCKET', /is no service/],
    ['DATA_STAGE', /is no service/],
  ])('a binding %s is refused, with what wrangler.toml should say', (binding, reason) => {
    configureApp({ ...original, services: { Remote: binding } })
    const error = thrown(() => placeOf('Remote'))
    expect(error).toMatchObject({ code: 'SERVICE_INVALID', data: { noun: 'Remote', binding } })
    expect(error.message).toMatch(reason)
    expect(error.message).toContain(`binding = "${binding}"`)
  })

  test.each(['/', '/live/Stage/x', '/live/Stage', '/rpc', '/live/%E0%A4%A/x'])(
    'a request for %s that is no WebSocket is not found',
    async (path) => {
      const service = (env as unknown as { SELF: Fetcher }).SELF
      expect((await service.fetch(`https://service${path}`)).status).toBe(404)
    },
  )

  test('a path that names no object is told by its code', async () => {
    const service = (env as unknown as { SELF: Fetcher }).SELF
    const upgrade = { headers: { upgrade: 'websocket' } }
    expect(codeOf(await rejected(service.fetch('https://service/live/%E0%A4%A/x', upgrade)))).toBe('INVALID_NAME')
    expect(codeOf(await rejected(service.fetch('https://service/live/Nowhere/x', upgrade)))).toBe('NOUN_UNKNOWN')
  })

  test('live events come through it', async () => {
    const service = (env as unknown as { SELF: LinkedService }).SELF
    const far = objectAt({ stub: service, at: ['Stage', 'a name / with + marks'] })
    const { status, webSocket } = await far.fetch(new Request('https://worker/live/?ticket=x', { headers: { upgrade: 'websocket' } }))
    expect(status).toBe(101)
    const first = new Promise((resolve) => webSocket!.addEventListener('message', ({ data }) => resolve(JSON.parse(data as string))))
    webSocket!.accept()
    expect(await first).toMatchObject({ type: 'watching' })
    webSocket!.close()
  })
})
