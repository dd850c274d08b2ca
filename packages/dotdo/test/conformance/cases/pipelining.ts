/** Calls on what is not there yet, promises as arguments, and `.map`. */
import { RpcPromise, RpcStub } from 'capnweb'
import { eventually, grouped, must, refused, same, type Case, type Far } from '../kit.ts'
import { Counter } from '../world.ts'

export const pipeliningCases: Case[] = []

const chains = grouped(pipeliningCases, 'chains')

chains('a result is called before it is there', async ({ open }) => {
  const world = await open()
  using counter = world.counter(4)
  same(await counter.increment(), 5)
})
chains('a result is called twice before it is there', async ({ open }) => {
  const world = await open()
  using counter = world.counter(4)
  same(await Promise.all([counter.increment(), counter.increment(4)]), [5, 9])
})
chains('a result that comes late is called before it is there', async ({ open }) => {
  const world = await open()
  using counter = world.counterLater(1)
  same(await counter.increment(2), 3)
})
chains('ten deep answer as one', async ({ open }) => {
  const world = await open()
  let end: Far = world.counter(0)
  const links: Far[] = [end]
  for (let i = 0; i < 9; i++) links.push((end = end.plus(1)))
  same(await end.value, 9)
  for (const it of links) it[Symbol.dispose]()
})
chains('go on through objects and functions of a result', async ({ open }) => {
  const world = await open()
  using nested = world.nested()
  same(await Promise.all([nested.name, nested.deep.counter.increment(), nested.deep.double(21)]), ['nest', 6, 42])
})
chains('a function that a call returns is called before it is there', async ({ open }) => {
  const world = await open()
  using double = world.doubler()
  same(await double(4), 8)
})
chains('an error in the middle reaches everything after it, and nothing before', ['later', 'middle'], async ({ open }) => {
  const world = await open()
  using counter = world.counter(1)
  using broken = counter.break()
  using after = broken.plus(1)
  await refused(() => after.value, /the counter broke/)
  same(await counter.value, 1)
})
chains('an intermediate can be awaited as well', ['later'], async ({ open }) => {
  const world = await open()
  const pending = world.counter(3)
  const value = pending.increment()
  using counter = await pending
  same(await value, 4)
  same(await counter.increment(), 5)
})

chains('an element of a list is taken by its place before the list is there', ['remote', 'later'], async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(4)
  same(await Promise.all([numbers[3], numbers[4], world.square(numbers[2]), world.rows(2)[1].name]), [3, undefined, 4, 'row 1'])
  using counters = world.counters([5, 6])
  same(await counters[1].increment(), 7)
  same(await world.rows(2).map((row: Far) => world.pair(row.id, row.name)[1]), ['row 0', 'row 1'])
})

chains('how long a list, a text or bytes are is known before they are there', ['remote', 'later'], async ({ open, settle, traits }) => {
  const world = await open()
  const list = world.rows(3)
  same(await Promise.all([world.numbers(4).length, world.greet().length, world.filled(3).length, list[1].name.length]), [4, 12, 3, 5])
  same(await world.settings.place.city.length, 4)
  same(await world.square(world.numbers(3).length), 9)
  same(await world.rows(2).map((row: Far) => row.name.length), [5, 5])
  same([await world.settings.length, await world.square(2).length], [undefined, undefined])
  // What has come is read where that is: by capnweb alone, it has none.
  if (traits.isBare) return
  await settle()
  const text = world.greet()
  same(await text, 'hello nobody')
  same([await text.length, await world.square(text.length)], [12, 144])
})

chains('a list that is not there has .map alone of what lists can do, and says so', ['remote'], async ({ open, traits }) => {
  const world = await open()
  for (const name of ['filter', 'forEach', 'find', 'reduce', 'slice'])
    if (!traits.lacks.callbacks) {
      const error = await refused(() => world.numbers(3)[name]((n: number) => n), /METHOD_UNKNOWN/)
      must(/await/.test(error.message) && /map/.test(error.message), `it says what to do: ${error.message}`)
    }
  await refused(() => [...world.numbers(3)], /NOT_A_VALUE|iterable/)
  await refused(async () => {
    for await (const n of world.numbers(3)) void n
  }, /NOT_A_VALUE|iterable/)
  same(await world.numbers(2), [0, 1])
})

const args = grouped(pipeliningCases, 'promises as arguments')

