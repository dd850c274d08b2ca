/** What a client's session brings to a Worker and a link takes to an object, with an unmodified capnweb at both ends. */
import { RpcPromise, RpcSession, RpcStub, RpcTarget, type RpcTransport } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { passOn } from '../../src/rpc/passing-on.ts'
import type { Far } from '../conformance/kit.ts'
import { collected, streamOf } from '../conformance/world.ts'

/** One direction of a wire. */
class Wire {
  #texts: string[] = []
  #reader: ((text: string) => void) | undefined
  send(text: string): void {
    if (this.#reader) this.#reader(text)
    else this.#texts.push(text)
    this.#reader = undefined
  }
  receive(): Promise<string> {
    if (this.#texts.length > 0) return Promise.resolve(this.#texts.shift()!)
    return new Promise((resolve) => (this.#reader = resolve))
  }
}

/** Two sessions with a wire in between. */
function joined(near: object | undefined, far: object): [near: RpcSession, far: RpcSession] {
  const [there, back] = [new Wire(), new Wire()]
  const end = (out: Wire, into: Wire): RpcTransport =>
    ({ send: async (text) => out.send(text), receive: () => into.receive() }) as RpcTransport
  return [new RpcSession(end(there, back), near as never), new RpcSession(end(back, there), far as never)]
}

let ended = 0
class Thing extends RpcTarget {
  n = 0
  hello() {
    return ++this.n
  }
  [Symbol.dispose]() {
    ended++
  }
}

let written: unknown[] = []
class World extends RpcTarget {
  thing() {
    return new Thing()
  }
  /** Whether it was taken for a promise, and what it says. */
  async use({ thing }: Far) {
    return [thing instanceof RpcStub, String(thing), await thing.hello()]
  }
  back(thing: Far) {
    return { thing: thing.dup() }
  }
  collect(stream: ReadableStream) {
    return collected(stream)
  }
  stream() {
    return { deep: [streamOf(['a', 'b'])] }
  }
  sink() {
    return new WritableStream({ write: (chunk) => void written.push(chunk), close: () => void written.push('closed') })
  }
  async write(sink: WritableStream) {
    const writer = sink.getWriter()
    await writer.write('x')
    await writer.close()
  }
  request(request: Request) {
    return request.text()
  }
}

/** A client of a relay, which gives all that an object of another session is. */
function relayed(options?: Parameters<typeof passOn>[1]) {
  const [link] = joined(undefined, new World())
  passOn(link)
  const [client, served] = joined(undefined, link.getRemoteMain())
  passOn(served, options)
  return { world: client.getRemoteMain() as Far, link, client, served }
}

/** A promise of capnweb's is a function as well, which `expect` would call. */
const answer = (call: Far) => Promise.resolve(call)

const soon = async (holds: () => boolean) => {
  for (let turn = 0; turn < 500 && !holds(); turn++) await new Promise((resolve) => setTimeout(resolve, 1))
  expect(holds()).toBe(true)
}

describe('what goes on from session to session', () => {
  test('a capability that is passed back is a stub there, and comes back as one', async () => {
    const { world } = relayed()
    const thing = await world.thing()
    expect(await world.use({ thing })).toEqual([true, '[object RpcStub]', 1])
    const { thing: again } = await world.back(thing)
    expect(await again.hello()).toBe(2)
  })

  test('what a call has brought is let go of when the call is over, and not before', async () => {
    ended = 0
    const { world, served, link } = relayed()
    expect(await world.use({ thing: new Thing() })).toEqual([true, '[object RpcStub]', 1])
    await soon(() => ended === 1)
    const kept = new RpcStub(new Thing()) as Far
    const { thing } = await world.back(kept)
    expect(await thing.hello()).toBe(1)
    expect(ended).toBe(1)
    thing[Symbol.dispose]()
    kept[Symbol.dispose]()
    await soon(() => ended === 2)
    await soon(() => link.getStats().exports === 1 && served.getStats().imports === 1)
  })

  test('a promise that goes on and is let go of is no unhandled failure', async () => {
    const { world } = relayed()
    const later = new Promise((resolve) => setTimeout(() => resolve(new Thing()), 5))
    expect((await world.use({ thing: new RpcPromise(later as Promise<never>) }))[2]).toBe(1)
  })

  test('streams go on both ways, and a writable outlives the call that gave it', async () => {
    written = []
    const { world } = relayed()
    expect(await world.collect(streamOf([1, { b: 2 }]))).toEqual([1, { b: 2 }])
    expect(await collected((await world.stream()).deep[0])).toEqual(['a', 'b'])
    expect(await world.request(new Request('http://host/', { method: 'POST', body: 'text' }))).toBe('text')
    const got: unknown[] = []
    await world.write(new WritableStream({ write: (chunk) => void got.push(chunk), close: () => void got.push('closed') }))
    await soon(() => got.length === 2)
    const writer = (await world.sink()).getWriter()
    await writer.write(1)
    await writer.close()
    expect(written).toEqual([1, 'closed'])
  })

  test('a writable that was delivered here is passed on as it is', async () => {
    written = []
    const [link] = joined(undefined, new World())
    class Delivering extends RpcTarget {
      async sink() {
        // A stub of what is here: its results are delivered as those of a far one are.
        const sink: unknown = await (new RpcStub(new World()) as Far).sink()
        return { sink }
      }
    }
    passOn(link)
    const [client, served] = joined(undefined, new Delivering())
    passOn(served)
    const { sink } = await (client.getRemoteMain() as Far).sink()
    const writer = sink.getWriter()
    await writer.write(1)
    await writer.close()
    expect(written).toEqual([1, 'closed'])
  })

  test('arguments that cannot go on fail their call, and the session goes on', async () => {
    const { world, link } = relayed()
    passOn(link, { refuseStreams: () => Object.assign(new Error('no streams here'), { code: 'NOT_HERE' }) })
    await expect(answer(world.collect(streamOf([1])))).rejects.toMatchObject({ code: 'NOT_HERE' })
    expect(await (await world.thing()).hello()).toBe(1)
  })

  test('streams of results are refused where they cannot leave, with the error that is named', async () => {
    const { world } = relayed({ refuseStreams: () => Object.assign(new Error('no streams here'), { code: 'NOT_HERE' }) })
    await expect(answer(world.stream())).rejects.toMatchObject({ code: 'NOT_HERE' })
    await expect(answer(world.sink())).rejects.toMatchObject({ code: 'NOT_HERE' })
    expect(await (await world.thing()).hello()).toBe(1)
  })

  test('no answer to a chunk comes at the time of its question, on a clock that stands still', async () => {
    let moments = 0
    const { world } = relayed({
      later: (then) => {
        moments++
        setTimeout(then, 1)
      },
    })
    expect(await collected((await world.stream()).deep[0])).toEqual(['a', 'b'])
    // Two chunks and the end.
    await soon(() => moments === 3)
  })
})
