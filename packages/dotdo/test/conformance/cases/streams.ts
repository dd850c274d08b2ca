/** Streams and Blobs, as arguments and as results. */
import { eventually, grouped, must, refused, same, type Case, type Far } from '../kit.ts'
import { sampleOf } from '../samples.ts'
import { collected, streamOf } from '../world.ts'

export const streamCases: Case[] = []

const readable = grouped(streamCases, 'streams to read')

readable('of a result give their chunks', ['streams'], async ({ open }) => {
  const world = await open()
  same(await collected(await world.stream(3)), [0, 1, 2])
})
readable('that are empty end', ['streams'], async ({ open }) => {
  const world = await open()
  same(await collected(await world.stream(0)), [])
})
readable('as arguments give their chunks', ['streams'], async ({ open }) => {
  const world = await open()
  same(await world.collect(streamOf(['a', { b: 1 }, [2]])), ['a', { b: 1 }, [2]])
})
readable('of a result that is not there are an argument', ['streams', 'remote'], async ({ open }) => {
  const [world, other] = [await open(), await open()]
  for (let i = 0; i < 10; i++) {
    same(await world.collect(world.stream(3)), [0, 1, 2])
    same(await world.collect(other.stream(2)), [0, 1])
  }
})
readable('inside of arguments and results are streams', ['streams', 'remote'], async ({ open }) => {
  const world = await open()
  const { deep } = await world.streamIn(2)
  same(await collected(deep[0]), [0, 1])
  same(await world.collectIn({ deep: [streamOf([1, 2])] }), [1, 2])
})
for (const name of [
  'undefined',
  'a date',
  'bytes',
  'a big integer',
  'a list of everything',
  'an error with a code',
  'NaN',
  'a list that looks like a call',
]) {
  readable(`carry ${name}`, ['streams'], async ({ open }) => {
    const world = await open()
    same(await collected(await world.streamOf(name)), [sampleOf(name), 'end'])
    same(await world.collect(streamOf([sampleOf(name), 'end'])), [sampleOf(name), 'end'])
  })
}
readable('of many chunks arrive whole and in order', ['streams'], async ({ open }) => {
  const world = await open()
  same(
    await collected(await world.stream(500)),
    Array.from({ length: 500 }, (_, i) => i),
  )
})
readable('of bytes arrive whole', ['streams'], async ({ open }) => {
  const world = await open()
  const chunks = (await collected(await world.bytes(16, 65_536))) as Uint8Array[]
  same(
    chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0),
    16 * 65_536,
  )
  same(await world.byteCount(streamOf(Array.from({ length: 16 }, () => new Uint8Array(65_536)))), 16 * 65_536)
})
readable('several at once do not mix', ['streams'], async ({ open }) => {
  const world = await open()
  const [a, b, c] = await Promise.all([world.stream(50), world.stream(60), world.collect(streamOf([1, 2, 3]))])
  const [one, two] = await Promise.all([collected(a), collected(b)])
  same([one.length, two.length, c.length], [50, 60, 3])
})
readable('that break tell why, after what they gave', ['streams'], async ({ open }) => {
  const world = await open()
  const reader = (await world.brokenStream(2)).getReader()
  const got: unknown[] = []
  const error = await refused(async () => {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return 'ended'
      got.push(value)
    }
  }, /the stream broke/)
  must(error instanceof Error, 'an error')
})
readable('of the caller that break tell the far end why', ['streams'], async ({ open }) => {
  const world = await open()
  let sent = 0
  const breaking = new ReadableStream({
    pull(controller) {
      if (sent++ < 2) controller.enqueue(sent)
      else controller.error(new RangeError('mine broke'))
    },
  })
  await refused(() => world.collect(breaking), /mine broke/)
})
readable('that are cancelled end at their source', ['streams'], async ({ open }) => {
  const world = await open()
  const stream = await world.endless()
  const reader = stream.getReader()
  same((await reader.read()).value, 0)
  await reader.cancel('enough')
  await eventually('the source knows', async () => (await world.noted()).includes('cancelled'))
})
readable('of the caller that are cancelled there end here', ['streams'], async ({ open }) => {
  const world = await open()
  let cancelled = false
  let sent = 0
  const endless = new ReadableStream({
    pull: (controller) => controller.enqueue(sent++),
    cancel: () => void (cancelled = true),
  })
  same(await world.firstOf(endless), 0)
  await eventually('it is told', () => cancelled)
})
readable('are not drawn faster than they are read', ['streams', 'remote'], async ({ open, settle }) => {
  const world = await open()
  let drawn = 0
  const endless = new ReadableStream({
    pull(controller) {
      drawn++
      controller.enqueue(new Uint8Array(1 << 20))
    },
  })
  const held = world.hold(endless).then(() => 'let go')
  // Where it is refused, that shows in what follows.
  held.catch(() => {})
  await settle()
  await settle()
  must(drawn < 80, `${drawn} MiB were drawn of a stream that nobody reads`)
  await world.release('hold')
  same(await held, 'let go')
})

