import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { CatalogClient, ObjectStore } from '../../../src/iceberg/ports.ts'
import { serveRest } from '../../../src/iceberg/rest.ts'
import { serveS3 } from '../../../src/iceberg/s3-endpoint.ts'

/** A catalog and a bucket over HTTP on loopback, as the adapter serves them. */
export interface LakeServer extends AsyncDisposable {
  origin: string
  /** Requests as `GET /path`. */
  requests: string[]
}

export async function serveLake(catalog: CatalogClient, bucket: ObjectStore): Promise<LakeServer> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://127.0.0.1')
    requests.push(`${request.method} ${request.url}`)
    const method = request.method!
    const answer = async (): Promise<void> => {
      if (url.pathname.startsWith('/v1')) {
        const { status, headers, body } = await serveRest({ method, path: url.pathname, query: url.searchParams }, catalog, {
          tableConfig: { 's3.endpoint': origin, 's3.path-style-access': 'true' },
        })
        response.writeHead(status, headers).end(body)
        return
      }
      const { status, headers, body } = await serveS3(
        { method, path: url.pathname, query: url.searchParams, headers: request.headers as Record<string, string | undefined> },
        { lake: bucket },
      )
      response
        .writeHead(status, headers)
        .end(body === null ? undefined : 'text' in body ? body.text : Buffer.from(await body.object.arrayBuffer()))
    }
    answer().catch((thrown: unknown) => response.writeHead(500).end(String(thrown)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    origin,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
