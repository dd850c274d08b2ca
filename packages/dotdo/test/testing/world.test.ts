/** The simulated platform keeps and loses what the platform keeps and loses. What objects of dotdo do on it, the other files say. */
import { DurableObject } from '#platform'
import { describe, expect, test } from 'vitest'
import { SeededRandom } from '../../src/testing/random.ts'
import { World, type Chance, type ObjectClass } from '../../src/testing/world.ts'
import { MemoryBucket } from '../../src/testing/bucket.ts'
import { pass, settled, start, worldOf } from './simulated.ts'

type Native = Record<string, (...args: unknown[]) => Promise<any>>

/** What happened, outside of all lives. */
const seen: unknown[] = []

/** An object without dotdo. */
class Plain extends DurableObject {
  count = 0
  sql = (statement: string, ...values: unknown[]) => this.ctx.storage.sql.exec(statement, ...values)
  constructor(ctx: DurableObjectState, env: never) {
    super(ctx, env)
    this.sql('CREATE TABLE IF NOT EXISTS t (x)')
  }
  add(x: number) {
    this.sql('INSERT INTO t VALUES (?)', x)
    return ++this.count
  }
  all() {
    return this.sql('SELECT x FROM t ORDER BY rowid').toArray()
  }
  setAlarm(at: number) {
    void this.ctx.storage.setAlarm(at)
  }
  getAlarm() {
    return this.ctx.storage.getAlarm()
  }
  override async alarm() {
    seen.push(['alarm', (this.env as { world: World }).world.now - start])
    if (this.count++ < Number((this.env as { failures?: number }).failures ?? 0)) throw new Error('not now')
  }
  async addThenCall(x: number, other: string) {
    this.add(x)
    await (this.env as { at: (name: string) => Native }).at(other).add(x)
  }
  echo(value: unknown) {
    return value
  }
  async hang() {
    await new Promise(() => {})
  }
  kv(value?: unknown) {
    if (value !== undefined) void this.ctx.storage.put('k', value)
    return this.ctx.storage.get('k')
  }
  bytes() {
    const [row] = this.sql('SELECT ? AS b, ? AS i', new Uint8Array([1, 2]), 2 ** 53).raw()
    return [Object.prototype.toString.call(row[0]), row[1]]
  }
  many(times: number) {
    for (let i = 0; i < times; i++) void this.sql('INSERT INTO t VALUES (?); ', i)
  }
}

class Broken extends DurableObject {
  constructor(ctx: DurableObjectState, env: never) {
    super(ctx, env)
    void ctx.blockConcurrencyWhile(() => Promise.reject(new Error('no start today')))
  }
  ping() {
    return 'pong'
  }
}

function open(env: Record<string, unknown> = {}) {
  seen.length = 0
  const world = worldOf({ Plain, Broken })
  const at = (name: string) => world.stub('Plain', name) as unknown as Native
  world.deploy(world.classes, { ...env, world, at })
  return { world, at, broken: world.stub('Broken', 'b') as unknown as Native, life: (name: string) => world.object('Plain', name).life! }
}

describe('a life', () => {
  test('loses its memory and keeps its rows when it is evicted, and loses what it has not flushed when it dies', async () => {
    const { world, at, life } = open()
    await at('a').add(1)
    world.evict(life('a'))
    expect(await at('a').add(2)).toBe(1)
    world.afterTurn = () => 'before'
    await expect(at('a').add(3)).rejects.toThrow('Network connection lost.')
    world.afterTurn = undefined
    expect(await at('a').all()).toEqual([{ x: 1 }, { x: 2 }])
  })

  test('sends nothing before what it wrote is on disk', async () => {
    const { world, at } = open()
    let turns = 0
    world.afterTurn = (life) => (life.object.id.name === 'a' && ++turns > 0 ? 'before' : undefined)
    await expect(at('a').addThenCall(1, 'b')).rejects.toThrow('lost')
    world.afterTurn = undefined
    expect([await at('a').all(), await at('b').all()]).toEqual([[], []])
  })

  test('that dies lets its callers know, also those that wait for long', async () => {
    const { world, at, life } = open()
    const call = at('a').hang()
    await settled(world)
    world.crash(life('a'))
    await expect(call).rejects.toThrow('Network connection lost.')
  })

  test('whose start fails is reset, and its callers are told why', async () => {
    const { broken } = open()
    await expect(broken.ping()).rejects.toThrow('no start today')
    await expect(broken.ping()).rejects.toThrow('no start today')
  })
})

