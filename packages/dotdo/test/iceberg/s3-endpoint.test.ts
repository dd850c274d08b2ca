import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { serveS3, type S3Response } from '../../src/iceberg/s3-endpoint.ts'
import { MemoryBucket } from './support/memory-bucket.ts'

const bytes = Uint8Array.from({ length: 100 }, (_, i) => i)

async function bucketOf(...keys: string[]): Promise<MemoryBucket> {
  const bucket = new MemoryBucket()
  for (const key of keys) await bucket.put(key, bytes)
  return bucket
}

async function ask(
  bucket: MemoryBucket,
  line: string,
  headers: Record<string, string> = {},
): Promise<S3Response & { text: string; bytes: Uint8Array }> {
  const [method, address] = line.split(' ') as [string, string]
  const url = new URL(address, 'http://x')
  const response = await serveS3({ method, path: address.split('?')[0]!, query: url.searchParams, headers }, { lake: bucket })
  const object = response.body && 'object' in response.body ? new Uint8Array(await response.body.object.arrayBuffer()) : new Uint8Array()
  return { ...response, text: response.body && 'text' in response.body ? response.body.text : '', bytes: object }
}

function all(text: string, tag: string): string[] {
  return [...text.matchAll(new RegExp(`<${tag}>([^<]*)</${tag}>`, 'g'))].map((it) => it[1]!)
}

describe('objects', () => {
  test('are read whole, with their length and entity tag', async () => {
    const bucket = await bucketOf('a/b c.bin')
    const { etag } = (await bucket.head('a/b c.bin'))!
    const response = await ask(bucket, 'GET /lake/a/b%20c.bin')
    expect(response.status).toBe(200)
    expect(response.bytes).toEqual(bytes)
    expect(response.headers).toMatchObject({
      'content-length': '100',
      etag: `"${etag}"`,
      'accept-ranges': 'bytes',
      'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT',
    })
    expect(await ask(bucket, 'HEAD /lake/a/b%20c.bin')).toMatchObject({ status: 200, headers: { 'content-length': '100' }, body: null })
  })
  test('any range gives the bytes that a slice gives', async () => {
    const bucket = await bucketOf('k')
    await fc.assert(
      fc.asyncProperty(fc.nat(130), fc.nat(130), fc.constantFrom('first-last', 'first-', '-suffix'), async (a, b, form) => {
        const range = form === 'first-last' ? `bytes=${a}-${a + b}` : form === 'first-' ? `bytes=${a}-` : `bytes=-${b}`
        const expected =
          form === 'first-last'
            ? bytes.slice(a, a + b + 1)
            : form === 'first-'
              ? bytes.slice(a)
              : b === 0
                ? new Uint8Array()
                : bytes.slice(-b)
        const response = await ask(bucket, 'GET /lake/k', { range })
        const head = await ask(bucket, 'HEAD /lake/k', { range })
        if (expected.length === 0) {
          expect([response.status, head.status]).toEqual([416, 416])
          expect(response.text).toContain('<Code>InvalidRange</Code>')
          return
        }
        const start = form === '-suffix' ? 100 - expected.length : a
        expect([response.status, head.status]).toEqual([206, 206])
        expect(response.bytes).toEqual(expected)
        expect(response.headers).toMatchObject({
          'content-length': String(expected.length),
          'content-range': `bytes ${start}-${start + expected.length - 1}/100`,
        })
        expect(head.headers).toEqual(response.headers)
      }),
    )
  })
  test.each(['bytes=5-2', 'bytes=-', 'bytes=0-1,4-5', 'lines=1-2', 'bytes=a-b'])(
    'the range %s is ignored, as HTTP allows',
    async (range) => {
      const response = await ask(await bucketOf('k'), 'GET /lake/k', { range })
      expect([response.status, response.bytes.length]).toEqual([200, 100])
    },
  )
  test('conditions hold or are told', async () => {
    const bucket = await bucketOf('k')
    const { etag } = (await bucket.head('k'))!
    expect((await ask(bucket, 'GET /lake/k', { 'if-match': `"${etag}"` })).status).toBe(200)
    expect((await ask(bucket, 'GET /lake/k', { 'if-match': '"other"' })).status).toBe(412)
    expect((await ask(bucket, 'GET /lake/k', { 'if-none-match': `"${etag}"` })).status).toBe(304)
  })
  test.each([
    ['GET /lake/none', 404, 'NoSuchKey'],
    ['GET /other/k', 404, 'NoSuchBucket'],
    ['GET /constructor/k', 404, 'NoSuchBucket'],
    ['GET /', 501, 'NotImplemented'],
    ['GET /lake/k?versionId=1', 501, 'NotImplemented'],
    ['GET /lake?acl', 501, 'NotImplemented'],
    ['GET /lake', 501, 'NotImplemented'],
    ['GET /lake/%ff', 400, 'InvalidURI'],
    ['GET /lake?list-type=2&max-keys=x', 400, 'InvalidArgument'],
    ['PUT /lake/k', 405, 'MethodNotAllowed'],
    ['DELETE /lake/k', 405, 'MethodNotAllowed'],
    ['POST /lake?delete', 405, 'MethodNotAllowed'],
  ])('%s is answered with %i %s', async (line, status, code) => {
    const bucket = await bucketOf('k')
    const response = await ask(bucket, line)
    expect(response.status).toBe(status)
    expect(response.headers['content-type']).toBe('application/xml')
    expect(response.text).toContain(`<Code>${code}</Code>`)
    expect(bucket.objects.size).toBe(1)
  })
  test('a HEAD of what is not there has a status and no body', async () => {
    expect(await ask(await bucketOf('k'), 'HEAD /lake/none')).toMatchObject({ status: 404, body: null })
    expect(await ask(await bucketOf('k'), 'HEAD /lake')).toMatchObject({ status: 200, body: null })
  })
})

