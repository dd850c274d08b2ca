/** The meter of `.map`, over capnweb as it is: what it relies on is not in capnweb's contract, so it is pinned here. */
import { DEFAULT_LIMITS, RpcSession, RpcTarget, type RpcStub } from 'capnweb'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FrameGuard } from '../../src/rpc/frame-guard.ts'
import { FrameTransport } from '../../src/rpc/frame-transport.ts'
import type { Frame } from '../../src/rpc/frames.ts'
import { MapMeter } from '../../src/rpc/map-meter.ts'
import { defaultLinkLimits, type SessionLimits } from '../../src/rpc/limits.ts'
import { bytePipe } from './byte-pipe.ts'
import { pair, turns } from './pair.ts'

class Lists extends RpcTarget {
  list(length: number) {
    return Array.from({ length }, (_, i) => i)
  }
  async late(length: number) {
    await turns(3)
    return this.list(length)
  }
  table(rows: number, columns: number) {
    return Array.from({ length: rows }, (_, id) => ({ id, cells: this.list(columns) }))
  }
  size(list: unknown[]) {
    return list.length
  }
  double(n: number) {
    return 2 * n
  }
}

const before = { ...DEFAULT_LIMITS }
const meter = new MapMeter({ endOfTurn: (then) => void setImmediate(then), now: () => performance.now() }, { mapFanOut: 1, mapSteps: 400 })
let uninstall = () => {}
beforeAll(() => {
  uninstall = meter.install()
})
afterAll(() => uninstall())

const open = (limits: Partial<SessionLimits> = {}) => {
  const { link, server } = pair(new Lists(), { limits, mapMeter: meter })
  return { root: link.root() as unknown as RpcStub<Lists>, server }
}
/** capnweb alone, with the guard before it: what is taken along in a `.map` is called at the receiver. */
function plain(): RpcStub<Lists> {
  const guard = new FrameGuard({ limits: { ...defaultLinkLimits }, meter, stranger: true })
  const ports = { bytePipe, timer: () => () => {} }
  const back = (frame: Frame) => {
    guard.sent(frame)
    here.deliver(structuredClone(there.take()))
  }
  const there: FrameTransport = new FrameTransport(back, ports, defaultLinkLimits)
  const forth = () => there.deliver(guard.look(structuredClone(here.take())).frames)
  const here: FrameTransport = new FrameTransport(forth, ports, defaultLinkLimits)
  void new RpcSession(there, new Lists())
  return new RpcSession<Lists>(here).getRemoteMain()
}
const over = (limit: string, bound: number) => ({ code: 'LINK_LIMIT', data: { limit, bound } })

describe('a .map', () => {
  test('is answered within the limits, and counted for each message anew', async () => {
    const { root } = open({ mapFanOut: 100, mapSteps: 1_000 })
    for (let i = 0; i < 5; i++) expect(await root.list(100).map((n) => root.double(n))).toEqual(new Lists().list(100).map((n) => 2 * n))
  })

  test('over more elements than mapFanOut is stopped, and its siblings in the message are answered', async () => {
    const { root } = open({ mapFanOut: 100 })
    const [good, bad] = await Promise.allSettled([root.double(4), root.list(101).map((n) => ({ n }))])
    expect(good).toMatchObject({ value: 8 })
    expect(bad).toMatchObject({ reason: over('mapFanOut', 100) })
    expect(await root.double(5)).toBe(10)
  })

  test('of one message share what they may cost', async () => {
    const { root } = open({ mapFanOut: 100 })
    const lists = [root.list(60).map((n) => ({ n })), root.list(60).map((n) => ({ n }))]
    expect((await Promise.allSettled(lists)).map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
  })

  test('that makes more values than mapSteps is stopped where it passes the bound', async () => {
    const { root } = open({ mapSteps: 100 })
    await expect(Promise.resolve(root.list(40).map((n) => ({ a: n, b: n })))).rejects.toMatchObject(over('mapSteps', 100))
  })

  test('in a .map is charged to the message that brought it', async () => {
    const { root } = open({ mapSteps: 2_000 })
    expect(await root.table(10, 10).map((row) => row.cells.map((cell) => ({ cell })))).toHaveLength(10)
    await expect(Promise.resolve(root.table(40, 40).map((row) => row.cells.map((cell) => ({ cell }))))).rejects.toMatchObject(
      over('mapSteps', 2_000),
    )
  })

  test('over a list and over the same list again does not take N times N', async () => {
    const { root } = open({ mapSteps: 2_000 })
    const list = root.list(300)
    await expect(Promise.resolve(list.map((a) => list.map((b) => [a, b])))).rejects.toMatchObject({
      code: 'LINK_LIMIT',
      data: { limit: 'mapSteps' },
    })
  })

  test('in a .map whose list comes later is charged to all such of the turn', async () => {
    const root = plain()
    const sizes = (rows: number, columns: number) => root.list(rows).map(() => root.size(root.late(columns).map((n) => ({ n })) as never))
    expect(await sizes(2, 20)).toEqual([20, 20])
    await expect(Promise.resolve(sizes(10, 50))).rejects.toMatchObject(over('mapSteps', 400))
    await turns(10)
    expect(await sizes(2, 20)).toEqual([20, 20])
  })
})

test('sessions are made with the limits that capnweb has, also when a turn has used up its steps', async () => {
  for (let i = 0; i < 300; i++) {
    try {
      void DEFAULT_LIMITS.maxDepth
    } catch {
      // The turn's steps are used up, which is what this asks for.
    }
  }
  expect({ ...DEFAULT_LIMITS }).toEqual(before)
  const { root } = open()
  expect(await root.double(1)).toBe(2)
})

test('a turn whose end nobody told is over after a while', () => {
  let now = 0
  const limits = { ...before }
  const forgotten = new MapMeter({ endOfTurn: () => {}, now: () => now }, { mapFanOut: 1, mapSteps: 2 })
  const uninstallThis = forgotten.install(limits)
  const step = () => limits.maxDepth
  step()
  step()
  expect(step).toThrow(/mapSteps/)
  now = 10_001
  expect(step()).toBe(before.maxDepth)
  uninstallThis()
})

test('capnweb has its own limits back when the meter is taken out', () => {
  const limits = { ...before }
  new MapMeter({ endOfTurn: () => {}, now: () => 0 }).install(limits)()
  expect(Object.getOwnPropertyDescriptors(limits)).toEqual(Object.getOwnPropertyDescriptors({ ...before }))
})
