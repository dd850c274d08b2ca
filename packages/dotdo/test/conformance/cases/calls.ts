/** Calls, getters, what can be reached, turns and the order of calls. */
import { eventually, grouped, must, refused, same, type Case, type Far } from '../kit.ts'

export const callCases: Case[] = []

const calls = grouped(callCases, 'calls')

calls('answer with what the method returns', async ({ open }) => {
  const world = await open()
  same(await world.square(7), 49)
})
calls('answer with what the method’s promise gives', async ({ open }) => {
  const world = await open()
  same(await world.later('later'), 'later')
})
calls('of a method that returns nothing answer undefined', async ({ open }) => {
  const world = await open()
  same(await world.nothing(), undefined)
})
calls('leave out arguments, so that defaults hold', async ({ open }) => {
  const world = await open()
  same(await world.greet(), 'hello nobody')
})
calls('pass undefined as undefined, so that defaults hold', async ({ open }) => {
  const world = await open()
  same(await world.greet(undefined, null), 'null nobody')
})
calls('keep the number of their arguments', async ({ open }) => {
  const world = await open()
  same(await world.shown(1, undefined, null, undefined), '1; undefined; null; undefined')
})
calls('of a hundred arguments arrive whole', async ({ open }) => {
  const world = await open()
  const many = Array.from({ length: 100 }, (_, i) => i)
  same(await world.shown(...many), many.join('; '))
})
calls('have then, catch and finally', async ({ open }) => {
  const world = await open()
  same(await world.square(3).then((n: number) => n * 2), 18)
  same(await world.fail('plain').catch((error: Error) => error.message), 'it broke')
  let ended = 0
  await world.square(3).finally(() => ended++)
  await refused(() => world.fail('plain').finally(() => ended++), /it broke/)
  same(ended, 2)
})
calls('made with new arguments after the call do not see what is changed later', async ({ open }) => {
  const world = await open()
  const list = [1, 2, 3]
  const sum = world.sum(list)
  list.push(100)
  same(await sum, 6)
})
calls('do not share what they return with the far end', async ({ open }) => {
  const world = await open()
  await world.note({ a: 1 })
  const first = (await world.noted())[0]
  first.a = 99
  same((await world.noted())[0], { a: 1 })
})
calls('do not share what they are given with the far end', async ({ open }) => {
  const world = await open()
  const given = { list: [1] }
  await world.note(given)
  given.list.push(2)
  same(await world.noted(), [{ list: [1] }])
})

const getters = grouped(callCases, 'getters')

getters('are read by awaiting them', async ({ open }) => {
  const world = await open()
  same(await world.label, 'world')
})
getters('are read through', async ({ open }) => {
  const world = await open()
  same(await world.settings.place.city, 'Bern')
})
getters('give a capability that can be called at once', async ({ open }) => {
  const world = await open()
  same(await world.standing.increment(5), 105)
})
getters('are looked at without being sent: a property alone does nothing', async ({ open, settle }) => {
  const world = await open()
  void world.label
  void world.settings.place
  await settle()
  same(await world.square(2), 4)
})
getters('called as a method are read once, and refused', async ({ open }) => {
  const world = await open()
  await refused(() => world.counted(1), /is not a function/)
  await refused(() => Promise.all([world.counted(1), world.square(2)]), /is not a function/)
  same(await world.sumOfAll, 2)
})
getters('see the calls made before them in the same turn', async ({ open }) => {
  const world = await open()
  const [, total] = await Promise.all([world.add(5), world.sumOfAll])
  same(total, 5)
})
getters('read twice are read twice, and one does not change the other', ['later'], async ({ open }) => {
  const world = await open()
  const [a, b] = [world.settings, world.settings]
  same(await a.size, 3)
  same(await b.place.city, 'Bern')
  same(await Promise.all([a.place.city, b.size]), ['Bern', 3])
})
getters('of what is not there give undefined, and through it a TypeError', async ({ open }) => {
  const world = await open()
  same(await world.settings.nowhere, undefined)
  await refused(() => world.settings.nowhere.further, /TypeError/)
})
getters('do not change the reference that they were read from', async ({ open }) => {
  const world = await open()
  const settings = world.settings
  void settings.place
  void settings.place.city
  same(await settings, { size: 3, place: { city: 'Bern' } })
})
getters('cannot be assigned', async ({ open }) => {
  const world = await open()
  await refused(() => {
    world.label = 'mine'
  }, /assign/)
  same(await world.label, 'world')
})

