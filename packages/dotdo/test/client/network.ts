/**
 * A network in one process, in which a seed decides what happens next: a frame arrives, a socket opens or breaks, a timer fires, a slow
 * call ends. Behind it an app with objects whose calls have keys.
 *
 * Owns the clock, the sockets and the objects. Nothing happens but by {@link Network.step}.
 */
import { RpcSession, RpcTarget, type RpcTransport } from 'capnweb'
import type { ClientPorts } from '../../src/client/ports.ts'
import { CallKeys } from '../../src/rpc/call-keys.ts'
import { readChain, runChain } from '../../src/rpc/chain.ts'
import { SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

/** What a run of the network may do. */
export interface Weather {
  seed: number
  /** Sockets that break, at most. */
  breaks: number
  /** Restarts of objects, at most. */
  restarts: number
}

/** What an object has done: the calls that took effect, in their order. */
export class FakeObject {
  readonly effects: number[] = []
  #store = new SqliteStore()
  #network: Network
  /** Those of the incarnation that lives. */
  keys: CallKeys

  constructor(network: Network) {
    this.#network = network
    this.keys = new CallKeys(this.#store, network)
    this.#store.flush()
  }

  /** The calls that are under way never end, and what has been answered is on disk. */
  restart(): void {
    this.#store.flush()
    this.#store.crash()
    this.#store = this.#store.reopen()
    this.keys = new CallKeys(this.#store, this.#network)
  }

  /** A call under its key. Of an incarnation that has died nobody hears again. */
  call(key: string, ageMs: number | undefined, work: () => Promise<unknown>): Promise<unknown> {
    const { keys } = this
    const unlessDead = <T>(outcome: () => T): T | Promise<never> => (this.keys === keys ? outcome() : new Promise(() => {}))
    return keys.run(key, ageMs, work).then(
      (value) => unlessDead(() => value),
      (error: unknown) =>
        unlessDead(() => {
          throw error
        }),
    )
  }

  reach(): RpcTarget {
    const add = (n: number) => this.effects.push(n)
    const slow = (n: number) => {
      const place = add(n)
      return new Promise<number>((resolve) => this.#network.later(() => resolve(place)))
    }
    class Part extends RpcTarget {
      add(n: number) {
        return add(n)
      }
      slow(n: number) {
        return slow(n)
      }
    }
    return new (class Reach extends Part {
      part() {
        return new Part()
      }
      async tell(n: number, listener: (place: number) => Promise<void>) {
        const place = add(n)
        await listener(place)
        return place
      }
      fail(n: number) {
        add(n)
        throw new Error(`failed ${n}`)
      }
    })()
  }
}

class FakeSocket {
  readyState = 0
  /** The network has taken it away, and told nobody. */
  isMute = false
  readonly up: string[] = []
  readonly down: string[] = []
  /** The server's end, from the opening on. */
  server: ServerEnd | undefined
  #listeners: [string, (event: never) => void][] = []

  addEventListener(type: string, listener: (event: never) => void): void {
    this.#listeners.push([type, listener])
  }
  tell(type: string, event: object = {}): void {
    for (const [name, listener] of this.#listeners) if (name === type) listener(event as never)
  }
  send(message: string): void {
    if (this.readyState === 1 && !this.isMute) this.up.push(message)
  }
  close(): void {
    this.break()
  }
  mute(): void {
    this.isMute = true
    this.down.length = 0
  }
  break(): void {
    if (this.readyState >= 2) return
    this.readyState = 3
    this.down.length = 0
    this.tell('error')
    this.tell('close', { code: 1006, reason: '' })
  }
}

class ServerEnd implements RpcTransport {
  #socket: FakeSocket
  #inbox: string[] = []
  #reader: PromiseWithResolvers<string> | undefined
  #isOver = false

  constructor(socket: FakeSocket, main: RpcTarget) {
    this.#socket = socket
    new RpcSession(this, main)
  }
  get isOver(): boolean {
    return this.#isOver
  }
  async send(message: string): Promise<void> {
    if (this.#socket.readyState === 1 && !this.#socket.isMute) this.#socket.down.push(message)
  }
  receive(): Promise<string> {
    const message = this.#inbox.shift()
    if (message !== undefined) return Promise.resolve(message)
    this.#reader = Promise.withResolvers()
    return this.#reader.promise
  }
  abort(): void {
    this.#isOver = true
  }
  take(message: string): void {
    if (this.#reader) this.#reader.resolve(message)
    else this.#inbox.push(message)
    this.#reader = undefined
  }
  end(): void {
    this.#isOver = true
    this.#reader?.reject(new Error('the client is gone'))
  }
}

/** See the head of this file. */
export class Network {
  readonly objects = new Map<string, FakeObject>()
  readonly ports: ClientPorts
  #ms = 1_000_000
  #random: SeededRandom
  #weather: Weather
  #sockets: FakeSocket[] = []
  #timers: { at: number; then: () => void }[] = []
  #turns: (() => void)[] = []
  #later: (() => void)[] = []

  constructor(weather: Weather) {
    this.#weather = { ...weather }
    this.#random = new SeededRandom(weather.seed)
    this.ports = {
      socket: () => {
        const socket = new FakeSocket()
        this.#sockets.push(socket)
        return socket as unknown as WebSocket
      },
      post: () => Promise.reject(new Error('no batches here')),
      endOfTurn: (then) => void this.#turns.push(then),
      timer: (delayMs, then) => {
        const timer = { at: this.#ms + delayMs, then }
        this.#timers.push(timer)
        return () => void (this.#timers = this.#timers.filter((it) => it !== timer))
      },
      now: () => this.#ms,
      random: () => this.#random.next(),
      newKey: () => 'the keys of this client',
    }
  }

  now(): number {
    return this.#ms
  }

  later(then: () => void): void {
    this.#later.push(then)
  }

  object(name: string): FakeObject {
    let object = this.objects.get(name)
    if (!object) this.objects.set(name, (object = new FakeObject(this)))
    return object
  }

  /** From here on nothing breaks. */
  calm(): void {
    this.#weather.breaks = 0
    this.#weather.restarts = 0
  }

  /** Timers that wait: what a client that was closed has none of. */
  get timers(): number {
    return this.#timers.length
  }

  /** Does one of the things that can happen now. `false` when there is none. */
  async step(): Promise<boolean> {
    const can: (() => void)[] = []
    const often = (times: number, what: () => void) => {
      for (let i = 0; i < times; i++) can.push(what)
    }
    for (const socket of this.#sockets) {
      if (socket.readyState === 0) {
        often(3, () => this.#open(socket))
        if (this.#weather.breaks > 0) can.push(() => this.#break(socket))
      }
      if (socket.up.length > 0 && !socket.server!.isOver) often(3, () => socket.server!.take(socket.up.shift()!))
      if (socket.down.length > 0) often(3, () => socket.tell('message', { data: socket.down.shift() }))
      if (socket.readyState === 1 && this.#weather.breaks > 0) can.push(() => this.#break(socket))
      // The server learns of the end some time, and what was on its way may come before that, or never.
      if (socket.readyState === 3 && socket.server && !socket.server.isOver) can.push(() => socket.server!.end())
    }
    if (this.#turns.length > 0) often(4, () => this.#turns.shift()!())
    if (this.#later.length > 0) can.push(() => this.#later.splice(this.#random.below(this.#later.length), 1)[0]!())
    // Time passes when nothing else happens, or now and then.
    if (this.#timers.length > 0 && (can.length === 0 || this.#random.next() < 0.1)) can.push(() => this.#fire())
    if (this.#weather.restarts > 0 && this.objects.size > 0 && this.#random.next() < 0.1) can.push(() => this.#restart())
    if (can.length === 0) return false
    can[this.#random.below(can.length)]!()
    await new Promise((resolve) => setImmediate(resolve))
    return true
  }

  #fire(): void {
    this.#timers.sort((a, b) => a.at - b.at)
    const { at, then } = this.#timers.shift()!
    this.#ms = Math.max(this.#ms, at)
    then()
  }

  #open(socket: FakeSocket): void {
    socket.readyState = 1
    socket.server = new ServerEnd(socket, this.#door())
    socket.tell('open')
  }

  #break(socket: FakeSocket): void {
    this.#weather.breaks--
    if (socket.readyState === 1 && this.#random.next() < 0.3) socket.mute()
    else socket.break()
  }

  #restart(): void {
    this.#weather.restarts--
    const objects = [...this.objects.values()]
    objects[this.#random.below(objects.length)]!.restart()
  }

  #door(): RpcTarget {
    const object = (name: string) => this.object(name)
    class App extends RpcTarget {
      call(_: string, name: string, key: string | null, chain: unknown, ageMs?: number) {
        const links = readChain(chain)
        const work = () => runChain(object(name).reach(), links)
        return key === null ? work() : object(name).call(key, ageMs, work)
      }
      Thing(name: string) {
        return object(name).reach()
      }
    }
    return new (class Door extends RpcTarget {
      ping() {}
      authenticate() {
        return new App()
      }
    })()
  }
}
