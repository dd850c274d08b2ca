/** Calls with so many bytes that they leave while they are made: the bytes are sent as they were, uncopied, and nothing else changes. */
import fc from 'fast-check'
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import type { LinkCall, LinkMessage } from '../../src/rpc/frames.ts'
import { ownBytes } from '../../src/rpc/own-bytes.ts'
import { bulkBytes, copyPlain, isBulk, notPlain } from '../../src/rpc/plain.ts'
import { pair, turns, type Carry } from './pair.ts'

const filled = (value: number, length = bulkBytes) => new Uint8Array(length).fill(value)

class Step extends RpcTarget {
  readonly #at: number
  constructor(at: number) {
    super()
    this.#at = at
  }
  next() {
    return new Step(this.#at + 1)
  }
  at() {
    return this.#at
  }
}

class Sink extends RpcTarget {
  notes: unknown[] = []
  note(value: unknown) {
    this.notes.push(value instanceof Uint8Array ? value[0] : value)
    return this.notes.length
  }
  /** What came, told apart by its first and last bytes, and whether two are one buffer. */
  look(...all: { length: number }[]) {
    const arrays = all as unknown as Uint8Array[]
    return { ends: arrays.map((it) => [it[0], it.at(-1), it.buffer.byteLength]), buffers: new Set(arrays.map((it) => it.buffer)).size }
  }
  deep(value: { list: Uint8Array[] }) {
    return value.list.map((it) => it[0])
  }
  step(bytes: Uint8Array) {
    return new Step(bytes[0]!)
  }
  fail(bytes: Uint8Array) {
    throw new Error(`no room for ${bytes.length} bytes`)
  }
  async slow(value: unknown) {
    await turns(10)
    return value
  }
  async calls(bytes: Uint8Array, back: (n: number) => unknown) {
    return await back(bytes[0]!)
  }
}

function open() {
  const sent: (LinkMessage | LinkCall)[] = []
  const carry: Carry = (message, send) => {
    sent.push(message)
    return send()
  }
  const sink = new Sink()
  const far = pair(sink, { carry })
  return { ...far, sink, sent, root: far.link.root() as any }
}

describe('a call with bulk', () => {
  test('leaves while it is made: what is written to its bytes afterwards is not in it', async () => {
    const { root, sent } = open()
    const bytes = filled(1)
    const looked = root.look(bytes)
    expect(sent).toHaveLength(1)
    bytes.fill(2)
    expect(await looked).toEqual({ ends: [[1, 1, bulkBytes]], buffers: 1 })
  })

  test('has one message more than it would have, and a call with less has not', async () => {
    const { root, stats } = open()
    await root.look(filled(1))
    expect(stats.messages).toBe(2)
    await root.look(filled(1, bulkBytes - 1))
    expect(stats.messages).toBe(3)
  })

  test('does not lend the bytes that it copies: a part of a buffer, a second view of one', async () => {
    const { root } = open()
    const bytes = filled(3)
    expect(await root.look(bytes, bytes, filled(4, 2 * bulkBytes).subarray(0, bulkBytes))).toEqual({
      ends: [
        [3, 3, bulkBytes],
        [3, 3, bulkBytes],
        [4, 4, bulkBytes],
      ],
      buffers: 3,
    })
  })

  test('may hold it deep in a value, and callbacks beside it', async () => {
    const { root } = open()
    expect(await root.deep({ list: [filled(5), filled(6, 10)] })).toEqual([5, 6])
    expect(await root.calls(filled(7), (n: number) => n * 2)).toBe(14)
  })

  test('is called on before it is answered without another trip', async () => {
    const { root, stats } = open()
    expect(await root.step(filled(8)).next().next().at()).toBe(10)
    // What led to the end of the chain was neither asked for nor sent back.
    expect(stats).toMatchObject({ messages: 2, calls: 4 })
  })

  test('takes along what stands before it, and what stands behind it follows', async () => {
    const { root, sink, sent } = open()
    const answers = [root.note('a'), root.note(filled(1)), root.note('b'), root.note(filled(2)), root.note('c')]
    expect(sent).toHaveLength(2)
    expect(await Promise.all(answers)).toEqual([1, 2, 3, 4, 5])
    expect(sink.notes).toEqual(['a', 1, 'b', 2, 'c'])
    expect(sent).toHaveLength(3)
  })

  test('keeps its place behind a call that waits', async () => {
    const { root, sink } = open()
    await Promise.all([root.note(root.slow('late')), root.note(filled(1)), root.note('after')])
    expect(sink.notes).toEqual(['late', 1, 'after'])
  })

  test('is delivered where nobody awaits it, and its failure is told', async () => {
    const { root, failures, link } = open()
    void root.note(filled(9))
    void root.fail(filled(9))
    await turns(10)
    expect(failures.map(({ message }) => message)).toEqual(['Error: no room for 1048576 bytes'])
    expect(link.stats).toMatchObject({ calls: 2, openSessions: 0 })
  })

  test('that nobody awaits and that is let go of at once is delivered', async () => {
    const { root, sink } = open()
    root.note(filled(9))[Symbol.dispose]()
    await turns(10)
    expect(sink.notes).toEqual([9])
  })

  test('gives its result to another object, and the caller does not carry it', async () => {
    const other = open()
    const { root, sent } = open()
    expect(await other.root.note(root.slow(filled(4)))).toBe(1)
    expect(other.sink.notes).toEqual([4])
    expect(sent).toHaveLength(2)
  })
})

describe('what is bulk', () => {
  test('is neither plain nor lent where its buffer may change its size', () => {
    const growing = new Uint8Array(new ArrayBuffer(bulkBytes, { maxByteLength: 2 * bulkBytes }))
    expect(isBulk(growing)).toBe(false)
    const lent = new Set<ArrayBufferLike>()
    const [, view] = ownBytes(['bytes', growing], lent) as [string, Uint8Array]
    expect([lent.size, view.buffer === growing.buffer]).toEqual([0, false])
  })

  test('is refused a copy as an argument, and given as it is as a result', () => {
    const bytes = filled(1)
    expect(copyPlain([bytes], true)).toBe(notPlain)
    expect(copyPlain(bytes, false)).toBe(bytes)
  })

  test('is lent once for each buffer, and never where nobody takes it', () => {
    const bytes = filled(1)
    const lent = new Set<ArrayBufferLike>()
    const frame = ownBytes(
      [
        'push',
        [
          [
            ['bytes', bytes],
            ['bytes', bytes],
          ],
        ],
      ],
      lent,
    ) as any
    expect([frame[1][0][0][1] === bytes, frame[1][0][1][1] === bytes]).toEqual([true, false])
    expect((ownBytes(['bytes', bytes])[1] as Uint8Array).buffer).not.toBe(bytes.buffer)
  })
})

test('whatever is called in whatever turns, calls are made as they were written, with the bytes that they had', async () => {
  const call = fc.record({
    kind: fc.constantFrom('bulk', 'small', 'text', 'waits', 'chain' as const),
    newTurn: fc.boolean(),
    awaited: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(call, { maxLength: 12 }), async (calls) => {
      const { root, sink, server, failures } = open()
      const answers: Promise<unknown>[] = []
      // One buffer for all, filled anew for each call, as readers do.
      const reused = filled(0)
      for (const [i, { kind, newTurn, awaited }] of calls.entries()) {
        reused.fill(i)
        let answer: any
        if (kind === 'bulk') answer = root.note(reused)
        else if (kind === 'small') answer = root.note(reused.subarray(0, 10))
        else if (kind === 'text') answer = root.note(i)
        else if (kind === 'waits') answer = root.note(root.slow(i))
        else answer = root.note(root.step(reused).at())
        if (awaited) answers.push(answer)
        if (newTurn) await turns(1)
      }
      await Promise.all(answers)
      await root.slow('end')
      expect(sink.notes).toEqual(calls.map((_, i) => i))
      await turns(10)
      expect([server.openHandoffs, failures]).toEqual([0, []])
    }),
    { numRuns: 40 },
  )
})