args('a result is an argument of the same object’s method', async ({ open }) => {
  const world = await open()
  using squared = world.square(2)
  same(await world.square(squared), 16)
})
args('one result is an argument of several', async ({ open }) => {
  const world = await open()
  using list = world.numbers(4)
  same(await Promise.all([world.sum(list), world.shown(list, list)]), [6, '[0, 1, 2, 3]; [0, 1, 2, 3]'])
})
args('a result is taken out of the middle of an argument', async ({ open }) => {
  const world = await open()
  using squared = world.square(2)
  same(await world.shown({ deep: [squared, { squared }] }), '{"deep": [4, {"squared": 4}]}')
})
args('a property of a result is an argument', async ({ open }) => {
  const world = await open()
  same(await world.greet(world.settings.place.city), 'hello Bern')
})
args('a getter is an argument', async ({ open }) => {
  const world = await open()
  same(await world.greet(world.label), 'hello world')
})
args('results of results are arguments', async ({ open }) => {
  const world = await open()
  same(await world.square(world.square(world.square(2))), 256)
})
args('a result of another link is an argument', ['callbacks'], async ({ open }) => {
  const [one, other] = [await open(), await open()]
  same(await other.sum(one.numbers(4)), 6)
})
args('a result of another link is an argument of several', ['callbacks'], async ({ open }) => {
  const [one, other] = [await open(), await open()]
  const total = one.add(5)
  same(await Promise.all([other.square(total), other.shown(total)]), [25, '5'])
  same(await one.sumOfAll, 5)
})
args('two links give arguments to each other', ['callbacks'], async ({ open }) => {
  const [one, other] = [await open(), await open()]
  const there = other.square(one.square(2))
  const back = one.square(other.square(3))
  same(await Promise.all([there, back]), [16, 81])
})
args('a local promise is an argument', ['callbacks'], async ({ open }) => {
  const world = await open()
  using local = new RpcPromise(Promise.resolve(6) as Far) as Far
  same(await world.square(local), 36)
})
args('a local promise that comes late is an argument', ['callbacks'], async ({ open }) => {
  const world = await open()
  using local = new RpcPromise(new Promise((resolve) => setTimeout(resolve, 30, 6)) as Far) as Far
  same(await world.square(local), 36)
})
args('a result of a local stub is an argument', ['callbacks'], async ({ open }) => {
  const world = await open()
  using local = new RpcStub((n: number) => n + 1) as Far
  same(await world.square(local(5)), 36)
})
args('a promise that fails refuses the call that it is an argument of', async ({ open }) => {
  const world = await open()
  using failed = world.fail('coded')
  await refused(() => world.shown(failed), /too far/)
  same(await world.square(2), 4)
})
args('a promise of another link that fails refuses the call', ['callbacks'], async ({ open }) => {
  const [one, other] = [await open(), await open()]
  await refused(() => other.shown(one.fail('coded')), /too far/)
  same(await other.square(2), 4)
})
args('a property of an answered promise is an argument in a later turn', ['answered', 'later'], async ({ open, settle }) => {
  const world = await open()
  const settings = world.settings
  same(await settings.place, { city: 'Bern' })
  same(await settings, { size: 3, place: { city: 'Bern' } })
  await settle()
  same(await world.greet(settings.place.city), 'hello Bern')
})
args('an answered promise that failed refuses the call in a later turn, by its own error', ['answered'], async ({ open, settle }) => {
  const world = await open()
  const failed = world.fail('coded')
  await refused(() => failed, /too far/)
  await settle()
  await refused(() => world.shown([failed]), /too far/)
})
args('an answered promise is an argument in a later turn', ['answered'], async ({ open, settle }) => {
  const world = await open()
  const numbers = world.numbers(3)
  same(await numbers, [0, 1, 2])
  await settle()
  same(await world.sum(numbers), 3)
})
args('an answered promise of another link is an argument in a later turn', ['callbacks', 'answered'], async ({ open, settle }) => {
  const [one, other] = [await open(), await open()]
  const numbers = one.numbers(3)
  same(await numbers, [0, 1, 2])
  await settle()
  same(await other.sum(numbers), 3)
})
args('a capability of another link is an argument, and is called there', ['later', 'callbacks'], async ({ open }) => {
  const [one, other] = [await open(), await open()]
  using counter = await one.counter(10)
  same(await other.increment(counter, 3), 13)
  same(await counter.value, 13)
})

const map = grouped(pipeliningCases, 'map')

