import { createHmac } from 'node:crypto'
import { env, exports, DurableObject } from 'cloudflare:workers'
import { verifyToken } from '../../../src/rpc/tokens.ts'
import { requireAppNoun } from '../../../src/object/nouns.ts'
import app from './worker.ts'
export * from './worker.ts'
export class Take extends DurableObject { take(a: any) { return a.length } both(a: any) { return a } text(a: string) { return JSON.parse(a).length } textBoth(a: string) { return JSON.stringify(JSON.parse(a)) } many(...a: any[]) { return a.length } }
const frames = () => [['push', ['pipeline', 0, ['step'], []]], ...Array.from({ length: 8 }, (_, i) => ['push', ['pipeline', i + 1, ['next'], []]]), ['push', ['pipeline', 9, ['value'], []]], ['pull', 10]]
const chain = () => [['step', []], ...Array.from({ length: 8 }, () => ['next', []]), ['value', []]]
const take = () => (env as any).NATIVE_Take.getByName('x')
let stub: any
const works: Record<string, (t: string) => any> = {
  nothing: async () => {},
  frames: () => (stub ??= take()).take(frames()),
  'frames in message': () => (stub ??= take()).many({ version: 1, session: 'abcabcabcabcabc', seq: 0, origin: { depth: 1 }, frames: frames() }),
  'frames as text': () => (stub ??= take()).text(JSON.stringify(frames())),
  'chain': () => (stub ??= take()).take(chain()),
  'chain flat': () => (stub ??= take()).many('k', JSON.stringify(chain().map(([n, a]) => [n, a!.length]))),
  'one string': () => (stub ??= take()).many('k'),
  verify: (t) => verifyToken(t, 'session', (env as any).DOTDO_SECRET, 0),
  'node hmac': async (t) => { const m = /^(dotdo1\.([\w-]+))\.([\w-]+)$/.exec(t)!; return createHmac('sha256', (env as any).DOTDO_SECRET).update(m[1]!).digest() },
  requireAppNoun: async () => requireAppNoun('Stage'),
  same: async () => { if ((exports as any).Stage !== (exports as any).Stage) throw new Error('not the same') },
}
export default {
  ...app,
  async fetch(request: Request, bindings: never, ctx: ExecutionContext): Promise<Response> {
    const url = new URL(request.url)
    if (url.pathname === '/micro') {
      stub = undefined
      const n = Number(url.searchParams.get('n')), work = works[url.searchParams.get('what')!]!, token = url.searchParams.get('token')!
      for (let i = 0; i < n; i++) await work(token)
      return new Response('ok')
    }
    if (url.pathname === '/works') return Response.json(Object.keys(works))
    if (url.pathname === '/read1') { const t0 = []; for await (const c of request.body as any) t0.push(c); return new Response('x') }
    if (url.pathname === '/read2') { const b = await request.arrayBuffer(); return new Response('x') }
    return app.fetch(request, bindings, ctx)
  },
}
