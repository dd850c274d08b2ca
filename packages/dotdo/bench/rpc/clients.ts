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

/** A chain of ten over a WebSocket and as one HTTP batch: in trips of the same network, as something without dotdo needs them. */
export async function* clientChains(workerd: RunningWorkerd, oneWayMs: number): AsyncGenerator<BenchResult> {
  const proxy = await startProxy(workerd.port, oneWayMs)
  const token = await sessionToken()
  const app = connect(proxy.url, { token })
  const echo = new WebSocket(new URL('echo', proxy.url.replace('http', 'ws')))
  try {
    await new Promise((resolve) => echo.addEventListener('open', resolve, { once: true }))
    const bareEcho = () =>
      new Promise<void>((resolve) => {
        echo.addEventListener('message', () => resolve(), { once: true })
        echo.send('a message of about the length of a call, for what that matters')
      })
    const overSocket = () => chain(app['Stage']('one'))
    const socket = await compare(timed(overSocket), timed(bareEcho), rounds)
    yield atMost(`chain of ${depth}, WebSocket, in trips`, socket.median, 'a bare WebSocket echo', 1.15)

    const bareFetch = async () => void (await (await fetch(new URL('empty', proxy.url), { method: 'POST', body: 'x' })).arrayBuffer())
    const asBatch = () => {
      const door = newHttpBatchRpcSession(new URL('rpc', proxy.url).href) as any
      return chain(door.authenticate(token).Stage('one'))
    }
    const batch = await compare(timed(asBatch), timed(bareFetch), rounds)
    yield atMost(`chain of ${depth}, HTTP batch, in trips`, batch.median, 'a bare fetch', 1.15)
  } finally {
    app.close()
    echo.close()
    await proxy.stop()
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
