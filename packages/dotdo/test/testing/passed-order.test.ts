/** Calls that an object makes on a capability of a third one, which came to it as an argument: they are made in the order in which it wrote them. */
import { RpcTarget } from 'capnweb'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DO } from '../../src/index.ts'
import { testApp } from '../../src/testing.ts'

/** Turns of the event loop. */
async function turns(n: number): Promise<void> {
  for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve))
}

class Tally extends RpcTarget {
  #noted: number[] = []
  note(n: number) {
    this.#noted.push(n)
    return n
  }
  async noteLater(n: number) {
    this.note(n)
    await turns(3)
    return n
  }
  noted() {
    return this.#noted
  }
}

interface Holder {
  tally(after: number): Promise<Tally>
  late<T>(value: T, turns: number): Promise<T>
}

/** A call: its number waits for another object's answer for so many turns, or is there. */
interface Written {
  waits: { turns: number; by: 'the same' | 'another' } | null
  isLong: boolean
  /** Turns until the next call is written. */
  gap: number
}

const Holder = DO.extend({
  async tally(after: number) {
    await turns(after)
    return new Tally()
  },
  async late<T>(value: T, n: number) {
    await turns(n)
    return value
  },
})

const User = DO.extend({
  async use(tally: Tally, calls: Written[]) {
    const made: unknown[] = []
    for (const [i, { waits, isLong, gap }] of calls.entries()) {
      const holder = waits && this.Holder(waits.by === 'the same' ? 'holder' : 'other')
      const n = (holder ? holder.late(i, waits.turns) : i) as number
      made.push(isLong ? tally.noteLater(n) : tally.note(n))
      await turns(gap)
    }
    await Promise.all(made)
    return tally.noted()
  },
})

const Main = DO.extend({
  async give(how: 'promise' | 'value', after: number, calls: Written[]) {
    const tally = this.Holder('holder').tally(after) as unknown as Promise<Tally>
    return this.User('user').use(how === 'promise' ? (tally as unknown as Tally) : await tally, calls)
  },
})

const delay = fc.oneof(fc.constant(0), fc.nat(40))
const written = fc.record<Written>(
  {
    waits: fc.option(fc.record({ turns: delay, by: fc.constantFrom('the same', 'another') }, { noNullPrototype: true }), { freq: 2 }),
    isLong: fc.boolean(),
    gap: delay,
  },
  { noNullPrototype: true },
)

test('whatever they wait for, within a turn and over turns, and whether the capability has come or is under way', async () => {
  using app = await testApp({ Main, User, Holder })
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('promise', 'value'),
      delay,
      fc.array(written, { minLength: 2, maxLength: 6 }),
      async (how, after, calls) => {
        expect(await app.Main('main').give(how, after, calls)).toEqual(calls.map((_, i) => i))
      },
    ),
    { numRuns: Number(process.env['PASSED'] ?? 40) },
  )
})
