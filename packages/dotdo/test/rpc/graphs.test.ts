/** Graphs of calls over one link: how many messages they take, what becomes of them where some are lost, and what they leave behind. */
import fc from 'fast-check'
import { RpcTarget, type RpcStub } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { SeededRandom } from '../support/fakes.ts'
import { pair } from './pair.ts'

/** A tree of cells: each call is written down in the order in which it took effect. */
class Cell extends RpcTarget {
  #name: string
  #log: string[]
  #children = new Map<number, Cell>()
  #value = 0

  constructor(name: string, log: string[]) {
    super()
    this.#name = name
    this.#log = log
  }
  child(n: number): Cell {
    this.#log.push(`${this.#name}.child(${n})`)
    let cell = this.#children.get(n)
    if (!cell) this.#children.set(n, (cell = new Cell(`${this.#name}/${n}`, this.#log)))
    return cell
  }
  add(n: number): number {
    this.#log.push(`${this.#name}.add(${n})`)
    return (this.#value += n)
  }
  async later(n: number): Promise<number> {
    this.#log.push(`${this.#name}.later(${n})`)
    await new Promise((resolve) => setImmediate(resolve))
    return n * 2
  }
  fail(n: number): never {
    this.#log.push(`${this.#name}.fail(${n})`)
    throw Object.assign(new Error(`failed ${n}`), { code: 'FAILED' })
  }
  list(n: number): number[] {
    return Array.from({ length: n }, (_, i) => i)
  }
  get name(): string {
    return this.#name
  }
}

describe('a random graph', () => {
  test('in one turn is one message, however deep and wide', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(3), { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 12 }), async (path, width) => {
        const { link, stats } = pair(new Cell('root', []))
        const root = link.root() as unknown as RpcStub<Cell>
        const names = await Promise.all(
          Array.from({ length: width }, () => {
            let cell = root as unknown as { child(n: number): never; name: Promise<string> }
            for (const n of path) cell = cell.child(n)
            return cell.name
          }),
        )
        expect(names).toEqual(Array.from({ length: width }, () => ['root', ...path].join('/')))
        expect(stats.messages).toBe(1)
      }),
      { numRuns: 100 },
    )
  })
})

describe('a link that loses messages', () => {
  test('answers or rejects every call, and a call takes effect at most once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(99), { minLength: 1, maxLength: 20 }), fc.integer(), async (numbers, seed) => {
        const log: string[] = []
        const random = new SeededRandom(seed)
        const { link } = pair(new Cell('root', log), {
          carry: async (_, send) => {
            const fate = random.below(4)
            if (fate === 0) throw new Error('lost on the way there')
            const reply = await send()
            if (fate === 1) throw new Error('lost on the way back')
            return reply
          },
        })
        const root = link.root() as unknown as RpcStub<Cell>
        let answered = 0
        for (const [i, n] of numbers.entries()) {
          const outcome = await Promise.resolve(root.later(n * 100 + i)).then(
            (value) => ({ value }),
            (error: unknown) => ({ error }),
          )
          if ('value' in outcome) {
            expect(outcome.value).toBe((n * 100 + i) * 2)
            answered++
          } else {
            expect(outcome.error).toMatchObject({ code: 'OBJECT_UNREACHABLE', retryable: true })
          }
        }
        expect(new Set(log).size).toBe(log.length)
        expect(log.length).toBeGreaterThanOrEqual(answered)
      }),
      { numRuns: 100 },
    )
  })

  test('a message that is sent twice by the network takes effect once', async () => {
    const log: string[] = []
    const { link } = pair(new Cell('root', log), {
      carry: async (_, send) => {
        const [first] = await Promise.allSettled([send(), send()])
        if (first.status === 'rejected') throw first.reason as Error
        return first.value
      },
    })
    const root = link.root() as unknown as RpcStub<Cell>
    expect(await root.add(5)).toBe(5)
    expect(log).toEqual(['root.add(5)'])
  })
})

describe('what a link leaves behind', () => {
  test('no session and no timer after many graphs', async () => {
    const { link, server } = pair(new Cell('root', []), { limits: { idleMs: 5, graceMs: 5 } })
    const root = link.root() as unknown as RpcStub<Cell>
    for (let i = 0; i < 50; i++) await Promise.all([root.child(i).add(i), root.add(i), root.list(3)])
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(server.openSessions).toBe(0)
  })

  test('a deep chain is answered and a deeper one refused by name', async () => {
    const { link } = pair(new Cell('root', []), { limits: { framesPerMessage: 300 } })
    const root = link.root() as unknown as RpcStub<Cell>
    const chain = (depth: number) => {
      let cell = root as unknown as { child(n: number): never; name: Promise<string> }
      for (let i = 0; i < depth; i++) cell = cell.child(1)
      return cell.name
    }
    expect((await chain(200)).length).toBe('root'.length + 2 * 200)
    // More frames than a message holds go in two.
    expect((await chain(400)).length).toBe('root'.length + 2 * 400)
    const { link: shallow } = pair(new Cell('root', []), { limits: { chainDepth: 3 } })
    const cell = shallow.root() as unknown as RpcStub<Cell>
    expect(await cell.child(1).child(1).name).toBe('root/1/1')
    await expect(Promise.resolve(cell.child(1).child(1).child(1).name)).rejects.toMatchObject({
      code: 'LINK_LIMIT',
      data: { limit: 'chainDepth', value: 4, bound: 3 },
    })
  })
})
