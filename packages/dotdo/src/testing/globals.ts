/**
 * Time and chance for users' code: while an app of a test is open, `Date`, timers and `Math.random` are the world's inside of its objects, and
 * Node's everywhere else. Owns what they were before.
 */
import type { World } from './world.ts'

let world: World | undefined
let isInstalled = false

/** From now on, objects of this world see its time. */
export function useWorld(next: World): void {
  world = next
  if (!isInstalled) install()
  isInstalled = true
}

/** The world whose object's code runs now. */
const inside = (): World | undefined => (world?.here ? world : undefined)

function install(): void {
  const {
    Date: RealDate,
    setTimeout: realTimeout,
    clearTimeout: realClear,
    setInterval: realInterval,
    clearInterval: realClearInterval,
  } = globalThis
  const now = () => inside()?.now ?? RealDate.now()
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as object,
    apply: () => new RealDate(now()).toString(),
    get: (target, property, receiver) => (property === 'now' ? now : (Reflect.get(target, property, receiver) as unknown)),
  })

  const cancels = new WeakMap<object, () => void>()
  const timeout = (then: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): unknown => {
    const here = inside()
    if (!here) return realTimeout(then as () => void, ms, ...(args as []))
    const id = {}
    cancels.set(
      id,
      here.timer(Number(ms) || 0, () => then(...args)),
    )
    return id
  }
  const interval = (then: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): unknown => {
    const here = inside()
    if (!here) return realInterval(then as () => void, ms, ...(args as []))
    const id = {}
    const again = () =>
      void cancels.set(
        id,
        here.timer(Math.max(1, Number(ms) || 0), () => {
          again()
          then(...args)
        }),
      )
    again()
    return id
  }
  const clear = (real: (id: never) => void) => (id: unknown) => {
    const cancel = typeof id === 'object' && id !== null ? cancels.get(id) : undefined
    if (cancel) cancel()
    else real(id as never)
  }
  Object.assign(globalThis, {
    setTimeout: timeout,
    clearTimeout: clear(realClear),
    setInterval: interval,
    clearInterval: clear(realClearInterval),
  })

  const realSignal = AbortSignal.timeout.bind(AbortSignal)
  AbortSignal.timeout = (ms) => {
    const here = inside()
    if (!here) return realSignal(ms)
    const controller = new AbortController()
    here.timer(ms, () => controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')))
    return controller.signal
  }

  const realRandom = Math.random
  Math.random = () => inside()?.random.next() ?? realRandom()
}
