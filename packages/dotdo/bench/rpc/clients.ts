/** A chain of calls from a client in Node, over each of its links, through a network of 20 ms. */
import { newHttpBatchRpcSession } from 'capnweb'
import { signToken } from '../../src/rpc/tokens.ts'
import { connect } from '../../src/client/connect.ts'
import type { BenchResult } from '../../../../bench/run.ts'
import { atMost, compare } from './figures.ts'
import { startProxy } from './proxy.ts'
import type { RunningWorkerd } from './workerd.ts'

/** Session links in production would be signed by the app; here the bench is the app. */
export const secret = 'a secret for the bench alone'

export const sessionToken = (): Promise<string> => signToken({ kind: 'session', expiresAt: Date.now() + 3_600_000 }, secret)

const depth = 10
const rounds = 25
/** How often both sides run before they are measured, without the network: what is measured is compiled code, as in the other lines. */
const warmUps = 100

/**
 * A chain of ten over a WebSocket and as one HTTP batch: in trips of the same network, as something without dotdo needs them. And beside one call by the same
 * link, which is what a trip is in the lines between objects: that has no bar.
 */
export async function* clientChains(workerd: RunningWorkerd, oneWayMs: number): AsyncGenerator<BenchResult> {
  const proxy = await startProxy(workerd.port, oneWayMs)
  const token = await sessionToken()
  const near = await linksTo(workerd.url, token)
  const far = await linksTo(proxy.url, token)
  try {
    for (const [name, says, link, bare] of [
      ['WebSocket', 'a bare WebSocket echo', 'socket', 'echo'],
      ['HTTP batch', 'a bare fetch', 'plainBatch', 'fetch'],
      ['HTTP batch of dotdo/client', 'a bare fetch', 'batch', 'fetch'],
    ] as const) {
      const chained = () => chain(far[link]())
      const one = () => far[link]().ping()
      for (let i = 0; i < warmUps; i++) await Promise.all([chain(near[link]()), near[link]().ping(), near[bare]()])
      const { median } = await compare(timed(chained), timed(far[bare]), rounds)
      yield atMost(`chain of ${depth}, ${name}, in trips`, median, says, 1.15)
      const beside = await compare(timed(chained), timed(one), rounds)
      yield { ...atMost(`  the same to one call`, beside.median, 'one call by that link', Infinity), bar: '' }
    }
  } finally {
    near.close()
    far.close()
    await proxy.stop()
  }
}

/** The stub of an object by each of a client's links to one address, and what one trip is without anything of ours. */
async function linksTo(url: string, token: string) {
  const app = connect(url, { token })
  const batches = connect(url, { token, transport: 'batch' })
  const echo = new WebSocket(new URL('echo', url.replace('http', 'ws')))
  await new Promise((resolve) => echo.addEventListener('open', resolve, { once: true }))
  return {
    socket: () => app['Stage']('one') as any,
    batch: () => batches['Stage']('one') as any,
    /** By a capnweb client that knows nothing of dotdo. */
    plainBatch: () => (newHttpBatchRpcSession(new URL('rpc', url).href) as any).authenticate(token).Stage('one'),
    echo: () =>
      new Promise<void>((resolve) => {
        echo.addEventListener('message', () => resolve(), { once: true })
        echo.send('a message of about the length of a call, for what that matters')
      }),
    fetch: async () => void (await (await fetch(new URL('empty', url), { method: 'POST', body: 'x' })).arrayBuffer()),
    close() {
      app.close()
      batches.close()
      echo.close()
    },
  }
}

async function chain(stub: any): Promise<void> {
  let at = stub.step()
  for (let i = 2; i < depth; i++) at = at.next()
  if ((await at.value()) !== depth) throw new Error('the chain answered something else')
}

const timed = (work: () => Promise<unknown>) => async (): Promise<number> => {
  const begun = performance.now()
  await work()
  return performance.now() - begun
}
