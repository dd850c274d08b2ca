import { describe, expect, test } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import { objectsOf, requireObject } from '../../src/cli/objects.ts'
import type { AnyApp, AppStub } from '../../src/client/connect.ts'

/** An app whose index knows these objects, each question one more of them; it declares `Shop/main`. */
function appThatKnows(...known: (string[] | Error)[]) {
  const asked: unknown[] = []
  let questions = 0
  const objects = async (query: { object?: string; noun?: string; limit: number }) => {
    asked.push(query)
    const now = known[Math.min(Math.floor(questions++ / 2), known.length - 1)]!
    if (now instanceof Error) throw now
    const items = now.filter((it) => it === query.object || it.startsWith(`${query.noun}/`)).map((object) => ({ object }))
    return await Promise.resolve({ items: items.slice(0, query.limit) })
  }
  const describe = () => Promise.resolve({ singletons: { Shop: ['main'] }, nouns: ['Shop', 'Region'] })
  return { app: { dotdo: { describe, fleet: { objects } } } as unknown as AppStub<AnyApp>, asked }
}

const off = new DotdoError('FLEET_OFF', 'no index')

describe('an object that is to be looked at', () => {
  const pauses: number[] = []
  const pause = (ms: number) => Promise.resolve(pauses.push(ms))
  const look = (app: AppStub<AnyApp>, named: string) => requireObject(app, named, pause)

  test.each<[string, string, string[] | Error]>([
    ['the index knows', 'Region/north', ['Region/north', 'Region/south']],
    ['the app declares', 'Shop/main', ['Shop/other']],
    ['is of a noun of which the index knows nothing: another Worker has its own', 'Region/north', ['Shop/main']],
    ['is of an app without an index', 'Region/north', off],
  ])('is one that %s', async (_, named, known) => {
    const [noun, name] = named.split('/')
    expect(await look(appThatKnows(known).app, named)).toEqual({ noun, name })
  })

  test('is not asked, and so not brought to life, where only others of its noun are known', async () => {
    const many = Array.from({ length: 9 }, (_, n) => `Region/r${n}`)
    for (const known of [['Region/south'], many]) {
      const refused = look(appThatKnows(known).app, 'Region/nroth')
      await expect(refused).rejects.toMatchObject({ code: 'OBJECT_UNKNOWN', data: { object: 'Region/nroth', known: known.slice(0, 5) } })
    }
    await expect(objectsOf(appThatKnows(many).app, 'Region')).rejects.toThrow('names no object')
  })

  test('is waited for a little: what has just begun has not told yet', async () => {
    pauses.length = 0
    const { app, asked } = appThatKnows(['Region/south'], ['Region/south', 'Region/north'])
    expect(await look(app, 'Region/north')).toEqual({ noun: 'Region', name: 'north' })
    expect([pauses, asked.length]).toEqual([[500], 4])
  })

  test('is not looked for where what fails is the asking', async () => {
    await expect(look(appThatKnows(new DotdoError('LINK_LOST', 'gone')).app, 'Region/north')).rejects.toMatchObject({ code: 'LINK_LOST' })
  })

  test('of a place of its own is taken at its word: the index of that place may be none', async () => {
    expect(await look(appThatKnows(['eu:Region/south']).app, 'eu:Region/north')).toEqual({ noun: 'eu:Region', name: 'north' })
  })
})
