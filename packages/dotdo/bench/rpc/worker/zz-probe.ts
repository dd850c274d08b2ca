import { env, DurableObject } from 'cloudflare:workers'
import app from './worker.ts'
export * from './worker.ts'
export class Row extends DurableObject {
  n = 0
  constructor(ctx: any, e: any) { super(ctx, e); ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY, s TEXT, r TEXT) WITHOUT ROWID') }
  write() { this.ctx.storage.sql.exec('INSERT INTO t VALUES (?, ?, null)', String(this.n++) + Math.random(), 'x'); return 'ok' }
  async write2() { const k = String(this.n++) + Math.random(); this.ctx.storage.sql.exec('INSERT INTO t VALUES (?, ?, null)', k, 'x'); await null; await null; this.ctx.storage.sql.exec('UPDATE t SET r = ? WHERE k = ?', 'v', k); return 'ok' }
}
const ws = (work: (text: any) => any) => {
  const { 0: client, 1: server } = new WebSocketPair()
  server.accept()
  server.addEventListener('message', async ({ data }) => server.send(String(await work(data))))
  return new Response(null, { status: 101, webSocket: client })
}
const native = (n: string, name = 'one') => (env as any)['NATIVE_' + n].getByName(name)
const works: Record<string, (t: any) => any> = {
  ping: () => native('NativeStage').ping(),
  chain: async () => { let at = native('NativeStage').step(); for (let i = 2; i < 10; i++) at = at.next(); return await at.value() },
  write: () => native('Row').write(),
  write2: () => native('Row').write2(),
  immediate: () => new Promise((r) => setImmediate(r)),
}
export default {
  ...app,
  async fetch(request: Request, bindings: never, ctx: ExecutionContext): Promise<Response> {
    const url = new URL(request.url)
    const [, kind, work] = url.pathname.split('/')
    if (kind === 'ws') return ws(works[work!]!)
    if (kind === 'http') { await request.text(); return new Response(String(await works[work!]!(''))) }
    return app.fetch(request, bindings, ctx)
  },
}
