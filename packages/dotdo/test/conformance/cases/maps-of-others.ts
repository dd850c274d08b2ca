/** `.map` over a list of one object whose function calls others: each call reaches the object that it is made on, with what the others gave. */
import { grouped, refused, same, type Case, type Far } from '../kit.ts'

export const mapsOfOthersCases: Case[] = []

const map = grouped(mapsOfOthersCases, 'map over several objects')

map('gives the result of one to another', ['callbacks'], async ({ open }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.numbers(4)
  same(await numbers.map((n: Far) => other.shown(one.square(n), n)), ['0; 0', '1; 1', '4; 2', '9; 3'])
})
map('gives results of all to each', ['callbacks'], async ({ open }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.numbers(3)
  same(await numbers.map((n: Far) => other.shown(one.square(n), other.square(n), list.square(n), one.square(other.square(n)))), [
    '0; 0; 0; 0',
    '1; 1; 1; 1',
    '4; 4; 4; 16',
  ])
})
map('gives a property of one to another', ['callbacks'], async ({ open }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.numbers(2)
  same(await numbers.map((n: Far) => other.shown(n, one.settings.place.city, one.label)), ['0; "Bern"; "world"', '1; "Bern"; "world"'])
})
map('gives a capability of one to another', ['callbacks', 'later'], async ({ open }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.numbers(3)
  same(await numbers.map((n: Far) => other.increment(one.counter(n), 10)), [10, 11, 12])
})
map('gives what lies behind a capability of one to another', ['callbacks', 'later'], async ({ open }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.numbers(3)
  same(await numbers.map((n: Far) => other.square(one.counter(n).plus(1).value)), [1, 4, 9])
})
map('nests', ['callbacks'], async ({ open }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.numbers(3)
  same(await numbers.map((n: Far) => one.numbers(n).map((m: Far) => other.pair(one.square(n), list.square(m)))), [
    [],
    [[1, 0]],
    [
      [4, 0],
      [4, 1],
    ],
  ])
})
map('goes over a list that one gives to another', ['callbacks'], async ({ open }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.numbers(3)
  same(await numbers.map((n: Far) => other.sum(one.numbers(n).map((m: Far) => one.square(m)))), [0, 0, 1])
})
map('goes over a list that has left already, and takes turns before it along', ['callbacks', 'later'], async ({ open, settle }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.numbers(3)
  using late = list.later([3, 4])
  const ten = other.square(10)
  await settle()
  same(await numbers.map((n: Far) => one.shown(other.square(n))), ['0', '1', '4'])
  same(await numbers.map((n: Far) => other.add(n)), [0, 1, 3])
  same(await numbers.map(() => other.add(1)), [4, 5, 6])
  same(await late.map((n: Far) => one.shown(other.square(n), ten, other.label)), ['9; 100; "world"', '16; 100; "world"'])
})
map('goes over a list that is awaited beside it', ['callbacks'], async ({ open }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.later([1, 2])
  same(await Promise.all([numbers, numbers.map((n: Far) => one.shown(other.square(n)))]), [
    [1, 2],
    ['1', '4'],
  ])
})
map('gives capabilities that work', ['callbacks', 'later'], async ({ open }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.numbers(3)
  using made = await numbers.map((n: Far) => ({ counter: other.counter(one.square(n)), plain: one.square(n) }))
  same(await Promise.all(made.map(({ counter }: Far) => counter.increment())), [1, 2, 5])
  same(
    made.map(({ plain }: Far) => plain),
    [0, 1, 4],
  )
})
map('makes the calls of its elements on one object in their order', ['callbacks'], async ({ open }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.numbers(5)
  await numbers.map((n: Far) => other.note(one.square(n)))
  same(await other.noted(), [0, 1, 4, 9, 16])
})
map('makes each call once', ['callbacks'], async ({ open }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.numbers(4)
  await numbers.map((n: Far) => other.add(one.add(n)))
  same([await one.sumOfAll, await other.sumOfAll], [6, 10])
})
map('fails by the error of the element that failed, in the argument too', ['callbacks'], async ({ open }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.numbers(4)
  await refused(() => numbers.map((n: Far) => other.shown(one.failAt(n, 2))), /failed at 2/)
  await refused(() => numbers.map((n: Far) => other.failAt(one.square(n), 4)), /failed at 4/)
  same(await numbers.map((n: Far) => other.square(one.square(n))), [0, 1, 16, 81])
})
map('fails where a method is missing, whatever its arguments wait for', ['callbacks'], async ({ open }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  using numbers = list.numbers(2)
  await refused(() => numbers.map((n: Far) => other.missing(one.square(n))), /not a function|METHOD_UNKNOWN/)
  await refused(() => numbers.map((n: Far) => other.square(one.missing(n))), /not a function|METHOD_UNKNOWN/)
  same(await other.square(2), 4)
})
map('lets go of what its calls were given', ['callbacks', 'later'], async ({ open, settle }) => {
  const [list, one, other] = [await open(), await open(), await open()]
  {
    using numbers = list.numbers(3)
    await numbers.map((n: Far) => other.increment(one.counter(n)))
  }
  await settle()
  same(await one.disposed(), 3)
})

const promised = grouped(mapsOfOthersCases, 'a result that holds what is not there yet')

promised('comes with it', async ({ open }) => {
  const world = await open()
  same(await world.promising(1, 2), { list: [1, 2], late: { value: 2 } })
})
promised('comes with what another object gives', ['callbacks'], async ({ open }) => {
  const [one, other] = [await open(), await open()]
  same(await one.asking(other, 3), { answers: [9, { late: 3 }] })
})
promised('fails by its error', ['callbacks'], async ({ open }) => {
  const [one, other] = [await open(), await open()]
  await refused(() => one.askingToFail(other), /too far/)
})