const once = grouped(streamCases, 'streams that are passed twice')

/** What comes of reading each: its chunks, or the code of what it was refused with. */
const each = async (...reads: PromiseLike<unknown>[]) => {
  const outcomes = await Promise.allSettled(reads)
  return outcomes.map((it) => (it.status === 'fulfilled' ? it.value : ((it.reason as { code?: string }).code ?? String(it.reason))))
}
const collectedFrom = async (stream: PromiseLike<ReadableStream>) => await collected(await stream)

once('are read by whoever was given the result first, and the other is told', ['streams', 'remote'], async ({ open }) => {
  const world = await open()
  using stream = world.stream(2)
  same(await each(world.collect(stream), world.collect(stream)), [[0, 1], 'NOT_SENDABLE'])
  using deep = world.streamIn(2)
  same(await each(world.collectIn(deep), world.collectIn(deep)), [[0, 1], 'NOT_SENDABLE'])
  using third = world.stream(2)
  same(
    await each(
      world.collect(third).then((it: unknown) => it),
      world.square(2),
    ),
    [[0, 1], 4],
  )
  await refused(() => world.collect(third), /NOT_SENDABLE.*tee\(\)/)
})
once('within one call are not two', ['streams', 'remote'], async ({ open }) => {
  const world = await open()
  using stream = world.stream(2)
  // The call is refused, or whoever reads the second is told.
  const both = async (): Promise<unknown> => {
    const [one, other] = (await world.pair(stream, stream)) as ReadableStream[]
    return await Promise.all([collected(one!), collected(other!)])
  }
  await refused(both, /NOT_SENDABLE/)
})
once('are told to another object as well', ['streams', 'callbacks', 'remote'], async ({ open }) => {
  const [world, one, other] = [await open(), await open(), await open()]
  using stream = world.stream(2)
  const outcomes = await each(one.collect(stream), other.collect(stream))
  // Which of the two is first is nobody's promise.
  const told = outcomes.indexOf('NOT_SENDABLE')
  same(outcomes, told === 0 ? ['NOT_SENDABLE', [0, 1]] : [[0, 1], 'NOT_SENDABLE'])
  using again = world.stream(2)
  same(await each(one.collect(again), one.collect(again)), [[0, 1], 'NOT_SENDABLE'])
})
once('by who has them are refused the second time, read to the end or not', ['streams', 'remote'], async ({ open }) => {
  const world = await open()
  const came = await world.stream(2)
  same(await world.collect(came), [0, 1])
  await refused(() => world.collect(came), /NOT_SENDABLE.*tee\(\)/)
  const mine = streamOf([1, 2])
  same(await world.firstOf(mine), 1)
  await refused(() => world.collect(mine), /NOT_SENDABLE/)
  const bytes = await world.bytes(2, 10)
  same(await each(world.byteCount(bytes), world.byteCount(bytes)), [20, 'NOT_SENDABLE'])
})
once('as its halves go to both', ['streams', 'remote'], async ({ open }) => {
  const world = await open()
  const [one, other] = (await world.stream(2)).tee()
  same(await each(world.collect(one), world.collect(other)), [
    [0, 1],
    [0, 1],
  ])
})
once('by a method that was given them go on', ['streams', 'callbacks', 'remote'], async ({ open }) => {
  const [world, other] = [await open(), await open()]
  same(await collectedFrom(other.echo(world.stream(2))), [0, 1])
  same(await collectedFrom(world.echo(other.echo(world.stream(2)))), [0, 1])
  same(await world.call(async (stream: ReadableStream) => await other.collect(stream), streamOf([3])), [3])
})

