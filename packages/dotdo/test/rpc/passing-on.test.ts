/** What a client's session brings to a Worker and a link takes to an object, with an unmodified capnweb at both ends. */
import { RpcPromise, RpcSession, RpcStub, RpcTarget, type RpcTransport } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { insideOf, passOn } from '../../src/rpc/passing-on.ts'
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
  #notes: unknown[] = []
  note(value: unknown) {
    return this.#notes.push(value)
  }
  noted() {
    return this.#notes
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

  describe('what has come', () => {
    /** A client of what is here, which leads to what is beyond a link; and what that link says. */
    function overWhatIsHere() {
      const [link] = joined(undefined, new World())
      const said: unknown[][] = []
      const inside = insideOf(link) as unknown as { send: (frame: unknown[]) => unknown }
      const { send } = inside
      inside.send = (frame) => {
        said.push(frame)
        return Reflect.apply(send, inside, [frame])
      }
      passOn(link)
      class Here extends RpcTarget {
        far() {
          return link.getRemoteMain()
        }
        rows() {
          return [3, 1, 2].map((id) => ({ id, at: { place: [`row ${id}`] }, thing: new Thing(), text: streamOf([id]) }))
        }
        async late() {
          await soon(() => true)
          return ['late']
        }
        fail() {
          throw Object.assign(new Error('too far'), { code: 'FAR' })
        }
      }
      const [client, served] = joined(undefined, new Here())
      passOn(served)
      const here = client.getRemoteMain() as Far
      return { here, far: here.far(), link, served, promises: () => said.filter((frame) => JSON.stringify(frame).includes('["promise"')) }
    }

    test('goes on as what it is: a map over it makes calls in the order of its elements, none of which waits for a promise', async () => {
      const { here, far, promises } = overWhatIsHere()
      const rows = here.rows()
      await soon(() => true)
      expect(await rows.map((row: Far) => far.note(row.id))).toEqual([1, 2, 3])
      expect(await rows.map((row: Far) => far.note({ deep: [row.at, row.at.place[0], row.none] }))).toEqual([4, 5, 6])
      expect(await far.noted()).toEqual([3, 1, 2, ...[3, 1, 2].map((id) => ({ deep: [{ place: [`row ${id}`] }, `row ${id}`, undefined] }))])
      expect(promises()).toEqual([])
    })

    test('goes on with its capabilities, which are let go of when their calls are over', async () => {
      ended = 0
      const { here, far, promises, served, link } = overWhatIsHere()
      const rows = here.rows()
      expect(await rows.map((row: Far) => far.use({ thing: row.thing, id: row.id }))).toEqual(
        [1, 1, 1].map((n) => [true, '[object RpcStub]', n]),
      )
      expect(promises()).toEqual([])
      rows[Symbol.dispose]()
      far[Symbol.dispose]()
      await soon(() => ended === 3)
      await soon(() => link.getStats().exports === 1 && served.getStats().imports === 1)
    })

    test('stays a promise where it is no data, has failed or is not there yet', async () => {
      const { here, far } = overWhatIsHere()
      const rows = here.rows()
      expect(await rows.map((row: Far) => far.collect(row.text))).toEqual([[3], [1], [2]])
      expect(await answer(far.note(here.late()))).toBe(1)
      await expect(answer(far.note(here.fail()))).rejects.toThrow('too far')
      expect(await far.noted()).toEqual([['late']])
    })
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