describe('listings', () => {
  test('pages of any size give every key and prefix once, in order', async () => {
    const segment = fc.constantFrom('a', 'b', 'é', 'z&<', '1')
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(
          fc.array(segment, { minLength: 1, maxLength: 3 }).map((it) => it.join('/')),
          { maxLength: 20 },
        ),
        fc.integer({ min: 1, max: 5 }),
        fc.boolean(),
        fc.constantFrom('', 'a', 'a/', 'b/é'),
        async (keys, size, delimited, prefix) => {
          const bucket = await bucketOf(...keys)
          const found: string[] = []
          let token: string | undefined
          for (let page = 0; page < 100; page++) {
            const query = new URLSearchParams({
              'list-type': '2',
              'max-keys': String(size),
              prefix,
              'encoding-type': 'url',
              ...(delimited && { delimiter: '/' }),
              ...(token !== undefined && { 'continuation-token': token }),
            })
            const { text } = await ask(bucket, `GET /lake?${query.toString()}`)
            found.push(...all(text, 'Key'), ...[...text.matchAll(/<CommonPrefixes><Prefix>([^<]*)</g)].map((it) => it[1]!))
            if (all(text, 'IsTruncated')[0] === 'false') break
            token = all(text, 'NextContinuationToken')[0]!.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
          }
          const under = keys.filter((key) => key.startsWith(prefix))
          const cut = (key: string): string => {
            const end = key.indexOf('/', prefix.length)
            return delimited && end >= 0 ? key.slice(0, end + 1) : key
          }
          expect(found.map(decodeURIComponent).toSorted()).toEqual([...new Set(under.map(cut))].toSorted())
        },
      ),
    )
  })
  test('keys are escaped in XML, and encoded where that was asked for', async () => {
    const bucket = await bucketOf('a&b<c>.txt')
    expect((await ask(bucket, 'GET /lake?list-type=2')).text).toContain('<Key>a&amp;b&lt;c&gt;.txt</Key>')
    expect((await ask(bucket, 'GET /lake?list-type=2&encoding-type=url')).text).toContain('<Key>a%26b%3Cc%3E.txt</Key>')
    const control = await bucketOf('a\u0001b')
    expect((await ask(control, 'GET /lake?list-type=2')).text).toContain('<Key>a\ufffdb</Key>')
  })
  test('start-after, counts and zero keys', async () => {
    const bucket = await bucketOf('a', 'b', 'c')
    const after = await ask(bucket, 'GET /lake/?list-type=2&start-after=a')
    expect([all(after.text, 'Key'), all(after.text, 'KeyCount'), all(after.text, 'Size')]).toEqual([['b', 'c'], ['2'], ['100', '100']])
    expect(all((await ask(bucket, 'GET /lake?list-type=2&max-keys=0')).text, 'Key')).toEqual([])
  })
  test('a bucket says where it is', async () => {
    expect((await ask(await bucketOf(), 'GET /lake?location')).text).toContain('<LocationConstraint')
  })
})