map('runs once for each of a list', async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(4)
  same(await numbers.map((n: Far) => world.square(n)), [0, 1, 4, 9])
})
map('of an empty list runs never', async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(0)
  same(await numbers.map((n: Far) => world.add(n)), [])
  same(await world.sumOfAll, 0)
})
map('of null and undefined runs never and gives the same', async ({ open }) => {
  const world = await open()
  using nil = world.nil()
  using undef = world.undef()
  same(await Promise.all([nil.map(() => world.add(1)), undef.map(() => world.add(1))]), [null, undefined])
  same(await world.sumOfAll, 0)
})
map('of one value runs once', async ({ open }) => {
  const world = await open()
  using n = world.square(3)
  same(await n.map((it: Far) => world.square(it)), 81)
})
map('takes properties of its element, and puts results into what it returns', async ({ open }) => {
  const world = await open()
  using rows = world.rows(2)
  same(await rows.map((row: Far) => ({ id: row.id, told: world.greet(row.name), fixed: [1, { a: 'b' }] })), [
    { id: 0, told: 'hello row 0', fixed: [1, { a: 'b' }] },
    { id: 1, told: 'hello row 1', fixed: [1, { a: 'b' }] },
  ])
})
map('calls methods of capabilities', async ({ open }) => {
  const world = await open()
  using counters = world.counters([1, 2, 3])
  same(await counters.map((it: Far) => it.increment(10)), [11, 12, 13])
})
map('chains', async ({ open }) => {
  const world = await open()
  using counters = world.counters([1, 2])
  same(await counters.map((it: Far) => it.plus(1).plus(1).value), [3, 4])
})
map('nests', async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(4)
  same(await numbers.map((n: Far) => world.numbers(n).map((m: Far) => world.pair(n, m))), [
    [],
    [[1, 0]],
    [
      [2, 0],
      [2, 1],
    ],
    [
      [3, 0],
      [3, 1],
      [3, 2],
    ],
  ])
})
map('captures results of turns before, and calls them once for each', ['later'], async ({ open, settle }) => {
  const world = await open()
  using late = world.later([0, 1, 2])
  using numbers = world.numbers(3)
  await settle()
  using base = world.counter(10)
  same(await numbers.map((n: Far) => base.increment(n)), [10, 11, 13])
  same(await late.map((n: Far) => base.increment(n)), [13, 14, 16])
  await settle()
  same(await world.numbers(2).map((n: Far) => base.increment(n)), [16, 17])
})
map('over what is on its way, beside a capability that is, is over its elements', ['later'], async ({ open, settle }) => {
  const world = await open()
  using numbers = world.later([1, 2])
  using base = world.counter(10)
  await settle()
  same(await Promise.all([numbers.map((n: Far) => base.increment(n)), world.sum(numbers)]), [[11, 13], 3])
})
map('captures results of the same turn', async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(3)
  using base = world.counter(10)
  same(await numbers.map((n: Far) => base.increment(n)), [10, 11, 13])
})
map('of what a capability gives takes along calls of the same turn, which are made once', ['later'], async ({ open }) => {
  const world = await open()
  using counter = await world.counter(3)
  const [total, settings] = [world.add(1), world.settings]
  using base = world.counter(10)
  same(await counter.counted(3).map((n: Far) => [total, settings.size, base.increment(n)]), [
    [1, 3, 10],
    [1, 3, 11],
    [1, 3, 13],
  ])
  same(await Promise.all([world.sumOfAll, total, base.increment(1)]), [1, 1, 14])
})
map('leaves what it takes along and what it returns to the program, which uses it after that', ['later'], async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(3)
  using five = world.later(5)
  using base = world.counter(10)
  const mapped = numbers.map((n: Far) => [n, five, world.pair(five, n)])
  const alone = numbers.map(() => five)
  const parts = numbers.map((n: Far) => [base, base.increment(n)][1])
  same(await Promise.all([mapped, alone, parts, world.square(five), five]), [
    [
      [0, 5, [5, 0]],
      [1, 5, [5, 1]],
      [2, 5, [5, 2]],
    ],
    [5, 5, 5],
    [10, 11, 13],
    25,
    5,
  ])
  same(await base.increment(1), 14)
})
map('within a map leaves the lists and results that both take along', async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(2)
  using five = world.later(5)
  const mapped = numbers.map((n: Far) => numbers.map((m: Far) => [world.pair(n, m), five]))
  same(await Promise.all([mapped, five, world.sum(numbers)]), [
    [
      [
        [[0, 0], 5],
        [[0, 1], 5],
      ],
      [
        [[1, 0], 5],
        [[1, 1], 5],
      ],
    ],
    5,
    1,
  ])
})
map('over a list that has come leaves what it takes along, and takes what has come', ['later', 'answered'], async ({ open, settle }) => {
  const world = await open()
  using numbers = world.numbers(2)
  using known = world.later(7)
  same(await Promise.all([numbers, known]), [[0, 1], 7])
  await settle()
  using five = world.later(5)
  using base = world.counter(10)
  const mapped = numbers.map((n: Far) => [n, five, known, world.pair(five, known), base.increment(five)])
  same(await Promise.all([mapped, five, world.square(known)]), [
    [
      [0, 5, 7, [5, 7], 15],
      [1, 5, 7, [5, 7], 20],
    ],
    5,
    49,
  ])
  same(await base.increment(1), 21)
})
map('gives capabilities of before back, and leaves them to the program', ['later'], async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(2)
  using counter = await world.counter(1)
  using given = await numbers.map((n: Far) => [n, counter])
  same([await given[1][1].increment(), await counter.increment()], [2, 3])
})
map('that a capability gives takes along and returns what the object gives', ['later'], async ({ open }) => {
  const world = await open()
  using counter = await world.counter(3)
  using made = counter.plus(1)
  using list = await world.counters([1, 2])
  using numbers = counter.counted(2)
  const mapped = numbers.map((n: Far) => [n, made.increment(n), list[1], world.square(n)])
  const elements = await mapped
  same(
    elements.map((it: Far) => [it[0], it[1], it[3]]),
    [
      [0, 4, 0],
      [1, 5, 1],
    ],
  )
  same(await made.value, 5)
  same([await elements[0][2].increment(), await list[1].increment()], [3, 4])
})
map('runs its function once, here, and its calls there', async ({ open }) => {
  const world = await open()
  let runs = 0
  using numbers = world.numbers(5)
  await numbers.map((n: Far) => {
    runs++
    return world.add(n)
  })
  same([runs, await world.sumOfAll], [1, 10])
})
map('has one failing element fail it all, by that element’s error', async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(5)
  await refused(() => numbers.map((n: Far) => world.failAt(n, 3)), /failed at 3/)
})
map('of a promise that fails fails by the same', async ({ open }) => {
  const world = await open()
  using failed = world.fail('plain')
  await refused(() => failed.map((it: Far) => world.square(it)), /it broke/)
})
map('over a function that waits is refused here', ['remote'], async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(2)
  await refused(() => numbers.map(async (n: Far) => world.square(n)), /MAP_ASYNC|Promise/)
  same(await world.square(2), 4)
})
map('over a function that makes a capability is refused here', async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(2)
  await refused(() => numbers.map((n: Far) => world.call(() => 1, n)))
  same(await world.square(2), 4)
})
map('captures a stub of the caller', ['callbacks', 'later'], async ({ open }) => {
  const world = await open()
  const state = { disposals: 0 }
  using mine = new RpcStub(new Counter(0, state as Far)) as Far
  using numbers = world.numbers(4)
  await numbers.map((n: Far) => mine.increment(n))
  same(await mine.value, 6)
})
map('gives capabilities that work', ['later'], async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(3)
  using counters = await numbers.map((n: Far) => world.counter(n))
  same(await Promise.all(counters.map((it: Far) => it.increment())), [1, 2, 3])
})
map('over a thousand is one answer', async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(1000)
  const answer = await numbers.map((n: Far) => world.square(n))
  must(answer.length === 1000 && answer[999] === 998_001, 'all of them')
})
map('that nobody awaits is delivered', async ({ open, settle }) => {
  const world = await open()
  {
    using numbers = world.numbers(3)
    const mapped = numbers.map((n: Far) => world.note(n))
    void mapped
  }
  await settle()
  await eventually('the notes', async () => (await world.noted()).length === 3)
})
map('carries bytes and dates in what was recorded', async ({ open }) => {
  const world = await open()
  using numbers = world.numbers(2)
  same(await numbers.map((n: Far) => world.shown(n, Uint8Array.of(1, 2), new Date(5))), [
    '0; Uint8Array(1 2); Date(5)',
    '1; Uint8Array(1 2); Date(5)',
  ])
})
