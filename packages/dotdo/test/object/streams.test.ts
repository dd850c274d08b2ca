/** Streams between objects, on the platform itself. */
import { describe, expect, test } from 'vitest'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import { sources } from './streamer.ts'

const MiB = 1024 * 1024
// Stubs are as free as JSON here: the types of remote objects have tests of their own.
// oxlint-disable-next-line typescript/no-explicit-any
const streamer = (name: string): any => new Links(linkPorts('test', () => {})).user('Streamer', name)

async function collect(stream: ReadableStream): Promise<unknown[]> {
  const chunks: unknown[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

async function until(done: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !done(); i++) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('a stream between objects', () => {
  test('of 64 MiB arrives whole, and its source is never far ahead', async () => {
    expect(await streamer('reader').drain('far', 1024, 65_536)).toBe(64 * MiB)
    expect(sources['far']).toHaveLength(1024)
  })

  test('comes in the chunks it was made of, whatever they are', async () => {
    const { stream } = await streamer('chunks').blocks(3, 100_000)
    expect((await collect(stream)).map((chunk) => (chunk as Uint8Array).byteLength)).toEqual([100_000, 100_000, 100_000])
    const stub = streamer('chunks')
    const [rows] = await Promise.all([stub.rows(300), stub.rows(1)])
    const read = await collect(rows)
    expect(read).toHaveLength(300)
    expect(read[7]).toEqual({ id: 7, at: new Date(7), big: 7n, none: undefined })
  })

  test('waits for its reader', async () => {
    const { stream } = await streamer('waits').blocks(1000, 65_536)
    const reader = (stream as ReadableStream).getReader()
    await reader.read()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(sources['waits']!.length).toBeLessThan(10)
    await reader.cancel(new Error('that will do'))
    await until(() => sources['waits']!.at(-1) !== 'made')
    // The platform's own TransformStream, through which a session reads, does not pass the reason on.
    expect(sources['waits']!.at(-1)).toMatch(/^cancelled: /)
  })

  test('that fails in the middle fails at its reader', async () => {
    const { stream } = await streamer('fails').failing()
    const read: unknown[] = []
    const reading = (async () => {
      for await (const chunk of stream as ReadableStream) read.push(chunk)
    })()
    await expect(reading).rejects.toMatchObject({ code: 'SOURCE_BROKE' })
    expect(read).toEqual(['one'])
  })

  test('may be an argument, and may be cancelled there', async () => {
    const made: number[] = []
    const stream = (count: number) =>
      new ReadableStream({
        pull(controller) {
          if (made.push(0) > count) controller.close()
          else controller.enqueue(new Uint8Array(50_000))
        },
        cancel: () => void made.push(-1),
      })
    expect(await streamer('sink').size(stream(100))).toBe(5_000_000)
    made.length = 0
    expect((await streamer('sink').first(stream(1000))).byteLength).toBe(50_000)
    await until(() => made.at(-1) === -1)
    expect(made.at(-1)).toBe(-1)
    expect(made.length).toBeLessThan(20)
  })

  test('may be written by the callee', async () => {
    const written: unknown[] = []
    await streamer('writer').fill(
      new WritableStream({ write: (row) => void written.push(row), close: () => void written.push('closed') }),
      200,
    )
    expect(written).toHaveLength(201)
    expect(written[5]).toEqual({ id: 5, at: new Date(5), big: 5n, none: undefined })
    expect(written.at(-1)).toBe('closed')
  })

  test('of one object may be the argument of another', async () => {
    expect(await streamer('between').between('from', 'to', 640, 65_536)).toEqual([40 * MiB, 640, 40 * MiB])
  })

  test('is what a value above 32 MiB has to be: as one it is refused by name, whichever way it goes', async () => {
    expect(await streamer('caller').tooLarge(40 * MiB)).toEqual(['MESSAGE_TOO_LARGE', 'MESSAGE_TOO_LARGE', 'MESSAGE_TOO_LARGE'])
    expect(await streamer('caller').between('provider', 'consumer', 640, 65_536)).toEqual([40 * MiB, 640, 40 * MiB])
  })

  test('that is an argument may be the result', async () => {
    const echoed = await streamer('echo').echo(new ReadableStream({ start: (controller) => (controller.enqueue('a'), controller.close()) }))
    expect(await collect(echoed)).toEqual(['a'])
  })

  test('carries Blobs and bodies', async () => {
    expect(await streamer('blob').sizeOfBlob(new Blob([new Uint8Array(3 * MiB)]))).toBe(3 * MiB)
    const { blob, response } = await streamer('blob').body('the text')
    expect([await blob.text(), blob.type, response.status, await response.text()]).toEqual(['the text', 'text/plain', 201, 'the text'])
  })
})
