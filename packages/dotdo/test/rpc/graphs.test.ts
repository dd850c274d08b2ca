/** Random graphs of calls: over a link whose messages are delayed and reordered they answer what they answer when run in place. */
import fc from 'fast-check'
import { RpcTarget, type RpcStub } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { SeededRandom } from '../support/fakes.ts'
import { pair, turns, type Carry } from './pair.ts'

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

/** One call of a graph, on the root or on the cell that an earlier `child` gave, with a number or an earlier answer as its argument. */
interface Step {
  on: number
  method: 'child' | 'add' | 'later' | 'fail' | 'name' | 'list'
  argument: { literal: number } | { answer: number }
  awaited: boolean
  newTurn: boolean
}

const step: fc.Arbitrary<Step> = fc.record({
  on: fc.nat(20),
  method: fc.constantFrom('child', 'add', 'later', 'fail', 'name', 'list'),
  argument: fc.oneof(
    fc.nat(9).map((literal) => ({ literal })),
    fc.nat(20).map((answer) => ({ answer })),
  ),
  awaited: fc.boolean(),
  newTurn: fc.boolean(),
})
const graph = fc.array(step, { minLength: 1, maxLength: 25 })

type Answer = { value: unknown } | { error: string }

interface Surroundings {
  root: unknown
  /** Ends a turn between two steps. */
  endTurn: () => Promise<void>
}

/**
 * Runs a graph on any root: a local cell or a stub. Only numbers are passed on as answers, and cells of the same root are called; what a
 * graph says beyond that is brought back to it by counting round.
 */
async function run(steps: Step[], { root, endTurn }: Surroundings): Promise<Answer[]> {
  const cells: unknown[] = [root]
  const numbers: unknown[] = []
  const answers: Promise<Answer>[] = []
  for (const { on, method, argument, awaited, newTurn } of steps) {
    if (newTurn) await endTurn()
    const target = cells[on % cells.length] as Record<string, (argument?: unknown) => unknown>
    const value = 'literal' in argument ? argument.literal : (numbers[argument.answer % Math.max(1, numbers.length)] ?? argument.answer)
    if (method === 'child') {
      cells.push(target['child']!('literal' in argument ? argument.literal : argument.answer))
      continue
    }
    let result: unknown
    try {
      result = method === 'name' ? target['name'] : target[method]!(value)
    } catch (error) {
      result = Promise.reject(error as Error)
    }
    if (method === 'add' || method === 'later') numbers.push(result)
    const settled = Promise.resolve(result as PromiseLike<unknown>).then(
      (it): Answer => ({ value: it }),
      (error: unknown): Answer => ({ error: (error as { code?: string }).code ?? 'none' }),
    )
    answers.push(settled)
    if (awaited) await settled
  }
  return Promise.all(answers)
}

/** In place: promises as arguments are awaited as a link awaits them, before the method runs. */
function local(log: string[]): object {
  const wrap = (cell: Cell | Promise<Cell>): unknown =>
    new Proxy(
      {},
      {
        get: (_, property) => {
          if (property === 'then') return undefined
          if (property === 'name') return (async () => (await cell).name)()
          return (argument: unknown) => {
            if (property === 'child') return wrap((cell as Cell).child(argument as number))
            if (typeof (argument as { then?: unknown })?.then === 'function')
              return (async () =>
                ((await cell) as unknown as Record<string, (n: unknown) => unknown>)[property as string]!(await argument))()
            return (async () => (cell as unknown as Record<string, (n: unknown) => unknown>)[property as string]!(argument))()
          }
        },
      },
    )
  return wrap(new Cell('root', log)) as object
}

/** Native calls on one stub arrive in the order in which they were made; their answers come late and overtake each other. */
function jittery(seed: number): Carry {
  const random = new SeededRandom(seed)
  const wait = async () => {
    for (let n = random.below(4); n > 0; n--) await new Promise((resolve) => setImmediate(resolve))
  }
  return async (_, send) => {
    const reply = await send()
    await wait()
    return reply
  }
}

/** Only what does not depend on when a promise among the arguments resolves: the answers of each call on its own. */
const sorted = (log: string[]) => log.toSorted()

describe('a random graph', () => {
  test('answers over a link what it answers in place', async () => {
    await fc.assert(
      fc.asyncProperty(graph, fc.integer(), async (steps, seed) => {
        // Sums depend on the order of calls whose arguments are promises; everything else may be compared as it is.
        const plain = steps.filter((it) => !(it.method === 'add' && 'answer' in it.argument))
        const here: string[] = []
        const there: string[] = []
        const expected = await run(plain, { root: local(here), endTurn: () => turns(1) })
        const { link, failures } = pair(new Cell('root', there), { carry: jittery(seed) })
        const answers = await run(plain, { root: link.root(), endTurn: () => turns(1) })
        expect(answers).toEqual(expected)
        await turns(20)
        expect(sorted(there)).toEqual(sorted(here))
        for (const failure of failures) expect(failure).toMatchObject({ code: 'FAILED' })
      }),
      { numRuns: 300 },
    )
  })

  test('of plain calls takes effect in the order in which they were made, over turns and jitter', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ n: fc.nat(99), newTurn: fc.boolean(), awaited: fc.boolean() }), { minLength: 2, maxLength: 30 }),
        fc.integer(),
        async (calls, seed) => {
          const log: string[] = []
          // One path: native calls on one stub arrive in the order in which they were made, and only answers overtake each other.
          const random = new SeededRandom(seed)
          const { link } = pair(new Cell('root', log), {
            carry: async (_, send) => {
              const reply = send()
              for (let n = random.below(5); n > 0; n--) await new Promise((resolve) => setImmediate(resolve))
              return reply
            },
          })
          const root = link.root() as unknown as RpcStub<Cell>
          const open: Promise<unknown>[] = []
          for (const { n, newTurn, awaited } of calls) {
            if (newTurn) await turns(1)
            const call = Promise.resolve(root.add(n))
            open.push(call)
            if (awaited) await call
          }
          await Promise.all(open)
          expect(log).toEqual(calls.map(({ n }) => `root.add(${n})`))
        },
      ),
      { numRuns: 200 },
    )
  })

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
