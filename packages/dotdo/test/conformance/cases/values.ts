/** Values of every kind, in both directions, and those that no link carries. */
import { grouped, must, refused, same, type Case } from '../kit.ts'
import { print } from '../print.ts'
import { refusedValues, sampleNames, sampleOf, sampleOnJson } from '../samples.ts'

export const valueCases: Case[] = []

const there = grouped(valueCases, 'values as arguments')
const back = grouped(valueCases, 'values as results')
const nested = grouped(valueCases, 'values inside of others')

for (const name of sampleNames) {
  const arrives = (wire: string) => (wire === 'json' ? sampleOnJson(name) : sampleOf(name))
  there(name, async ({ open, traits }) => {
    const world = await open()
    same(await world.shown(sampleOf(name)), print(arrives(traits.wire)))
  })
  back(name, async ({ open, traits }) => {
    const world = await open()
    same(await world.sample(name), arrives(traits.wire))
  })
  nested(name, async ({ open, traits }) => {
    const world = await open()
    const answer = await world.echo({ deep: [{ value: sampleOf(name) }, [sampleOf(name)]] })
    same(answer, { deep: [{ value: arrives(traits.wire) }, [arrives(traits.wire)]] })
  })
}

const odd = grouped(valueCases, 'values that are odd')

odd('holes of a list arrive as undefined', async ({ open }) => {
  const world = await open()
  const sparse: number[] = []
  sparse[0] = 1
  sparse[2] = 3
  same(await world.shown(sparse), '[1, undefined, 3]')
})
odd('one object in two places arrives as two', async ({ open }) => {
  const world = await open()
  const shared = { n: 1 }
  const answer = await world.echo([shared, shared])
  same(answer, [{ n: 1 }, { n: 1 }])
  must(answer[0] !== answer[1], 'they are two')
})
odd('names that all objects have never become somebody’s own', ['remote'], async ({ open }) => {
  const world = await open()
  const tricky = JSON.parse(
    '{"a": 1, "__proto__": {"polluted": true}, "toJSON": "x", "hasOwnProperty": 1, "constructor": 2, "toString": 3}',
  )
  same(await world.shown(tricky), '{"a": 1}')
  const answer = await world.echo(tricky)
  same(answer, { a: 1 })
  must(!('polluted' in answer) && !('polluted' in {}), 'nothing was put in between')
})
odd('a toJSON of the sender is not asked', ['remote'], async ({ open }) => {
  const world = await open()
  same(await world.shown({ at: new Date(5), toJSON: 'no function' }), '{"at": Date(5)}')
})
odd('an object’s getters are read once, when the call is made', async ({ open }) => {
  const world = await open()
  let reads = 0
  const lazy = {
    get value() {
      return ++reads
    },
  }
  same(await world.echo(lazy), { value: 1 })
  same(reads, 1)
})
odd('a getter that throws refuses the call', async ({ open }) => {
  const world = await open()
  const hostile = {
    get value() {
      throw new RangeError('do not look')
    },
  }
  await refused(() => world.echo(hostile), /do not look/)
  same(await world.square(2), 4)
})
odd('names that are symbols, and those that are hidden, stay at home', async ({ open }) => {
  const world = await open()
  const object = Object.defineProperty({ a: 1, [Symbol('s')]: 2 }, 'hidden', { value: 3, enumerable: false })
  same(await world.shown(object), '{"a": 1}')
})
odd('an object that only can be iterated arrives empty', async ({ open }) => {
  const world = await open()
  same(await world.shown({ [Symbol.asyncIterator]: () => ({}) }), '{}')
})
odd('an object whose `then` is a text is an object', async ({ open }) => {
  const world = await open()
  same(await world.shown({ then: 'next' }), '{"then": "next"}')
})
odd('a part of a large buffer does not bring the rest along', async ({ open, traits }) => {
  const world = await open()
  const large = new Uint8Array(1 << 20).fill(7)
  const answer = await world.echo(large.subarray(10, 14))
  same(answer, Uint8Array.of(7, 7, 7, 7))
  if (traits.wire === 'clone') must(answer.buffer.byteLength < 1000, `the answer’s buffer holds ${answer.buffer.byteLength} bytes`)
})
odd('bytes are copied: writing to them after the call changes nothing', ['remote'], async ({ open }) => {
  const world = await open()
  const bytes = Uint8Array.of(1, 2, 3)
  const answer = world.echo(bytes)
  bytes[0] = 99
  same(await answer, Uint8Array.of(1, 2, 3))
})
odd('the sender’s buffer is still the sender’s', async ({ open }) => {
  const world = await open()
  const bytes = Uint8Array.of(1, 2, 3)
  await world.echo({ bytes })
  same(bytes, Uint8Array.of(1, 2, 3))
  must(bytes.buffer.byteLength === 3, 'it was not taken away')
})
odd('a megabyte of bytes arrives whole', async ({ open }) => {
  const world = await open()
  const bytes = Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 31) % 256)
  const answer = await world.echo(bytes)
  must(answer.length === bytes.length && answer.every((byte: number, i: number) => byte === bytes[i]), 'every byte')
})

