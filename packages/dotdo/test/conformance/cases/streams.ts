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
