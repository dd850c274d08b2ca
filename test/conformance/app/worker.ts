/** The app that the conformance suite calls from outside: worlds, and nothing else. */
import { DO, serve } from 'dotdo'
import { Counter, worldDefinition } from '../../../packages/dotdo/test/conformance/world.ts'

export { DotdoSystem } from 'dotdo'

export const World = DO.extend(worldDefinition)

/** Tells one of its lives from another. */
export const Sleeper = DO.extend({
  born: '',
  disposals: 0,
  init() {
    this.born = crypto.randomUUID()
  },
  life() {
    return this.born
  },
  counter() {
    return new Counter(1, this as never)
  },
})

/** Holds a capability of a sleeper. */
export const Holder = DO.extend({
  held: null as { value: Promise<number>; [Symbol.dispose](): void } | null,
  async hold(name: string) {
    this.held = await this.Sleeper(name).counter()
    return await this.held!.value
  },
  letGo() {
    this.held![Symbol.dispose]()
  },
  awake: () => true,
})

/** A call that nobody lets go on is refused while a test can wait for it. */
export default serve({ limits: { client: { graphMs: 8000 } } })
