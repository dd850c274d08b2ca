/** The Worker around the objects: the one address that clients, engines and the page speak to. */
import { codeOf } from '../base/errors.ts'
import { redactText } from '../base/redact.ts'
import { configureApp, type AppOptions } from './app.ts'
import { serveClient } from './client-link.ts'
import { Door, type DoorEnv } from './door.ts'
import { objectOfPath } from './live-path.ts'
import { Links, objectAt, placeOf } from './nouns.ts'
import { clock, linkPorts } from './platform.ts'
import { takeMessages } from './queues.ts'
import { wakeSingletons } from './singletons.ts'
import { serveCatalog, serveBucket } from './tables.ts'
import { originOf, tracingOf } from './tracing.ts'
import type { Origin } from '../rpc/origin.ts'
import { LimitError } from '../rpc/limits.ts'
import { verifyToken } from '../rpc/tokens.ts'

/** What the framework reads of the Worker's bindings. */
export interface ServeEnv extends DoorEnv {
  /** `'1'` where `wrangler dev` runs the app: opens the S3 endpoint over the local buckets, on loopback addresses only. */
  DOTDO_LOCAL?: string
  /** The built page. */
  ASSETS?: { fetch(request: Request): Promise<Response> }
}

/** The handlers of a Worker that {@link serve} makes. */
export interface AppHandler {
  fetch(request: Request, env: ServeEnv, ctx: ExecutionContext): Promise<Response>
  scheduled(controller: ScheduledController, env: ServeEnv, ctx: ExecutionContext): Promise<void>
  queue(batch: MessageBatch, env: ServeEnv, ctx: ExecutionContext): Promise<void>
}

/**
 * Makes the Worker of an app: `export default serve({...})`, beside the classes, which are exported by their nouns.
 *
 * | path | what |
 * |---|---|
 * | `/rpc` | capnweb, over a WebSocket or as one batch by POST; starts at `authenticate(token)` |
 * | `/live/<noun>/<name>` | live events of one object over a WebSocket, with a ticket from `dotdo.watch` |
 * | `/iceberg/v1/…` | the read side of the Iceberg REST catalog; `Authorization: Bearer <token>` |
 * | `/buckets/<bucket>/…` | the app's buckets for S3 readers, on loopback in local development only |
 * | anything else | the page, where the Worker has an `ASSETS` binding |
 */
export function serve(options: AppOptions = {}): AppHandler {
  configureApp(options)
  const handler: AppHandler = {
    async fetch(request, env, ctx) {
      const url = new URL(request.url)
      const [, room] = url.pathname.split('/')
      const keepAlive = (work: Promise<unknown>) => ctx.waitUntil(work)
      const tracing = tracingOf('the Worker', env, keepAlive)
      const ports = (origin = originOf(request)) => linkPorts('the Worker', keepAlive, undefined, origin)
      const links = () => new Links(ports(), tracing)
      // Its calls are the client's own: it asks for an answer in a later message than the call, so that whether somebody awaits it is known there alone.
      const ofClient = (origin?: Origin) => new Links({ ...ports(origin), isRelay: true, unawaitedFailure: () => {} }, tracing)
      const rpc = (origin?: Origin) => serveClient(request, () => new Door(env, ofClient(origin)))
      try {
        if (room === 'rpc') return await (tracing ? tracing.served(request, originOf(request), rpc) : rpc())
        if (room === 'live') return await watch(request, url, env)
        if (room === 'iceberg') return await serveCatalog(request, url, env, links())
        if (room === 'buckets') return await serveBucket(request, url, env)
        if (env.ASSETS) return await env.ASSETS.fetch(request)
      } catch (error) {
        return refusal(error)
      }
      return new Response('Not found. Clients connect to /rpc.\n', { status: 404 })
    },
    async scheduled(_controller, env, ctx) {
      await wakeSingletons(new Links(linkPorts('the Worker', (work) => ctx.waitUntil(work))), env, 'needed')
    },
    async queue(batch, _env, ctx) {
      await takeMessages(batch, new Links(linkPorts('the Worker', (work) => ctx.waitUntil(work))))
    },
  }
  served.set(handler, options)
  return handler
}

const served = new WeakMap<object, AppOptions>()

/** What a handler was made with; nothing for what is none. */
export const optionsOf = (handler: object): AppOptions => served.get(handler) ?? {}

async function watch(request: Request, url: URL, env: ServeEnv): Promise<Response> {
  if (request.headers.get('upgrade') !== 'websocket')
    return new Response('Connect with a WebSocket.\n', { status: 426, headers: { upgrade: 'websocket' } })
  const watched = objectOfPath(url.pathname)
  const claims = await verifyToken(url.searchParams.get('ticket'), 'watch', env.DOTDO_SECRET, clock.now())
  if (!watched || claims.object !== `${watched.noun}/${watched.name}`)
    return new Response('The ticket is for another object.\n', { status: 403 })
  return await objectAt(placeOf(watched.noun)(watched.name)).fetch(request)
}

/** Errors of the way in, for clients that speak HTTP. What went wrong inside is the log's matter and not the caller's. */
function refusal(error: unknown): Response {
  const code = codeOf(error)
  if (code === undefined) {
    console.error(redactText(error instanceof Error ? (error.stack ?? String(error)) : String(error)))
    return Response.json({ code: 'INTERNAL', message: 'The Worker failed. Its log has the reason.' }, { status: 500 })
  }
  const message = redactText((error as Error).message)
  // RFC 6585, section 4.
  const waitMs = error instanceof LimitError && error.data.limit === 'comebackEndMs' ? error.data.value : undefined
  if (waitMs !== undefined)
    return Response.json({ code, message }, { status: 429, headers: { 'retry-after': String(Math.ceil(waitMs / 1000)) } })
  return Response.json({ code, message }, { status: /^(?:TOKEN|SECRET)_/.test(code) ? 401 : 400 })
}
