import { RpcSession, RpcStub, RpcTarget, type RpcTransport } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { startOf } from '../../src/rpc/conversation.ts'
import { capabilityElsewhere, methodAtHome } from '../../src/rpc/home.ts'
import { callMember } from '../../src/rpc/members.ts'
import { countedHere, readGuard, restrict } from '../../src/rpc/narrow.ts'
import { pair, turns } from './pair.ts'

const ports = { now: () => 0, counter: countedHere }
const narrowed = (cap: object) => restrict(cap, readGuard({ only: ['add'] }, ports), ports)

class Cart extends RpcTarget {
  sum = 0
  add(n: number) {
    return (this.sum += n)
  }
}

/** A stub of what is at the other end of a session that says nothing, and what ends it. */
function stubElsewhere(): { stub: RpcStub<Cart>; end: () => void } {
  const { promise, reject } = Promise.withResolvers<string>()
  promise.catch(() => undefined)
  const transport: RpcTransport = { send: async () => undefined, receive: () => promise }
  return { stub: new RpcSession<Cart>(transport).getRemoteMain(), end: () => reject(new Error('over')) }
}

const refused = (work: () => unknown) => {
  try {
    return { gave: work() }
  } catch (error) {
    return codeOf(error)
  }
}

describe('a method at home', () => {
  test('is called on the capability itself, by a stub of it, narrowed or not, and as a part of data', () => {
    const cart = new Cart()
    expect(methodAtHome(cart, 'add')!(1)).toBe(1)
    expect(methodAtHome(new RpcStub(cart), 'add')!(1)).toBe(2)
    expect(methodAtHome(new RpcStub(narrowed(cart) as RpcTarget), 'add')!(1)).toBe(3)
    expect(methodAtHome({ add: new RpcStub((n: number) => n) }, 'add')!(4)).toBe(4)
    expect(methodAtHome(new RpcStub((n: number) => n), null)!(5)).toBe(5)
  })

  test('is not called by asking', () => {
    const cart = new Cart()
    methodAtHome(cart, 'add')
    expect(cart.sum).toBe(0)
  })

  test('is none of what lives elsewhere, also behind what is narrowed here', () => {
    const { stub, end } = stubElsewhere()
    expect(methodAtHome(stub, 'add')).toBeUndefined()
    expect(methodAtHome(narrowed(stub), 'add')).toBeUndefined()
    expect(methodAtHome({ add: stub }, 'add')).toBeUndefined()
    end()
  })

  test('is none of what cannot be called', () => {
    const cart = new Cart()
    expect(refused(() => methodAtHome(cart, 'sum')!())).toBe('METHOD_UNKNOWN')
    expect(refused(() => methodAtHome(cart, 'constructor')!())).toBe('METHOD_UNKNOWN')
    expect(refused(() => methodAtHome({ add: 1 }, 'add'))).toBe('METHOD_UNKNOWN')
    expect(refused(() => methodAtHome({}, 'toString'))).toBe('METHOD_UNKNOWN')
    expect(refused(() => methodAtHome(undefined, 'add'))).toBe('METHOD_UNKNOWN')
    expect(refused(() => methodAtHome(cart, null))).toBe('METHOD_UNKNOWN')
  })
})

test('whoever calls what lives elsewhere is told what to do instead', () => {
  expect(capabilityElsewhere('Shop/a', 'Buyer/b', 'add')).toMatchObject({
    code: 'CAPABILITY_ELSEWHERE',
    retryable: false,
    message: expect.stringContaining('this.Noun(id)') as string,
    data: { object: 'Shop/a', caller: 'Buyer/b', method: 'add' },
  })
})

test('a step calls what an object has given back by the session in which it lives, when that by which it came home is over', async () => {
  class Kept extends RpcTarget {
    get() {
      return 3
    }
  }
  class Giver extends RpcTarget {
    give() {
      return new Kept()
    }
    back(kept: RpcStub<Kept>) {
      return kept.dup()
    }
    backIn(kept: RpcStub<Kept>) {
      return { kept: kept.dup() }
    }
  }
  const giver = new Giver()
  const framework = {
    once: (_key: string, _since: number, _oldest: number, method: string, args: unknown[]) => callMember(giver, method, args),
    onceOf: (target: unknown, ...[, , , , method, args]: [string, number, number, string, string, unknown[]]) =>
      methodAtHome(target, method)!(...args),
  }
  let named = 0
  const { link } = pair(giver, {
    framework,
    direct: startOf(giver, () => framework),
    caller: () => ({ context: undefined, origin: { depth: 1 }, once: (what) => [`${what}#${named++}`, 0, 0] }),
  })
  const root = link.root() as unknown as RpcStub<Giver>
  const kept = root.give()
  await kept
  const back = root.back(kept as never)
  const backIn = root.backIn(kept as never)
  // The turn's session ends: it holds nothing.
  await turns(6)
  expect(await back.get()).toBe(3)
  expect(await backIn.kept.get()).toBe(3)
})

test('what came home by a session that is over is given what is under way', async () => {
  class Kept extends RpcTarget {
    times(n: number) {
      return 3 * n
    }
  }
  class Giver extends RpcTarget {
    give() {
      return new Kept()
    }
    back(kept: RpcStub<Kept>) {
      return kept.dup()
    }
    two() {
      return 2
    }
  }
  const { link } = pair(new Giver())
  const root = link.root() as unknown as RpcStub<Giver>
  const kept = root.give()
  await kept
  const back = root.back(kept as never)
  await turns(6)
  expect(await back.times(root.two())).toBe(6)
})