const refusals = grouped(valueCases, 'values that no link carries')

for (const [name, make] of Object.entries(refusedValues)) {
  refusals(`${name} as an argument is refused, and the link goes on`, ['remote'], async ({ open }) => {
    const world = await open()
    await refused(() => world.echo(make()))
    await refused(() => world.echo({ inside: [make()] }))
    same(await world.square(3), 9)
  })
}
refusals(
  'an argument is refused by the promise of its call, with its place, and holds up no other call',
  ['remote'],
  async ({ open, traits }) => {
    // capnweb alone throws at once, and says no place.
    if (traits.isBare) return
    const world = await open()
    const rows = [{ when: 1 }, { when: new Map() }]
    const before = world.add(1)
    const call = world.echo({ 'by day': [rows] }, () => {})
    const chained = call.further.away(1)
    const after = world.add(2)
    same(await Promise.all([before, after]), [1, 3])
    const errors = await Promise.all([call, chained].map((it) => refused(() => it, /NOT_SENDABLE/)))
    // Plain arguments are looked at by no client: those bytes are dear.
    if (traits.wire === 'clone')
      for (const error of errors) same(error.data, { value: 'Map', at: 'args[0]["by day"][0][1].when' }, error.message)
    same(await world.square(2), 4)
  },
)
refusals('a result that cannot be sent rejects its call, and the link goes on', ['remote'], async ({ open }) => {
  const world = await open()
  await world.sample('a date')
  const error = await refused(() => world.unsendable(), /./)
  must(error.message.length > 0, 'says why')
  same(await world.square(3), 9)
})
refusals('siblings of a refused call are delivered', ['remote'], async ({ open }) => {
  const world = await open()
  const before = world.square(2)
  const wrong = refused(() => world.echo(new Map()))
  const after = world.square(3)
  await wrong
  same(await Promise.all([before, after]), [4, 9])
})

const shared = grouped(valueCases, 'values that are shared')

shared('bulk is what its call gave, whatever the next call of its turn writes to it', ['remote'], async ({ open }) => {
  const world = await open()
  const size = 1024 * 1024
  const answers = await Promise.all([world.filled(size), world.filled(size), world.nothing()])
  same(
    answers.slice(0, 2).map((bytes) => [bytes.length, bytes[0], bytes.at(-1)]),
    [
      [size, 1, 1],
      [size, 2, 2],
    ],
  )
})
shared('bytes that a capability gives are what its call gave', ['remote', 'later'], async ({ open }) => {
  const world = await open()
  using filler = world.filler()
  same(await Promise.all([filler.fill(), filler.fill()]), [Uint8Array.of(1, 1, 1, 1), Uint8Array.of(2, 2, 2, 2)])
})
shared('a part in many places is in all of them', async ({ open }) => {
  const world = await open()
  same(JSON.stringify(await world.shared(10)).length, 6141)
})
shared('parts in more places than a message can hold are refused, and so are those of an error left out', ['remote'], async ({ open }) => {
  const world = await open()
  const error = await refused(() => world.shared(60), /LINK_LIMIT .*messageBytes/)
  must(error.code === 'LINK_LIMIT', 'it has a code')
  await refused(() => world.failWith(60), /with much/)
  same(await world.square(2), 4)
})