const reach = grouped(callCases, 'what can be reached')

reach('a method that is not there is told of, with those that are', async ({ open }) => {
  const world = await open()
  const error = await refused(() => world.vanish(1), /vanish|not a function/)
  must(/square/.test(error.message), `names what is there: ${error.message}`)
})
reach('what is read and not there is told of alike: of an object and of a capability, not of data', ['remote'], async ({ open }) => {
  const world = await open()
  const error = await refused(() => world.vanish, /METHOD_UNKNOWN/)
  must(/square/.test(error.message), `names what is there: ${error.message}`)
  await refused(() => Promise.all([world.vanish, world.square(2)]), /METHOD_UNKNOWN/)
  for (const use of [() => world.counter(1).vanish, () => world.counter(1).vanish(1)]) {
    const told = await refused(use, /METHOD_UNKNOWN/)
    must(/increment/.test(told.message) && !/_hidden/.test(told.message), `names what is there: ${told.message}`)
  }
  same(await world.settings.vanish, undefined)
  same(await world.square(2), 4)
})
reach('what is not there behind what a getter gives is told of, by what it is not there of', ['remote'], async ({ open }) => {
  const world = await open()
  const uses = [
    () => world.counter(1).row.counter.vanish,
    () => world.counter(1).row.counter.vanish(1),
    () => world.counter(1).row.counter.vanish.map((it: Far) => it),
  ]
  for (const use of uses) {
    const told = await refused(use, /METHOD_UNKNOWN/)
    must(/increment/.test(told.message), `names what is there: ${told.message}`)
  }
  same(await Promise.all([world.counter(1).row.vanish, world.counter(1).row.counter.increment()]), [undefined, 2])
  // The getter is read once for each who asks.
  same([await world.counted, await world.counted.vanish, await world.counted], [1, undefined, 3])
})
reach('a name of data may begin with _', ['remote'], async ({ open }) => {
  const world = await open()
  const row = world.counter(1).row
  same(await row._id, 7)
  same(await world.counter(1).row._id, 7)
  same(await world.square(world.counter(1).row._id), 49)
})
reach('private names are not', async ({ open }) => {
  const world = await open()
  await refused(() => world._private(), /METHOD_UNKNOWN|INVALID_CALL/)
  await refused(() => world._private, /METHOD_UNKNOWN|INVALID_CALL/)
})
reach('private names of capabilities are not, whichever way one comes to them', ['later', 'remote'], async ({ open }) => {
  const world = await open()
  const far = [world.counter(1), await world.counter(1), world.standing, world.nested().deep.counter, (await world.nested()).deep.counter]
  for (const counter of far) {
    await refused(() => counter._hidden(), /METHOD_UNKNOWN|INVALID_CALL/)
    await refused(() => counter._hiddenValue, /METHOD_UNKNOWN|INVALID_CALL/)
    await refused(() => counter.row.counter._hidden(), /METHOD_UNKNOWN|INVALID_CALL/)
  }
  await refused(() => world.counters([1]).map((it: Far) => it._hidden()), /METHOD_UNKNOWN/)
  same(await far[1].row._id, 7)
  same(await far[1].row.counter.increment(), 2)
})
reach('fields are not', async ({ open }) => {
  const world = await open()
  await refused(() => world.total())
  await refused(() => world.notes.push(1))
})
reach('what stands on a capability’s instance is not', async ({ open }) => {
  const world = await open()
  using counter = world.counter(1)
  await refused(() => counter.secret, /instance property/)
})
reach('what all objects have is not', async ({ open }) => {
  const world = await open()
  using counter = world.counter(1)
  for (const name of ['hasOwnProperty', 'isPrototypeOf', 'valueOf', '__defineGetter__', 'propertyIsEnumerable']) {
    let answer: unknown
    try {
      answer = await counter[name]
    } catch {
      // Refused: as good as not there.
      answer = undefined
    }
    // What a stub keeps for itself is answered here and goes nowhere.
    must(typeof answer === 'undefined' || typeof answer === 'function', `${name} gave ${String(answer)}`)
  }
  same(await counter.value, 1)
})
reach('no text, number or key is made of a result that is not here', async ({ open }) => {
  const world = await open()
  const square = world.square(2)
  const uses = [() => `${square}`, () => square + 1, () => square * 2, () => ({})[square as string], () => String(square.part)]
  // oxlint-disable-next-line typescript/require-await -- what it throws is its refusal
  for (const use of uses) await refused(async () => use(), /NOT_A_VALUE/)
  same(await square, 4)
})
reach('a stub says what it is', async ({ open }) => {
  const world = await open()
  must(/^\[object Rpc(Stub|Promise)\]$/.test(world.toString()), world.toString())
  const square = world.square(2)
  same(square.toString(), '[object RpcPromise]')
  same(await square, 4)
})

