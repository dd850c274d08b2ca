/** Objects that are only watched, and a count of everything that wakes one. */
import { DO } from '../../../src/object/do.ts'

/** Kept by the module, beside the objects: what is asked of it wakes none. */
export const wakes = { constructed: 0, handled: 0 }

type Constructor = new (ctx: DurableObjectState, env: never) => object

function counted<T>(plain: T): T {
  const Plain = plain as Constructor
  class Counted extends Plain {
    constructor(ctx: DurableObjectState, env: never) {
      super(ctx, env)
      wakes.constructed++
    }
  }
  const methods = Plain.prototype as Record<string, (...args: unknown[]) => unknown>
  for (const name of Object.getOwnPropertyNames(methods)) {
    if (name === 'constructor' || typeof Object.getOwnPropertyDescriptor(methods, name)!.value !== 'function') continue
    Object.defineProperty(Counted.prototype, name, {
      value(...args: unknown[]) {
        wakes.handled++
        return methods[name]!.apply(this, args)
      },
    })
  }
  return Counted as T
}

/** An object with a step to tell of. */
export const Watched = counted(
  DO.extend({
    async work() {
      return await this.do(() => 'done', { stepId: 'work' })
    },
  }),
)
