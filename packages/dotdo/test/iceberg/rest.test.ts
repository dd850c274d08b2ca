import { describe, expect, test } from 'vitest'
import { serveRest, type RestResponse } from '../../src/iceberg/rest.ts'
import type { CatalogClient } from '../../src/iceberg/ports.ts'
import { events, openLake, type Lake } from './support/lake.ts'

async function filled(): Promise<Lake> {
  const lake = openLake()
  await lake.writer().write(events(2, 10))
  await lake.writer().write(events(1, 10))
  for (const tableName of ['b', 'c', 'd']) await lake.writer({ namespace: 'deep.er', tableName, schema: { id: 'long' } }).write([])
  return lake
}

async function ask(lake: Lake, line: string, options = {}): Promise<RestResponse & { json: any }> {
  const [method, address] = line.split(' ') as [string, string]
  const url = new URL(address, 'http://x')
  const response = await serveRest({ method, path: address.split('?')[0]!, query: url.searchParams }, lake.catalog, options)
  return { ...response, json: response.body === null ? null : JSON.parse(response.body) }
}

describe('the REST catalog', () => {
  test('tells its configuration and the addresses that it serves', async () => {
    const { status, headers, json } = await ask(await filled(), 'GET /v1/config?warehouse=x', { config: { 'io-impl': 'x' } })
    expect([status, headers['content-type']]).toEqual([200, 'application/json'])
    expect(json).toMatchObject({ defaults: {}, overrides: { 'io-impl': 'x' } })
    for (const endpoint of json.endpoints) expect(endpoint).toMatch(/^(GET|HEAD) \/v1\/\{prefix\}\/namespaces/)
  })
  test('lists namespaces, those below one, and tables', async () => {
    const lake = await filled()
    expect((await ask(lake, 'GET /v1/namespaces')).json).toEqual({ namespaces: [['analytics'], ['deep']], 'next-page-token': null })
    expect((await ask(lake, 'GET /v1/namespaces?parent=deep')).json.namespaces).toEqual([['deep', 'er']])
    expect((await ask(lake, 'GET /v1/namespaces/deep%1Fer/tables')).json).toEqual({
      identifiers: ['b', 'c', 'd'].map((name) => ({ namespace: ['deep', 'er'], name })),
      'next-page-token': null,
    })
    expect((await ask(lake, 'GET /v1/namespaces/deep%1Fer')).json).toEqual({ namespace: ['deep', 'er'], properties: {} })
    expect((await ask(lake, 'HEAD /v1/namespaces/deep%1Fer')).status).toBe(204)
  })
  test('loads a table: its file, its metadata, and how its files are reached', async () => {
    const lake = await filled()
    const { status, json } = await ask(lake, 'GET /v1/namespaces/analytics/tables/events', {
      tableConfig: { 's3.endpoint': 'http://127.0.0.1:1', 's3.path-style-access': 'true' },
    })
    const table = (await lake.catalog.loadTable({ namespace: ['analytics'], name: 'events' }))!
    expect(status).toBe(200)
    expect(json).toEqual({
      'metadata-location': table.metadataLocation,
      metadata: table.metadata,
      config: { 's3.endpoint': 'http://127.0.0.1:1/', 's3.path-style-access': 'true' },
    })
    expect(await ask(lake, 'HEAD /v1/namespaces/analytics/tables/events')).toMatchObject({ status: 204, body: null })
    const refs = await ask(lake, 'GET /v1/namespaces/analytics/tables/events?snapshots=refs')
    expect(refs.json.metadata.snapshots.map((it: any) => it['snapshot-id'])).toEqual([table.metadata['current-snapshot-id']])
  })
  test.each([
    ['GET /v1/namespaces/none', 404, 'NoSuchNamespaceException'],
    ['GET /v1/namespaces?parent=none', 404, 'NoSuchNamespaceException'],
    ['GET /v1/namespaces/none/tables', 404, 'NoSuchNamespaceException'],
    ['GET /v1/namespaces/analytics/tables/none', 404, 'NoSuchTableException'],
    ['GET /v2/config', 404, 'NotFoundException'],
    ['GET /v1/nothing', 404, 'NotFoundException'],
    ['GET /v1/namespaces/analytics/tables/events/x/y', 404, 'NotFoundException'],
    ['GET /v1/namespaces/%ff', 400, 'BadRequestException'],
    ['GET /v1/namespaces?pageToken=&pageSize=x', 400, 'BadRequestException'],
    ['POST /v1/namespaces', 501, 'UnsupportedOperationException'],
    ['POST /v1/namespaces/analytics/tables', 501, 'UnsupportedOperationException'],
    ['POST /v1/namespaces/analytics/tables/events', 501, 'UnsupportedOperationException'],
    ['DELETE /v1/namespaces/analytics/tables/events', 501, 'UnsupportedOperationException'],
    ['POST /v1/tables/rename', 501, 'UnsupportedOperationException'],
    ['POST /v1/transactions/commit', 501, 'UnsupportedOperationException'],
    ['PUT /v1/namespaces', 405, 'UnsupportedOperationException'],
    ['POST /v1/config', 405, 'UnsupportedOperationException'],
    ['HEAD /v1/namespaces/analytics/tables', 405, 'UnsupportedOperationException'],
  ])('%s is answered with %i %s in the form of the specification', async (line, status, type) => {
    const response = await ask(await filled(), line)
    expect(response.status).toBe(status)
    expect(response.json).toEqual({ error: { message: expect.any(String), type, code: status } })
  })
  test('a HEAD of what is not there is 404 without a body', async () => {
    const lake = await filled()
    for (const path of ['/v1/namespaces/none', '/v1/namespaces/analytics/tables/none'])
      expect(await ask(lake, `HEAD ${path}`)).toMatchObject({ status: 404, body: null })
  })
  test('pages give every name once, also when names come and go between them', async () => {
    const lake = await filled()
    const names: string[] = []
    let token: string | null = ''
    for (let page = 0; token !== null && page < 10; page++) {
      const { json }: { json: any } = await ask(
        lake,
        `GET /v1/namespaces/deep%1Fer/tables?pageSize=1&pageToken=${encodeURIComponent(token)}`,
      )
      expect(json.identifiers.length).toBe(1)
      names.push(json.identifiers[0].name)
      token = json['next-page-token']
      if (page === 0) await lake.catalog.dropTable({ namespace: ['deep', 'er'], name: 'b' })
    }
    expect(names).toEqual(['b', 'c', 'd'])
  })
  test('reports of scans are taken', async () => {
    expect(await ask(await filled(), 'POST /v1/namespaces/analytics/tables/events/metrics')).toMatchObject({ status: 204, body: null })
  })
  test('a failing catalog is a 500 in the form of the specification, without the inside of the error', async () => {
    const broken = new Proxy({} as CatalogClient, {
      get: () => async () => {
        throw new Error('s3://secret-bucket is gone')
      },
    })
    const response = await serveRest({ method: 'GET', path: '/v1/namespaces', query: new URLSearchParams() }, broken)
    expect(response.status).toBe(500)
    expect(response.body).not.toContain('secret-bucket')
    expect(JSON.parse(response.body!)).toMatchObject({ error: { code: 500, type: 'InternalServerException' } })
  })
})
