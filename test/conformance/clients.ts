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

/** Our client sends a chain as one unit: what stood in its middle is nowhere after it. */
const ours = { middle: /^REFERENCE_GONE / }
/**
 * capnweb names an answer by a number that it has given back. What is unmodified is its client: `.map` is mended for all who share one capnweb, so cases of what
 * a map takes along say nothing of capnweb alone here.
 */
const capnwebs = { answered: /^REFERENCE_GONE |too far/ }
/** One request and one answer: whatever would come after it, or before the slowest of its turn, is refused; who waits for ever is told by a limit. */
const batched = (words: RegExp) => ({ later: words, callbacks: words, streams: words, beside: /^LINK_LIMIT .*graphMs/ })
const traits = (lacks: Traits['lacks']): Traits => ({ wire: 'json', lacks })

/**
 * What is kept out. A function that waits capnweb alone refuses as it should, and leaves the rejection of the user's own promise to the process, which a
 * test runner counts as a failure. Batches are requests that know nothing of each other: whichever arrives first is served first, and none waits for
 * another one's call. A stream that a client has itself is its own end's, which is capnweb alone; and batches have none, which they say in a result of this case.
 */
export const keptOut = (client: string, title: string): boolean =>
  (client.startsWith('an unmodified') && title.startsWith('map: over a function that waits')) ||
  title === 'streams that are passed twice: by who has them are refused the second time, read to the end or not' ||
  // The Worker has such a reference for a client that has restored a token: test/rpc/order.test.ts.
  title.endsWith('that each turn asks for anew') ||
  (client.endsWith('batches') &&
    (overTurns.some((it) => title === `order: ${it}`) || title === 'streams that are passed twice: are told to another object as well'))

/** Cases of the order of calls that are made in several turns and not waited for between them. */
const overTurns = [
  'a lone call, a chain, and a lone call arrive as they were made',
  'a lone call that is slow to start does not fall behind the next turn’s',
  'and over turns, where nobody awaits it',
]

let worlds = 0
const nameOfWorld = () => `world ${Math.random()} ${worlds++}`

/** Each way by its name. */
export const clients: Record<string, (at: Address) => Client> = {
  'our client by a WebSocket': ({ url, token }) => {
    const app = connect(url, { token, onFailure: () => {} })
    return { kit: { traits: traits(ours), settle, open: async () => app['World'](nameOfWorld()) as Far }, close: () => app.close() }
  },
  'our client by batches': ({ url, token }) => {
    const app = connect(url, { token, transport: 'batch', onFailure: () => {} })
    return {
      kit: { traits: traits({ ...ours, ...batched(byCode) }), settle, open: async () => app['World'](nameOfWorld()) as Far },
      close: () => app.close(),
    }
  },
  'an unmodified capnweb by a WebSocket': ({ url, token }) => {
    const door = newWebSocketRpcSession(`${url.replace(/^http/, 'ws')}rpc`) as Far
    const open = async () => (await door.authenticate(token).World(nameOfWorld())) as Far
    return { kit: { traits: { ...traits(capnwebs), isBare: true }, settle, open }, close: () => door[Symbol.dispose]() }
  },
  'an unmodified capnweb by batches': ({ url, token }) => ({
    kit: { traits: { ...traits(batched(inWords)), isBare: true }, settle, open: async () => worldOfBatches(`${url}rpc`, token) },
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
