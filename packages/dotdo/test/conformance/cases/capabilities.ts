/** References: handed out, passed on, called back, duplicated and let go. */
import { RpcStub, RpcTarget } from 'capnweb'
import { eventually, grouped, must, refused, same, type Case, type Far } from '../kit.ts'
import { Counter } from '../world.ts'

export const capabilityCases: Case[] = []

const caps = grouped(capabilityCases, 'capabilities')

caps('of a result work in later turns', ['later'], async ({ open, settle }) => {
  const world = await open()
  using counter = await world.counter(4)
  same(await counter.increment(), 5)
  await settle()
  same(await counter.increment(4), 9)
  same(await counter.value, 9)
})
caps('inside of a result work in later turns', ['later'], async ({ open, settle }) => {
  const world = await open()
  using nested = await world.nested()
  await settle()
  same(nested.name, 'nest')
  same(await Promise.all([nested.deep.counter.increment(), nested.deep.list[0].value, nested.deep.double(4)]), [6, 6, 8])
})
caps('are functions too', ['later'], async ({ open }) => {
  const world = await open()
  using double = await world.doubler()
  same(await double(21), 42)
  same(await double(4), 8)
})
caps('of a getter work in later turns', ['later'], async ({ open }) => {
  const world = await open()
  using standing = await world.standing
  same(await standing.increment(1), 101)
  same(await standing.increment(1), 102)
})
caps('passed back home are what they were', ['later'], async ({ open }) => {
  const world = await open()
  using counter = await world.counter(4)
  same(await world.increment(counter), 5)
  same(await world.increment(counter, 4), 9)
  same(await counter.value, 9)
})
caps('passed back home before they are there are what they were', ['later'], async ({ open }) => {
  const world = await open()
  using counter = world.counter(4)
  // A call waits for its arguments: which of the two comes first is nobody's promise.
  await Promise.all([world.increment(counter), counter.increment(4)])
  same(await counter.value, 9)
})
caps('passed back home inside of an argument are what they were', ['later'], async ({ open }) => {
  const world = await open()
  using counter = await world.counter(4)
  same(await world.incrementIn({ counter, by: 6 }), 10)
})
caps('that came in a list pass back home in one', ['later'], async ({ open }) => {
  const world = await open()
  using counters = await world.counters([1, 2, 3])
  same(await world.incrementAll(counters), [2, 3, 4])
})
caps('sent there and straight back are what they were', ['later', 'remote'], async ({ open }) => {
  const world = await open()
  using counter = await world.counter(4)
  using again = await world.back(counter)
  same(await again.increment(), 5)
  same(await counter.value, 5)
})
caps('have their getters read by the far end', ['later'], async ({ open }) => {
  const world = await open()
  using counter = await world.counter(7)
  same(await world.read(counter), 7)
})

const callbacks = grouped(capabilityCases, 'callbacks')

callbacks('are called while the call runs', ['callbacks'], async ({ open }) => {
  const world = await open()
  same(await world.call((a: number, b: number) => a + b, 2, 3), 5)
})
callbacks('may take their time', ['callbacks'], async ({ open }) => {
  const world = await open()
  const slowly = async (n: number) => {
    await new Promise((resolve) => setTimeout(resolve, 5))
    return n * n
  }
  same(await world.call(slowly, 3), 9)
})
callbacks('are called as often as the far end likes, in its order', ['callbacks'], async ({ open }) => {
  const world = await open()
  const seen: number[] = []
  same(
    await world.callEach((n: number) => seen.push(n), 20),
    Array.from({ length: 20 }, (_, i) => i + 1),
  )
  same(
    seen,
    Array.from({ length: 20 }, (_, i) => i),
  )
})
callbacks('are called many at once', ['callbacks'], async ({ open }) => {
  const world = await open()
  same(
    await world.callTogether(async (n: number) => n * 2, 50),
    Array.from({ length: 50 }, (_, i) => i * 2),
  )
})
callbacks('may call the far end again', ['callbacks'], async ({ open }) => {
  const world = await open()
  same(await world.call((n: number) => world.square(n), 5), 25)
})
callbacks('may be objects with methods and getters', ['callbacks'], async ({ open }) => {
  const world = await open()
  const events: unknown[] = []
  class Listener extends RpcTarget {
    on(event: unknown) {
      events.push(event)
    }
    get count() {
      return events.length
    }
  }
  same(await world.tell(new Listener(), 'a', { b: 1 }), 2)
  same(events, ['a', { b: 1 }])
})
callbacks('get values of every kind', ['callbacks'], async ({ open }) => {
  const world = await open()
  const value = [undefined, new Date(5), Uint8Array.of(1), 2n, { a: [] }]
  let got: unknown
  await world.call((it: unknown) => void (got = it), value)
  same(got, value)
})
callbacks('give values of every kind', ['callbacks'], async ({ open }) => {
  const world = await open()
  const value = [undefined, new Date(5), Uint8Array.of(1), 2n, { a: [] }]
  same(await world.call(() => value), value)
})
callbacks('give capabilities', ['callbacks', 'later'], async ({ open }) => {
  const world = await open()
  using given = await world.call(() => ({ counter: new Counter(3, { disposals: 0 } as Far) }))
  same(await given.counter.increment(), 4)
})
callbacks('that were kept are called in a later turn', ['callbacks', 'later'], async ({ open, settle }) => {
  const world = await open()
  await world.keep((n: number) => n + 1)
  await settle()
  same(await world.callKept(4), 5)
  await settle()
  same(await world.callKept(5), 6)
  await world.drop()
})
callbacks('that were not kept are gone when the call is over', ['callbacks'], async ({ open, settle }) => {
  const world = await open()
  let disposed = 0
  class Once extends RpcTarget {
    on() {}
    get count() {
      return 1
    }
    [Symbol.dispose]() {
      disposed++
    }
  }
  await world.tell(new Once(), 1)
  await settle()
  await eventually('its end is told', () => disposed === 1)
})

