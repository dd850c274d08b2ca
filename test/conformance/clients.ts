/** The ways in from outside: our client and an unmodified capnweb, by a WebSocket and by batches. Runs in Node and in browsers. */
import { newHttpBatchRpcSession, newWebSocketRpcSession } from 'capnweb'
import { connect } from 'dotdo/client'
import type { Far, Kit, Traits } from '../../packages/dotdo/test/conformance/kit.ts'

/** The kit of one case over one of these ways, and its end. */
export interface Client {
  kit: Kit
  close(): void
}

/** Where the app is, and what opens it. */
export interface Address {
  url: string
  token: string
}

const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 30))

/** A code of ours at the start: what a link refuses is told by one. */
const byCode = /^[A-Z]+(?:_[A-Z]+)+ /
/** An unmodified client makes batches of its own, and words of its own. What the server refuses has a code. */
const inWords = /^[A-Z]+(?:_[A-Z]+)+ |Batch RPC request ended|RPC session/

const live: Traits = { wire: 'json', lacks: {} }
const batched = (words: RegExp): Traits => ({ wire: 'json', lacks: { later: words, callbacks: words, streams: words } })

let worlds = 0
const nameOfWorld = () => `world ${Math.random()} ${worlds++}`

/** Each way by its name. */
export const clients: Record<string, (at: Address) => Client> = {
  'our client by a WebSocket': ({ url, token }) => {
    const app = connect(url, { token, onFailure: () => {} })
    return { kit: { traits: live, settle, open: async () => app['World'](nameOfWorld()) as Far }, close: () => app.close() }
  },
  'our client by batches': ({ url, token }) => {
    const app = connect(url, { token, transport: 'batch', onFailure: () => {} })
    return { kit: { traits: batched(byCode), settle, open: async () => app['World'](nameOfWorld()) as Far }, close: () => app.close() }
  },
  'an unmodified capnweb by a WebSocket': ({ url, token }) => {
    const door = newWebSocketRpcSession(`${url.replace(/^http/, 'ws')}rpc`) as Far
    const open = async () => (await door.authenticate(token).World(nameOfWorld())) as Far
    return { kit: { traits: live, settle, open }, close: () => door[Symbol.dispose]() }
  },
  'an unmodified capnweb by batches': ({ url, token }) => ({
    kit: { traits: batched(inWords), settle, open: async () => worldOfBatches(`${url}rpc`, token) },
    close: () => {},
  }),
}

/** A root that takes a new batch for each turn, as a careful user of capnweb would. */
function worldOfBatches(url: string, token: string): Far {
  const name = nameOfWorld()
  let batch: Far
  return new Proxy(() => {}, {
    get(_, property) {
      if (property === 'then') return undefined
      if (!batch) {
        setTimeout(() => (batch = undefined), 0)
        batch = (newHttpBatchRpcSession(url) as Far).authenticate(token).World(name)
      }
      return Reflect.get(batch as object, property) as unknown
    },
    set() {
      throw new TypeError("Can't assign properties on RPC stubs.")
    },
  })
}