const writable = grouped(streamCases, 'streams to write')

writable('as arguments are written to', ['streams', 'callbacks', 'remote'], async ({ open }) => {
  const world = await open()
  const got: unknown[] = []
  const sink = new WritableStream({ write: (chunk) => void got.push(chunk), close: () => void got.push('closed') })
  same(await world.writeTo(sink, ['a', { b: [1] }, new Date(5)]), 3)
  await eventually('it was closed', () => got.includes('closed'))
  same(got, ['a', { b: [1] }, new Date(5), 'closed'])
})
writable('of a result are written to', ['streams', 'later', 'remote'], async ({ open }) => {
  const world = await open()
  const writer = (await world.sink()).getWriter()
  await writer.write('a')
  await writer.write({ b: 1 })
  await writer.close()
  await eventually('it was closed', async () => (await world.noted()).includes('closed'))
  same(await world.noted(), ['a', { b: 1 }, 'closed'])
})
writable('that fail tell the writer', ['streams', 'callbacks', 'remote'], async ({ open }) => {
  const world = await open()
  const sink = new WritableStream({
    write() {
      throw new RangeError('no more')
    },
  })
  await refused(() => world.writeTo(sink, [1, 2, 3]), /no more/)
})
writable('that are aborted there are aborted here', ['streams', 'callbacks', 'remote'], async ({ open }) => {
  const world = await open()
  let reason: unknown
  await world.abortAt(new WritableStream({ abort: (why) => void (reason = why) }), 'changed my mind')
  await eventually('it is told', () => reason !== undefined)
  must(/changed my mind/.test(String(reason instanceof Error ? reason.message : reason)), String(reason))
})

const blobs = grouped(streamCases, 'Blobs')

blobs('of a result arrive whole, with their type', ['streams'], async ({ open }) => {
  const world = await open()
  const blob = (await world.blob('hello', 'text/plain')) as Blob
  same([blob.type, blob.size, await blob.text()], ['text/plain', 5, 'hello'])
})
blobs('as arguments arrive whole, with their type', ['streams'], async ({ open }) => {
  const world = await open()
  same(await world.textOf(new Blob(['hello'], { type: 'text/html' })), 'text/html|hello')
})
blobs('without a type have none', ['streams'], async ({ open }) => {
  const world = await open()
  same(await world.textOf(new Blob(['x'])), '|x')
})
blobs('that are empty are Blobs', ['streams'], async ({ open }) => {
  const world = await open()
  same(await world.textOf(new Blob([])), '|')
})
blobs('several in one call are all there', ['streams'], async ({ open }) => {
  const world = await open()
  same(await world.joined(new Blob(['a']), new Blob(['b'])), 'ab')
  const texts = await Promise.all(((await world.blobs(['x', 'y', 'z'])) as Blob[]).map((it) => it.text()))
  same(texts, ['x', 'y', 'z'])
})
blobs('of a megabyte arrive whole', ['streams'], async ({ open }) => {
  const world = await open()
  const text = 'abcdefgh'.repeat(1 << 17)
  must((await world.textOf(new Blob([text]))) === `|${text}`, 'all of it')
})

const http = grouped(streamCases, 'requests and responses')

http('a Response arrives with status, headers and body', ['streams'], async ({ open }) => {
  const world = await open()
  const response = (await world.response('hello')) as Response
  same([response.status, response.headers.get('x-one'), await response.text()], [201, '1', 'hello'])
})
http('a Request arrives with method, headers and body', ['streams'], async ({ open }) => {
  const world = await open()
  const request = new Request('https://example.com/a', { method: 'POST', headers: { 'x-one': '1' }, body: 'hello' })
  same(await world.requested(request as Far), 'POST https://example.com/a 1 hello')
})
