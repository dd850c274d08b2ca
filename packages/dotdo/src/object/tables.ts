/** The app's tables for other engines: the Iceberg REST catalog, and the buckets' bytes by S3 where the platform has no S3 of its own. */
import { DotdoError } from '../base/errors.ts'
import type { CatalogClient, ObjectStore } from '../iceberg/ports.ts'
import { serveRest } from '../iceberg/rest.ts'
import { serveS3 } from '../iceberg/s3-endpoint.ts'
import { addressName, bucketBindings } from './buckets.ts'
import { requireSession } from './door.ts'
import type { ServeEnv } from './serve.ts'
import type { Links } from './nouns.ts'

/**
 * `/iceberg/v1/…` for the app's first bucket, `/iceberg/<bucket>/v1/…` for any. Asks for a session token, as `Authorization: Bearer`.
 * @throws `TOKEN_INVALID`, `TOKEN_EXPIRED`, `BUCKET_UNKNOWN`
 */
export async function serveCatalog(request: Request, url: URL, env: ServeEnv, links: Links): Promise<Response> {
  const token = /^Bearer (.+)$/i.exec(request.headers.get('authorization') ?? '')?.[1] ?? ''
  await requireSession(token, env)

  const below = url.pathname.slice('/iceberg'.length)
  const named = /^\/(?!v1(?:\/|$))([^/]+)(\/.*)$/.exec(below)
  const bindings = Object.keys(bucketBindings())
  const binding = named ? bindings.find((it) => it === named[1] || addressName(it) === named[1]) : bindings[0]
  if (binding === undefined)
    throw new DotdoError(
      'BUCKET_UNKNOWN',
      `There is no bucket ${named ? JSON.stringify(named[1]) : ''} here. This Worker has: ${bindings.map(addressName).join(', ') || 'none'}.`,
      { data: { known: bindings } },
    )

  const catalog = links.user('DotdoSystem', `catalog ${binding}`) as unknown as CatalogClient
  const local = localStorage(url, env) && {
    tableConfig: { 's3.endpoint': `${url.origin}/buckets`, 's3.path-style-access': 'true', 's3.region': 'auto' },
  }
  const answer = await serveRest({ method: request.method, path: named?.[2] ?? below, query: url.searchParams }, catalog, local || {})
  return new Response(answer.body, { status: answer.status, headers: answer.headers })
}

/**
 * `/buckets/<bucket>/<key>`, in S3's protocol: reads of the local buckets. On loopback in local development only: it asks for no secret.
 *
 * The first segment has more than two letters because ClickHouse takes it for the name of the bucket, and refuses a shorter one.
 */
export async function serveBucket(request: Request, url: URL, env: ServeEnv): Promise<Response> {
  if (!localStorage(url, env)) return new Response('Not here: on Cloudflare, R2 speaks S3 itself.\n', { status: 404 })
  const buckets: Record<string, ObjectStore> = Object.fromEntries(
    Object.entries(bucketBindings()).map(([binding, bucket]) => [addressName(binding), bucket]),
  )
  const answer = await serveS3(
    {
      method: request.method,
      path: url.pathname.slice('/buckets'.length),
      query: url.searchParams,
      headers: Object.fromEntries(request.headers),
    },
    buckets,
  )
  const body = answer.body === null ? null : 'text' in answer.body ? answer.body.text : (answer.body.object.body as ReadableStream)
  return new Response(body, { status: answer.status, headers: answer.headers })
}

function localStorage(url: URL, env: ServeEnv): boolean {
  return env.DOTDO_LOCAL === '1' && /^(?:127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(url.hostname)
}