const turns = grouped(callCases, 'turns')

turns('a root stub works in a later turn', async ({ open, settle }) => {
  const world = await open()
  same(await world.add(1), 1)
  await settle()
  same(await world.add(2), 3)
  await settle()
  same(await world.add(3), 6)
})
turns('a call that is awaited twice runs once', async ({ open }) => {
  const world = await open()
  const call = world.add(5)
  same([await call, await call], [5, 5])
  same(await world.sumOfAll, 5)
})
turns('a call that is awaited twice, the second time in a later turn, runs once', async ({ open, settle }) => {
  const world = await open()
  const call = world.add(5)
  same(await call, 5)
  await settle()
  same(await call, 5)
  same(await world.sumOfAll, 5)
})
turns('a call that is awaited by many at once runs once', async ({ open }) => {
  const world = await open()
  const call = world.add(5)
  same(await Promise.all([call, call, call.then((n: number) => n + 1)]), [5, 5, 6])
  same(await world.sumOfAll, 5)
})
turns('a call that nobody awaits is delivered', async ({ open, settle }) => {
  const world = await open()
  void world.note('unheard')
  await settle()
  await eventually('the note', async () => (await world.noted()).length === 1)
})
turns('calls that nobody awaits are delivered in their order', async ({ open, settle }) => {
  const world = await open()
  for (let i = 0; i < 50; i++) void world.note(i)
  await settle()
  await eventually('the notes', async () => (await world.noted()).length === 50)
  same(
    await world.noted(),
    Array.from({ length: 50 }, (_, i) => i),
  )
})
turns('a call that was not awaited gives its answer later, and does not run again', ['later'], async ({ open, settle }) => {
  const world = await open()
  const call = world.add(5)
  await settle()
  same(await call, 5)
  same(await world.sumOfAll, 5)
})
turns('a failure that nobody awaits disturbs nobody', ['remote'], async ({ open, settle }) => {
  const world = await open()
  void world.fail('coded')
  await settle()
  same(await world.square(3), 9)
})
turns('a fast answer is there while a slow sibling still runs', ['beside'], async ({ open }) => {
  const world = await open()
  let slowIsThere = false
  const slow = world.pass('slow').then((name: string) => {
    slowIsThere = true
    return name
  })
  // Where the fast one has to wait for it, both are refused.
  slow.catch(() => {})
  same(await world.square(4), 16)
  must(!slowIsThere, 'the slow one had not ended')
  await world.release('slow')
  same(await slow, 'slow')
})
turns('calls of one turn run side by side: one can let another go on', async ({ open }) => {
  const world = await open()
  same(await Promise.all([world.pass('a'), world.release('a')]), ['a', undefined])
})

const order = grouped(callCases, 'order')

