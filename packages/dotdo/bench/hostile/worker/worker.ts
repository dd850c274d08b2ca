/** The app of the hostile bench: what an attack needs, one plain call, and a socket that throws everything away. */
import { DO } from '../../../src/object/do.ts'
import { serve, type ServeEnv } from '../../../src/object/serve.ts'

export { DotdoSystem } from '../../../src/object/system.ts'

export const Target = DO.extend({
  calls: 0,
  ping() {
    return ++this.calls
  },
  list(length: number) {
    return Array.from({ length: Math.min(length, 100_000) }, (_, i) => i)
  },
  echo(value: unknown) {
    return value
  },
})

const app = serve()

export default {
  ...app,
  fetch(request: Request, env: ServeEnv, ctx: ExecutionContext) {
    return new URL(request.url).pathname === '/void' ? discard() : app.fetch(request, env, ctx)
  },
}

/** What a Worker without dotdo does at least: it takes each message, and does nothing. */
function discard(): Response {
  const { 0: client, 1: server } = new WebSocketPair()
  server.accept()
  server.addEventListener('message', () => {})
  return new Response(null, { status: 101, webSocket: client })
}
