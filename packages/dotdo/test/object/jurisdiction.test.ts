/** Objects that have to stay somewhere: never put elsewhere without a word. The platform of these tests has no jurisdictions, and says so. */
import { env } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'
import { appOptions, configureApp } from '../../src/object/app.ts'
import { restoreBy } from '../../src/object/authority.ts'
import { FleetView } from '../../src/object/fleet-view.ts'
import { hasJurisdictions, inJurisdiction, Links, placeOf, requireAppNoun } from '../../src/object/nouns.ts'
import { linkPorts, macOf } from '../../src/object/platform.ts'
import { readCapability, signCapability } from '../../src/rpc/capability-token.ts'

const links = () => new Links(linkPorts('test', () => {}))
const unavailable = expect.objectContaining({ code: 'JURISDICTION_UNAVAILABLE', data: { jurisdiction: 'eu' } })

describe('where the platform has no jurisdictions', () => {
  test('an object in one is refused at once, and the object of the same name is not called', async () => {
    const pipeline: any = links().user('Pipeline', 'jurisdiction')
    await expect(Promise.resolve(pipeline.countIn('home', 'eu'))).rejects.toMatchObject({
      code: 'JURISDICTION_UNAVAILABLE',
      message: expect.stringContaining('this platform says: Jurisdiction restrictions are not implemented in workerd. Use'),
    })
    expect(() => links().user('Counter', 'home', 'eu')).toThrow(unavailable)
    expect(await (links().user('Counter', 'home') as any).size).toBe(0)
  })

  test('one is refused by whichever way it is named: by an inspector, by a client, by an address of events', () => {
    expect(() => links().inspector('eu:Counter', 'home')).toThrow(unavailable)
    expect(() => links().user('eu:Counter', 'home')).toThrow(unavailable)
    expect(() => placeOf('eu:Counter')('home')).toThrow(unavailable)
    // What there is, is the noun: a place makes no other of it, and none reachable that is not.
    expect(() => requireAppNoun('eu:Counter')).not.toThrow()
    for (const noun of ['eu:Nobody', 'eu:DotdoSystem'])
      expect(() => requireAppNoun(noun)).toThrow(expect.objectContaining({ code: 'NOUN_UNKNOWN' }))
  })

  test('the index of the fleet looks for nobody there, though the app names one', async () => {
    expect(hasJurisdictions()).toBe(false)
    const before = appOptions()
    configureApp({ ...before, fleet: { jurisdictions: ['eu'] } })
    expect(await new FleetView(links()).summary()).toMatchObject({ objects: expect.any(Number) as number })
    configureApp(before)
  })

  test('a token of one is not restored to the object of the same name', () => {
    const claims = { kind: 'capability', v: 1, noun: 'Counter', name: 'home', jurisdiction: 'eu', id: 'g', nonce: 'n' } as const
    const token = signCapability(claims, macOf(env))
    expect(() => restoreBy(links(), readCapability(token), token, undefined)).toThrow(unavailable)
  })
})

describe('where the platform has them', () => {
  /** What the platform's namespaces do, as far as it is asked of them. */
  const namespace = (where = 'anywhere'): any => ({
    idFromName: (name: string) => `${where} ${name}`,
    jurisdiction: (it: string) => {
      if (it !== 'eu') throw new TypeError(`Invalid jurisdiction: ${it}.`)
      return namespace(it)
    },
  })

  test('one name is another object in each, and in none', () => {
    expect(inJurisdiction(namespace(), 'eu').idFromName('a')).toBe('eu a')
    expect(inJurisdiction(namespace(), undefined).idFromName('a')).toBe('anywhere a')
  })

  test('one that there is not is refused by the words of the platform', () => {
    expect(() => inJurisdiction(namespace(), 'mars')).toThrow(
      expect.objectContaining({ code: 'JURISDICTION_UNAVAILABLE', message: expect.stringContaining('Invalid jurisdiction: mars.') }),
    )
  })
})
