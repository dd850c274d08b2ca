import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { createSchemeFetch, isBucketAddress } from '../../src/sources/fetch-scheme.ts'
import type { SchemeAnswer } from '../../src/sources/fetch-scheme.ts'
import { failureOf, fakeWorld } from './fakes.ts'

const objects = {
  'e/1.ndjson': '{"n":0}\n{"n":1}\n',
  'e/2.csv': 'n,t\n2,"a\nb"\n',
  'e/3.json.gz': new Uint8Array(gzipSync('[{"n":3},{"n":"é"}]')),
  'raw.csv': 'a,b\n1,2\n',
}

// As the adapter does it.
const response = (answer: SchemeAnswer): Response =>
  new Response(answer.body as unknown as ConstructorParameters<typeof Response>[0], { status: answer.status, headers: answer.headers })

describe('the fetch of bucket addresses', () => {
  it('answers an object with its bytes, type, length and tag', async () => {
    const { ports, log } = fakeWorld(objects)
    const answer = response(await createSchemeFetch(ports)('s3://data-lake/raw.csv'))
    expect(answer.status).toBe(200)
    expect(Object.fromEntries(answer.headers)).toEqual({ 'content-type': 'text/csv', 'content-length': '8', etag: '"tag"' })
    expect(await answer.text()).toBe(objects['raw.csv'])
    expect(log.openNow).toBe(0)
  })

  it('answers gzip as it is stored, without a claim about its encoding', async () => {
    const { ports } = fakeWorld(objects)
    const answer = response(await createSchemeFetch(ports)('r2://R2_BUCKET/e/3.json.gz'))
    expect(answer.headers.get('content-type')).toBe('application/gzip')
    expect(answer.headers.has('content-encoding')).toBe(false)
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(objects['e/3.json.gz'])
  })

  it('answers a prefix with one JSON array of all records below', async () => {
    const { ports, log } = fakeWorld(objects)
    const answer = response(await createSchemeFetch(ports)('s3://data-lake/e/'))
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(await answer.json()).toEqual([{ n: 0 }, { n: 1 }, { n: '2', t: 'a\nb' }, { n: 3 }, { n: 'é' }])
    expect(log.openNow).toBe(0)
  })

  it('answers an empty array for a prefix whose objects hold no rows', async () => {
    const { ports } = fakeWorld({ 'e/1.ndjson': '', 'e/2.json': '[ ]' })
    expect(await response(await createSchemeFetch(ports)('s3://data-lake/e/')).json()).toEqual([])
  })

  it('streams a prefix: it reads no further than it is pulled, and stops when it is cancelled', async () => {
    const { ports, log, bucket } = fakeWorld()
    for (let part = 0; part < 50; part++) bucket.put(`e/${part}.ndjson`, `{"pad":"${'x'.repeat(1000)}"}\n`.repeat(100))
    const answer = await createSchemeFetch(ports)('s3://data-lake/e/')
    const reader = answer.body?.getReader()
    await reader?.read()
    await reader?.read()
    expect(log.bytesGiven).toBeLessThan(400_000)
    await reader?.cancel()
    expect(log.openNow).toBe(0)
  })

  it('answers 404 with a reason that shows when it is taken for JSON', async () => {
    const { ports } = fakeWorld(objects)
    const fetch = createSchemeFetch(ports)
    for (const address of ['s3://data-lake/none.json', 's3://data-lake/none/']) {
      const answer = response(await fetch(address))
      expect(answer.status).toBe(404)
      expect(await answer.clone().text()).toContain(address)
      await expect(answer.json()).rejects.toThrow(SyntaxError)
    }
  })

  it('answers HEAD without a body and leaves nothing open', async () => {
    const { ports, log } = fakeWorld(objects)
    const fetch = createSchemeFetch(ports)
    expect(await fetch('s3://data-lake/raw.csv', { method: 'head' })).toMatchObject({
      status: 200,
      body: null,
      headers: { 'content-length': '8' },
    })
    expect(await fetch('s3://data-lake/e/', { method: 'HEAD' })).toMatchObject({ status: 200, body: null })
    expect(await fetch('s3://data-lake/none', { method: 'HEAD' })).toMatchObject({ status: 404, body: null })
    expect(log.openNow).toBe(0)
  })

  it('answers other methods with 405 and opens nothing', async () => {
    const { ports, log } = fakeWorld(objects)
    const answer = await createSchemeFetch(ports)('s3://data-lake/raw.csv', { method: 'PUT' })
    expect(answer).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
    expect(log.opened).toBe(0)
  })

  it('throws for what is wrong in the app or passing in the store, which no status says', async () => {
    const { ports, bucket } = fakeWorld({ ...objects, 'bad/1.ndjson': '{"n":\n' })
    const fetch = createSchemeFetch(ports)
    expect(await failureOf(fetch('s3://nope/x'))).toMatchObject({ code: 'BUCKET_UNKNOWN' })
    expect(await failureOf(fetch('https://example.com/'))).toMatchObject({ code: 'SCHEME_UNKNOWN' })
    expect(await failureOf(fetch('s3://data-lake/bad/'))).toMatchObject({ code: 'SOURCE_MALFORMED' })
    bucket.failGet = new Error('internal')
    expect(await failureOf(fetch('s3://data-lake/raw.csv'))).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true })
  })

  it('errors the body with the typed error when a later object is bad', async () => {
    const { ports, log } = fakeWorld({ 'e/1.ndjson': '{"n":0}\n'.repeat(20_000), 'e/2.ndjson': '{"n":\n' })
    const answer = response(await createSchemeFetch(ports)('s3://data-lake/e/'))
    expect(await failureOf(answer.json())).toMatchObject({ code: 'SOURCE_MALFORMED', data: { source: 's3://data-lake/e/2.ndjson' } })
    expect(log.openNow).toBe(0)
  })

  it('is for s3 and r2 alone', () => {
    expect(['s3://b/k', 'R2://b/k', 'https://b/k', 's3', ''].map(isBucketAddress)).toEqual([true, true, false, false, false])
  })
})