order('calls of one turn arrive as they were made', async ({ open }) => {
  const world = await open()
  const lengths = await Promise.all(Array.from({ length: 100 }, (_, i) => world.note(i)))
  same(
    lengths,
    Array.from({ length: 100 }, (_, i) => i + 1),
  )
  same(
    await world.noted(),
    Array.from({ length: 100 }, (_, i) => i),
  )
})
order('a lone call, a chain, and a lone call arrive as they were made', async ({ open, settle }) => {
  const world = await open()
  void world.note('alone')
  await settle()
  using counter = world.counter(1)
  const value = counter.increment()
  void world.note('beside a chain')
  same(await value, 2)
  void world.note('alone again')
  await settle()
  same(await world.noted(), ['alone', 'beside a chain', 'alone again'])
})
order('a lone call that is slow to start does not fall behind the next turn’s', async ({ open }) => {
  const world = await open()
  const calls: Promise<unknown>[] = []
  for (let turn = 0; turn < 10; turn++) {
    for (let i = 0; i < (turn % 3) + 1; i++) calls.push(Promise.resolve(world.note(calls.length)))
    await new Promise((resolve) => setTimeout(resolve, 0))
  }
  await Promise.all(calls)
  same(
    await world.noted(),
    calls.map((_, i) => i),
  )
})
order('calls on a promise arrive as they were made', async ({ open }) => {
  const world = await open()
  using counter = world.counterLater(0)
  same(
    await Promise.all([counter.increment(1), counter.increment(10), counter.increment(100), counter.increment(1000)]),
    [1, 11, 111, 1111],
  )
})
order('a getter is read when it is awaited, and sees what was called before that', async ({ open }) => {
  const world = await open()
  using counter = world.counterLater(0)
  const value = counter.value
  void counter.increment(1)
  same(await value, 1)
})
order('a call whose argument is under way keeps its place among those on its object', ['remote'], async ({ open }) => {
  const world = await open()
  const calls = [world.note(world.later('late')), world.note('after'), world.note(world.square(world.later(3))), world.note('last')]
  same(await Promise.all(calls), [1, 2, 3, 4])
  same(await world.noted(), ['late', 'after', 9, 'last'])
})
order('and over turns, where nobody awaits it', ['remote', 'later'], async ({ open, settle }) => {
  const [world, other] = [await open(), await open()]
  void world.note(other.pass('gate'))
  await settle()
  void world.note('after')
  await settle()
  void other.release('gate')
  await eventually('the notes', async () => (await world.noted()).length === 2)
  same(await world.noted(), ['gate', 'after'])
})
order('and over turns, on a reference that each turn asks for anew', ['remote', 'later'], async ({ open, settle, anew }) => {
  const [world, other] = [await open(), await open()]
  const narrowed = anew ? anew(world) : world
  const late = Promise.resolve(narrowed.note(other.pass('gate')))
  await settle()
  const after = Promise.resolve(narrowed.note('after'))
  await settle()
  void other.release('gate')
  same(await Promise.all([late, after]), [1, 2])
  same(await narrowed.noted(), ['gate', 'after'])
})
order('a call whose argument is under way keeps its place among those on its capability', ['remote'], async ({ open }) => {
  const world = await open()
  using counter = world.counter(0)
  same(await Promise.all([counter.increment(world.later(1)), counter.increment(10), counter.value]), [1, 11, 11])
})
order('and where the capability has come', ['remote', 'later'], async ({ open, settle }) => {
  const world = await open()
  using counter = await world.counter(0)
  const late = counter.increment(world.later(1))
  await settle()
  same(await Promise.all([late, counter.increment(10)]), [1, 11])
})
order('staggered awaits in one turn keep it', async ({ open }) => {
  const world = await open()
  const one = async (i: number, ticks: number) => {
    for (let t = 0; t < ticks; t++) await Promise.resolve()
    return world.note(i) as Promise<number>
  }
  await Promise.all([one(0, 0), one(1, 1), one(2, 2), one(3, 3)])
  same(await world.noted(), [0, 1, 2, 3])
})