describe('an alarm', () => {
  test('fires once at its instant, wakes an object that sleeps, and is gone', async () => {
    const { world, at, life } = open()
    await at('a').setAlarm(start + 5000)
    world.evict(life('a'))
    await pass(world, 60_000)
    expect(seen).toEqual([['alarm', 5000]])
    expect(await at('a').getAlarm()).toBeNull()
  })

  test('that throws comes again, ever later, six times', async () => {
    const { world, at } = open({ failures: 100 })
    await at('a').setAlarm(start)
    await pass(world, 3_600_000)
    expect(seen.map((it) => (it as number[])[1])).toEqual([0, 4000, 12_000, 28_000, 60_000, 124_000, 252_000])
  })

  test('that was set in a turn that is lost was never set', async () => {
    const { world, at } = open()
    await at('a').add(1)
    world.afterTurn = () => 'before'
    await expect(at('a').setAlarm(start + 1)).rejects.toThrow('lost')
    world.afterTurn = undefined
    await pass(world, 10_000)
    expect(seen).toEqual([])
  })
})

describe('what a call carries', () => {
  test('is a copy, and refuses what the platform refuses', async () => {
    const { at } = open()
    const given = { list: [1, new Date(0)], bytes: new Uint8Array([1]), map: new Map([[1, 2]]) }
    const got = await at('a').echo(given)
    expect(got).toEqual(given)
    expect(got).not.toBe(given)
    await expect(at('a').echo(() => 1)).rejects.toThrow(/could not be cloned/)
    await expect(at('a').nothing()).rejects.toThrow('does not implement the method "nothing"')
  })
})

describe('storage', () => {
  test('has keys and values, bytes as buffers, and several statements in one text', async () => {
    const { at } = open()
    expect(await at('a').kv({ n: new Date(5) })).toEqual({ n: new Date(5) })
    expect(await at('a').bytes()).toEqual(['[object ArrayBuffer]', 2 ** 53])
    await at('a').many(3)
    expect(await at('a').all()).toHaveLength(3)
  })

  test('is one of each object, and of a jurisdiction', async () => {
    const { world, at } = open()
    await at('a').add(1)
    expect(await at('b').all()).toEqual([])
    expect(await (world.stub('Plain', 'a', 'eu') as unknown as Native).all()).toEqual([])
  })
})

describe('a bucket', () => {
  test('pages, ranges and lists as R2 does', async () => {
    const { world } = open()
    const bucket = new MemoryBucket(world) as any
    for (const key of ['a/1', 'a/2', 'b', 'c/x/1']) await bucket.put(key, key)
    expect((await bucket.list({ delimiter: '/' })).delimitedPrefixes).toEqual(['a/', 'c/'])
    const first = await bucket.list({ limit: 3 })
    expect(first).toMatchObject({ truncated: true })
    expect((await bucket.list({ cursor: first.cursor })).objects.map(({ key }) => key)).toEqual(['c/x/1'])
    expect(await (await bucket.get('a/1', { range: { suffix: 1 } })).text()).toBe('1')
    expect(await new Response((await bucket.get('c/x/1')).body).text()).toBe('c/x/1')
    await bucket.delete(['b'])
    expect([await bucket.get('b'), await bucket.head('b')]).toEqual([null, null])
  })
})

describe('a seed', () => {
  test('is a history: the same one goes the same way, and another one another', async () => {
    const history = async (seed: number) => {
      const random = new SeededRandom(seed)
      const chance: Chance = { random, dies: () => (random.next() < 0.3 ? 'before' : random.next() < 0.3 ? 'after' : undefined) }
      const world = new World({ at: start, random, chance, runs: false })
      world.deploy({ Plain } as unknown as Record<string, ObjectClass>, {})
      const ends: string[] = []
      for (let i = 0; i < 20; i++) {
        const call = (world.stub('Plain', `${i % 3}`) as unknown as Native).add(i)
        call.then(
          (it) => ends.push(`${i}: ${it}`),
          () => ends.push(`${i}: lost`),
        )
      }
      while (await world.step());
      return { ends: ends.join(), trace: world.trace, crashes: world.crashes }
    }
    const [first, again, other] = [await history(1), await history(1), await history(2)]
    expect(again).toEqual(first)
    expect(other.trace).not.toBe(first.trace)
    expect(first.crashes).toBeGreaterThan(0)
    expect(first.ends).toContain('lost')
  })
})
