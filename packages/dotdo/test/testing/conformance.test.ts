/** The conformance suite of links between objects of the simulated platform: what passes in workerd passes here. */
import { afterAll, describe, expect, test } from 'vitest'
import { allCases } from '../conformance/cases/all.ts'
import type { Far } from '../conformance/kit.ts'
import { Driver, World as Conforming } from '../object/conformance-objects.ts'
import { useWorld } from '../../src/testing/globals.ts'
import { outside, worldOf } from './simulated.ts'

const world = worldOf({ World: Conforming, Driver })
useWorld(world)
const cases = allCases.map((it) => `${it.group}: ${it.title}`)

// Cases wait, and look again and again whether something was let go of, in the world's time.
const ticking = setInterval(() => world.moveTo(world.now + 10), 1)
afterAll(() => clearInterval(ticking))

describe('from one object to another', () => {
  const driver = outside().user('Driver', 'one') as Far
  test.each(cases)('%s', async (title) => {
    expect(await driver.run(title)).toBe('passed')
  })
})
