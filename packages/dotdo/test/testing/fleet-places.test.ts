/** Objects that have to stay in a jurisdiction, in the index of the fleet: on the simulated platform, which has jurisdictions. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { DO, DotdoSystem } from '../../src/index.ts'
import { configureApp } from '../../src/object/app.ts'
import { FleetView } from '../../src/object/fleet-view.ts'
import type { World } from '../../src/testing/world.ts'
import { outside, pass, worldOf } from './simulated.ts'

const Keeper = DO.extend({
  init() {
    this.every.day.at('2am')(() => this.work(), { id: 'nightly' })
  },
  async work() {
    return await this.do(() => this.fail(), { stepId: 'work', retries: { limit: 0 } })
  },
  fail() {
    throw new Error(`nothing works in ${this.id}`)
  },
})

const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
beforeEach(() => warned.mockClear())
afterEach(() => configureApp({}))

interface Inspected {
  trigger(id: string): Promise<string>
}

/** A world with a failed run of `Keeper/home` in each of these places. */
async function worldWith(places: (string | undefined)[], fleet?: { shards?: number; jurisdictions?: string[] }): Promise<World> {
  configureApp(fleet ? { fleet } : {})
  const world = worldOf({ Keeper, DotdoSystem })
  for (const place of places)
    await (outside().inspector(place === undefined ? 'Keeper' : `${place}:Keeper`, 'home') as unknown as Inspected).trigger('nightly')
  await pass(world, 5000)
  return world
}

const view = () => new FleetView(outside())
const objects = async (query = {}) => (await view().runs({ kind: 'schedule', ...query })).items.map(({ object }) => object)
const shardsThat = (world: World) =>
  [...world.objects.values()].filter(({ id }) => id.name.startsWith('fleet ')).map(({ id }) => id.jurisdiction ?? 'anywhere')

describe('an app that names a jurisdiction for its index', () => {
  test('finds the objects there beside the others, by noun and by name, and sums all of them', async () => {
    await worldWith([undefined, 'eu'], { shards: 2, jurisdictions: ['eu'] })
    expect((await objects()).sort()).toEqual(['Keeper/home', 'eu:Keeper/home'])
    expect((await objects({ noun: 'Keeper' })).length).toBe(2)
    expect(await objects({ object: 'eu:Keeper/home' })).toEqual(['eu:Keeper/home'])
    expect(await objects({ object: 'Keeper/home' })).toEqual(['Keeper/home'])
    expect(await view().summary()).toMatchObject({ objects: 2, failed: 2, schedules: 2, alerts: 2 })
    expect((await view().alerts({ noun: 'Keeper' })).items.map(({ object }) => object).sort()).toEqual(['Keeper/home', 'eu:Keeper/home'])
    expect(warned).not.toHaveBeenCalled()
  })

  test('keeps what they tell there: no shard outside of it has heard of them', async () => {
    const world = await worldWith(['eu'], { shards: 1, jurisdictions: ['eu'] })
    expect(shardsThat(world)).toEqual(['eu'])
    expect(await objects()).toEqual(['eu:Keeper/home'])
    // Asked, the shard outside is there, and empty.
    expect(shardsThat(world).sort()).toEqual(['anywhere', 'eu'])
  })

  test('makes their part of the index again from them, named or known', async () => {
    const world = await worldWith([undefined, 'eu'], { shards: 1, jurisdictions: ['eu'] })
    expect(await view().rebuild({ objects: ['eu:Keeper/home'] })).toMatchObject({ status: 'running' })
    await pass(world, 5000)
    expect(await view().rebuilding()).toMatchObject({ status: 'done', asked: 2, failed: 0 })
    expect((await objects()).length).toBe(2)
  })
})

describe('an app that names none', () => {
  test('has the objects outside alone, says so where one of another place is asked for, and where that one begins', async () => {
    const world = await worldWith([undefined, 'eu'])
    expect(await objects()).toEqual(['Keeper/home'])
    expect(shardsThat(world)).not.toContain('eu')
    const refused = {
      code: 'FLEET_OFF',
      message: expect.stringContaining("serve({ fleet: { jurisdictions: ['eu'] } })") as string,
      data: { jurisdiction: 'eu' },
    }
    await expect(view().runs({ object: 'eu:Keeper/home' })).rejects.toMatchObject(refused)
    await expect(view().rebuild({ objects: ['eu:Keeper/home'] })).rejects.toMatchObject(refused)
    expect(warned.mock.calls).toEqual([[expect.stringMatching(/^eu:Keeper\/home is not in the index .* jurisdictions: \['eu'\]/)]])
  })

  test.each([['eu'], [['']], [['EU']], [['eu', 'eu']], [[7]], [null]])('and cannot name %j', (jurisdictions) => {
    expect(() => configureApp({ fleet: { jurisdictions: jurisdictions as string[] } })).toThrow(
      expect.objectContaining({ code: 'FLEET_INVALID' }),
    )
  })
})
