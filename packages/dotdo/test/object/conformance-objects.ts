/** The objects of the conformance suite: a world as an app would define it, and one that runs cases on others. */
import { DO, narrow } from '../../src/index.ts'
import { allCases } from '../conformance/cases/all.ts'
import { runCase, type Far } from '../conformance/kit.ts'
import { worldDefinition } from '../conformance/world.ts'

/** What a case is run on. */
export const World = DO.extend(worldDefinition)

/** Runs cases from inside of an object, where the far end is another object of the same Worker. */
export const Driver = DO.extend({
  /** A run whose call to another object calls back twice, with steps before, within and after. */
  async stepsAround(world: string, name: string): Promise<string[]> {
    const seen = [await this.do(() => `${name} began`, { stepId: 'begin' })]
    const callback = async (n: number) => {
      // A callback is a call from outside: it is in no run, and least of all in the one that opened the session.
      try {
        seen.push(await this.do(() => `${name} did ${n} in a callback`, { stepId: `step ${n}` }))
      } catch (error) {
        seen.push((error as { code: string }).code)
      }
    }
    await (this.World(world) as Far).callEach(callback, 2)
    seen.push(await this.do(() => `${name} ended`, { stepId: 'end' }))
    return seen
  },
  async run(title: string): Promise<string> {
    const it = allCases.find(({ group, title: last }) => `${group}: ${last}` === title)!
    let opened = 0
    try {
      await runCase(it, {
        traits: { wire: 'clone', lacks: {} },
        open: async () => this.World(`${title} ${opened++}`) as Far,
        anew: (world) => narrow(world, {}) as Far,
        settle: () => new Promise((resolve) => setTimeout(resolve, 20)),
      })
      return 'passed'
    } catch (error) {
      return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    }
  },
})
