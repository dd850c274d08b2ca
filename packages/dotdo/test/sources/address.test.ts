import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { resolveAddress } from '../../src/sources/address.ts'
import type { Address } from '../../src/sources/address.ts'
import { formatOf, sniffFormat } from '../../src/sources/format.ts'
import { failureOf } from './fakes.ts'

const sources = {
  'data-lake': 'R2_BUCKET',
  lake: 'data-lake',
  users: 's3://data-lake/users/',
  people: 'users',
  humans: 'people',
  flights: 'https://example.com/flights.json?token=hush',
  me: 'me',
  ping: 'pong',
  pong: 'ping',
}
const book = { sources, bucketNames: () => ['R2_BUCKET', 'OTHER'] }
const resolve = (source: string): Address => resolveAddress(source, book)
const failure = (source: string) => failureOf(Promise.resolve().then(() => resolve(source)))

describe('an address', () => {
  it('of s3 finds its bucket by declaration, by one alias, or by the binding of that name', () => {
    for (const bucket of ['data-lake', 'lake', 'R2_BUCKET']) {
      expect(resolve(`s3://${bucket}/a/b.csv`)).toEqual({
        kind: 'object',
        binding: 'R2_BUCKET',
        key: 'a/b.csv',
        text: `s3://${bucket}/a/b.csv`,
      })
    }
    expect(resolve('S3://OTHER/x')).toMatchObject({ binding: 'OTHER', key: 'x' })
  })

  it('of r2 names a binding and nothing else', async () => {
    expect(resolve('r2://R2_BUCKET/p/')).toMatchObject({ kind: 'prefix', binding: 'R2_BUCKET', prefix: 'p/' })
    expect(await failure('r2://data-lake/p/')).toMatchObject({ code: 'BUCKET_UNKNOWN', retryable: false })
  })

  it('is a prefix with a trailing slash, the whole bucket included, and an object without', () => {
    expect(resolve('s3://lake/')).toMatchObject({ kind: 'prefix', prefix: '' })
    expect(resolve('s3://lake/a/')).toMatchObject({ kind: 'prefix', prefix: 'a/' })
    expect(resolve('s3://lake/a')).toMatchObject({ kind: 'object', key: 'a' })
  })

  it('takes any key literally', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (key) => {
        const address = resolve(`s3://lake/${key}`)
        expect(address.kind === 'object' ? address.key : address.kind === 'prefix' ? address.prefix : undefined).toBe(key)
        expect(address.kind).toBe(key.endsWith('/') ? 'prefix' : 'object')
      }),
    )
    expect(resolve('s3://lake/a%20b?c#d')).toMatchObject({ key: 'a%20b?c#d' })
  })

  it('may be a declared name, or one alias of it', () => {
    for (const name of ['users', 'people']) {
      expect(resolve(name)).toEqual({ kind: 'prefix', binding: 'R2_BUCKET', prefix: 'users/', text: 's3://data-lake/users/' })
    }
  })

  it('over HTTP shows no query, which may be a signature', () => {
    expect(resolve('flights')).toEqual({
      kind: 'http',
      url: 'https://example.com/flights.json?token=hush',
      text: 'https://example.com/flights.json?…',
    })
  })

  it('with a password in it is refused, and the password is not repeated', async () => {
    const refused = await failure('https://me:hush@example.com/x?sig=hush')
    expect(refused).toMatchObject({ code: 'ADDRESS_INVALID' })
    expect(refused.message + JSON.stringify(refused.data)).not.toContain('hush')
  })

  it('that is not known is refused with the names that are', async () => {
    expect(await failure('nope')).toMatchObject({
      code: 'SOURCE_UNKNOWN',
      message: expect.stringContaining("'users', 'people', 'flights'"),
    })
    expect(await failure('constructor')).toMatchObject({ code: 'SOURCE_UNKNOWN' })
    expect(await failure('s3://nope/x')).toMatchObject({ code: 'BUCKET_UNKNOWN', data: { known: ['data-lake', 'R2_BUCKET', 'OTHER'] } })
    expect(await failure('s3://users/x')).toMatchObject({ code: 'BUCKET_UNKNOWN', message: expect.stringContaining("extract('users')") })
    expect(await failure('gs://b/x')).toMatchObject({ code: 'SCHEME_UNKNOWN', data: { scheme: 'gs' } })
    const empty = { bucketNames: () => [] }
    expect(() => resolveAddress('x', empty)).toThrow('none are declared')
  })

  it('that names a bucket and nothing in it is refused', async () => {
    for (const source of ['s3://lake', 's3:///x', 'lake', 'data-lake', 'https://'])
      expect(await failure(source)).toMatchObject({ code: 'ADDRESS_INVALID' })
  })

  it('of an alias of an alias, or of a cycle, is refused', async () => {
    expect(await failure('humans')).toMatchObject({
      code: 'SOURCE_DECLARATION_INVALID',
      message: expect.stringContaining('alias of an alias'),
    })
    for (const source of ['me', 'ping', 's3://pong/x']) {
      expect(await failure(source)).toMatchObject({ code: 'SOURCE_DECLARATION_INVALID', message: expect.stringContaining('cycle') })
    }
  })
})

describe('the format', () => {
  const hints = (path: string, contentType?: string) => ({ address: 'x', path, contentType })

  it('comes from the option, else from the extension, else from the content type', () => {
    expect(formatOf(hints('a/b.json'))).toBe('json')
    expect(formatOf(hints('b.ndjson.gz'))).toBe('ndjson')
    expect(formatOf(hints('b.JSONL'))).toBe('ndjson')
    expect(formatOf(hints('b.csv.gz', 'application/json'))).toBe('csv')
    expect(formatOf(hints('v1.0/b', 'Text/CSV; charset=utf-8'))).toBe('csv')
    expect(formatOf(hints('b.parquet'), 'csv')).toBe('csv')
    expect(formatOf(hints('b', 'text/plain'))).toBeUndefined()
  })

  it('of a table file that is not read here is refused at once', () => {
    expect(() => formatOf(hints('b.parquet'))).toThrow("'.parquet'")
    expect(() => formatOf(hints('b'), 'xml' as 'csv')).toThrow('does not exist')
  })

  it('is told by the first bytes for JSON and NDJSON alone', () => {
    const sniff = (text: string): string => sniffFormat(hints('b'), new TextEncoder().encode(text))
    expect(sniff('\ufeff \n[1')).toBe('json')
    expect(sniff('{"a":1}\n{"a"')).toBe('ndjson')
    expect(sniff('{"a":1')).toBe('ndjson')
    expect(sniff('{\n  "a": 1')).toBe('json')
    expect(() => sniff('a,b\n')).toThrow('begins with')
    expect(() => sniff('')).toThrow('is empty')
  })
})
