import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { pair } from './pair.ts'

class Door extends RpcTarget {
  open() {
    return 'opened'
  }
}
class House extends RpcTarget {
  door() {
    return new Door()
  }
  through(door: Door) {
    return door.open()
  }
}

/** Waits for what timers and turns bring about, without saying how long they take. */
async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !what(); i++) await new Promise((resolve) => setTimeout(resolve, 2))
  expect(what()).toBe(true)
}

/** No session is dropped for being idle here. */
const limits = { graceMs: 10, idleMs: 600_000 }

describe('a capability that is let go', () => {
  test.each([0, 30])('ends its session at both ends, %i ms after it came by a call that was alone', async (heldMs) => {
    const { link, server } = pair(new House(), { limits })
    const root = link.root() as any
    const door = await root.door()
    expect(link.stats).toMatchObject({ openSessions: 1, openExports: 1 })
    await new Promise((resolve) => setTimeout(resolve, heldMs))
    door[Symbol.dispose]()
    await until(() => link.stats.openSessions === 0)
    await until(() => server.openSessions === 0)
  })
  test('leaves the session open while another of it is held', async () => {
    const { link, server } = pair(new House(), { limits })
    const root = link.root() as any
    const [first, second] = await Promise.all([root.door(), root.door()])
    first[Symbol.dispose]()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(link.stats).toMatchObject({ openSessions: 1, openExports: 1 })
    expect(server.openSessions).toBe(1)
    expect(await second.open()).toBe('opened')
    second[Symbol.dispose]()
    await until(() => link.stats.openSessions === 0 && server.openSessions === 0)
  })
})

describe('what is forgotten without a word', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void

  test('is let go of: chains leave no session behind, at neither end', async () => {
    const { link, server } = pair(new House(), { limits })
    const root = link.root() as any
    for (let i = 0; i < 50; i++) expect(await root.door().open()).toBe('opened')
    // The last of them may still lie on the stack.
    await until(() => (collect(), link.stats.openSessions <= 1))
    await until(() => (collect(), server.openSessions <= 1))
  })

  test('goes one by one: a session stays for what is held, and that works', async () => {
    const { link } = pair(new House(), { limits })
    const root = link.root() as any
    const held = root.door()
    for (let i = 0; i < 50; i++) root.door()
    expect(await held.open()).toBe('opened')
    await until(() => (collect(), link.stats.openExports <= 2))
    expect(link.stats.openSessions).toBe(1)
    expect(await held.open()).toBe('opened')
  })
})

test('a promise that was passed on many times is not let go of with what each of them was given', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const { link } = pair(new House(), { limits })
  const root = link.root() as any
  const door = root.door()
  // In a session, and alone.
  const [alone] = [root.door(), await door.open()]
  for (const promise of [door, alone]) {
    await promise
    for (let i = 0; i < 5; i++) expect(await root.through(promise)).toBe('opened')
    for (let i = 0; i < 20; i++) {
      collect()
      await new Promise((resolve) => setTimeout(resolve, 2))
      expect(await promise.open()).toBe('opened')
    }
    expect(await root.through(promise)).toBe('opened')
  }
})

describe('what was let go of', () => {
  test('is refused by its code: the promise of a call, and what it gave', async () => {
    const gone = { code: 'REFERENCE_GONE' }
    const root = pair(new House(), { limits }).link.root() as any
    const promise = root.door()
    promise[Symbol.dispose]()
    await expect(Promise.resolve(promise)).rejects.toMatchObject(gone)
    const other = root.door()
    const door = await other
    other[Symbol.dispose]()
    await expect(Promise.resolve(door.open())).rejects.toMatchObject(gone)
  })
})
