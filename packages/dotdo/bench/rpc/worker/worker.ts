/** The Worker of the bench: the app that clients connect to, and beside it the ways by which the bench steers and reads it. */
import { env } from 'cloudflare:workers'
import type { DurableObjectClass } from '../../../src/object/do.ts'
import { serve } from '../../../src/object/serve.ts'
import type { Side } from './driver.ts'
import { far, traffic } from './far.ts'
import { makeStage, NativeStage } from './objects.ts'
import { wakes } from './watched.ts'

export { DotdoSystem } from '../../../src/object/system.ts'
export { Driver } from './driver.ts'
export { Watched } from './watched.ts'
export { NativeStage }
export const Stage: DurableObjectClass<object> = makeStage()
export const FarStage: DurableObjectClass<object> = far(makeStage())
export const NativeFarStage: typeof NativeStage = far(NativeStage)

/** The share of traces that are kept, where the bench says one. Their export is nobody's. */
const sample = (env as { SAMPLE?: string }).SAMPLE
const app = serve(sample === undefined ? {} : { traces: { sample: Number(sample), export: () => undefined } })

export default {
  ...app,
  async fetch(request: Request, bindings: never, ctx: ExecutionContext): Promise<Response> {
    const url = new URL(request.url)
    if (url.pathname === '/measure') return measure(url.searchParams)
    if (url.pathname === '/traffic') return Response.json(traffic)
    if (url.pathname === '/wakes') return Response.json(wakes)
    if (url.pathname === '/echo') return echo()
    if (url.pathname === '/empty') return new Response(null)
    return app.fetch(request, bindings, ctx)
  },
}

/** One measurement of the driver, by a native call. */
async function measure(query: URLSearchParams): Promise<Response> {
  const driver = (env as Record<string, any>)['NATIVE_Driver'].getByName('main')
  const [work, side, count, size] = ['work', 'side', 'count', 'size'].map((name) => query.get(name)!) as [string, Side, string, string]
  return Response.json(await driver.measure(work, side, Number(count), Number(size)))
}

/** A bare WebSocket that says what it is told: one trip of a client's link without anything of ours. */
function echo(): Response {
  const { 0: client, 1: server } = new WebSocketPair()
  server.accept()
  server.addEventListener('message', ({ data }) => server.send(data))
  return new Response(null, { status: 101, webSocket: client })
}
