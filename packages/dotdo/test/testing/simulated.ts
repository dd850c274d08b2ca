/** A world with some classes, for the tests of the simulated platform. */
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { World, type ObjectClass } from '../../src/testing/world.ts'

export const start = Date.UTC(2026, 0, 1)

/** A world that goes on by itself at a time that stands still. */
export function worldOf(classes: Record<string, unknown>, env: Record<string, unknown> = {}): World {
  const world = new World({ at: start, random: new SeededRandom(1), runs: true })
  world.deploy(classes as Record<string, ObjectClass>, env)
  return world
}

/** Links of whoever is outside. */
export const outside = (): Links => new Links(linkPorts('the test', () => {}))

/** Everything that is on its way arrives. */
export async function settled(world: World): Promise<void> {
  do await new Promise((resolve) => setImmediate(resolve))
  while (!world.isStill)
}

/** Time passes, and what is due on the way happens. */
export async function pass(world: World, ms: number): Promise<void> {
  const end = world.now + ms
  await settled(world)
  for (let next = world.nextAt; next !== undefined && next <= end; next = world.nextAt) {
    world.moveTo(next)
    await settled(world)
  }
  world.moveTo(end)
}