const ends = grouped(capabilityCases, 'ends')

ends('a capability that is disposed of is let go at the far end', ['later'], async ({ open }) => {
  const world = await open()
  {
    using counter = await world.counter(1)
    same(await counter.value, 1)
    same(await world.disposed(), 0)
  }
  await eventually('it was let go', async () => (await world.disposed()) === 1)
})
ends('a result that is disposed of lets go of all that is in it', ['later'], async ({ open }) => {
  const world = await open()
  const nested = await world.nested()
  same(await nested.deep.counter.value, 5)
  nested[Symbol.dispose]()
  await eventually('both were let go', async () => (await world.disposed()) === 2)
})
ends('a promise that is disposed of before it is there lets go of what comes', ['later'], async ({ open }) => {
  const world = await open()
  const pending = world.counterLater(1)
  pending[Symbol.dispose]()
  await world.square(1)
  await eventually('it was let go', async () => (await world.disposed()) === 1)
})
ends('a target that is in a result three times is let go three times', ['later'], async ({ open }) => {
  const world = await open()
  const three = await world.thrice()
  same(await Promise.all(three.map((it: Far) => it.value)), [1, 1, 1])
  three[Symbol.dispose]()
  await eventually('thrice', async () => (await world.disposed()) === 3)
})
ends('disposing of one twice counts once', ['later'], async ({ open, settle }) => {
  const world = await open()
  const counter = await world.counter(1)
  using other = counter.dup()
  counter[Symbol.dispose]()
  counter[Symbol.dispose]()
  await settle()
  same([await other.value, await world.disposed()], [1, 0])
})
ends('a duplicate goes on when the first is disposed of; the last one ends it', ['later'], async ({ open, settle }) => {
  const world = await open()
  const counter = await world.counter(1)
  const [one, two] = [counter.dup(), counter.dup()]
  counter[Symbol.dispose]()
  same(await one.increment(), 2)
  one[Symbol.dispose]()
  await settle()
  same([await two.increment(), await world.disposed()], [3, 0])
  two[Symbol.dispose]()
  await eventually('it was let go', async () => (await world.disposed()) === 1)
})
ends('what is disposed of cannot be used again, and says so', ['later'], async ({ open, traits }) => {
  const world = await open()
  const counter = await world.counter(1)
  counter[Symbol.dispose]()
  for (const use of [() => counter.value, () => counter.increment(), () => world.increment(counter)]) {
    const error = await refused(use, /dispose/i)
    if (traits.wire !== 'memory')
      must(error.code === 'REFERENCE_GONE' && /dup\(\)/.test(error.message), `it says what to do: ${error.message}`)
  }
})
ends(
  'what a method was given and returns as it is, is gone by then, and says to duplicate it',
  ['callbacks', 'later', 'remote'],
  async ({ open, traits }) => {
    const world = await open()
    const error = await refused(async () => (await world.backAsItIs((n: number) => n + 1))(1), /dispose/)
    // Over the wire of a client alone the words are the other end's too.
    if (!traits.isBare) must(error.code === 'REFERENCE_GONE' && /dup\(\)/.test(error.message), `it says what to do: ${error.message}`)
  },
)
ends('a duplicate of a promise’s property leads to what it will be', ['later'], async ({ open }) => {
  const world = await open()
  const nested = world.nested()
  using counter = nested.deep.counter.dup()
  same(await counter.increment(), 6)
  nested[Symbol.dispose]()
  same(await counter.increment(), 7)
})
ends('a stub may be disposed of as soon as the call that it is an argument of is made', ['later'], async ({ open }) => {
  const world = await open()
  const counter = await world.counter(1)
  const incremented = world.increment(counter)
  counter[Symbol.dispose]()
  same(await incremented, 2)
})
ends('a call goes through though its stub is disposed of right after', ['later'], async ({ open }) => {
  const world = await open()
  const counter = await world.counter(1)
  const incremented = counter.increment()
  counter[Symbol.dispose]()
  same(await incremented, 2)
})
ends('a target of the caller is let go when the call that it was an argument of is over', ['callbacks', 'later'], async ({ open }) => {
  const world = await open()
  const mine = { disposals: 0 }
  same(await world.read(new Counter(42, mine as Far)), 42)
  await eventually('it was let go', () => mine.disposals === 1)
})
ends('a stub of the caller outlives the calls that it was an argument of', ['callbacks', 'later'], async ({ open, settle }) => {
  const world = await open()
  const mine = { disposals: 0 }
  const stub = new RpcStub(new Counter(0, mine as Far)) as Far
  same(await world.increment(stub), 1)
  same(await world.increment(stub), 2)
  await settle()
  same(mine.disposals, 0)
  stub[Symbol.dispose]()
  await eventually('it was let go', () => mine.disposals === 1)
})
ends('a plain result has a disposer too', async ({ open }) => {
  const world = await open()
  using rows = await world.rows(2)
  must(typeof rows[Symbol.dispose] === 'function', 'a disposer')
  same(rows.length, 2)
})
