// Every way in which a source can be wrong, with what its error says to a program (code, data, whether to try again) and to a person (what
// failed, with which values, what to do next).
import { describe, expect, it } from 'vitest'
import { resolveAddress, schemeOf } from '../../src/sources/address.ts'
import { createExtract } from '../../src/sources/extract.ts'
import type { ExtractOptions } from '../../src/sources/extract.ts'
import { httpFailure, unavailable } from '../../src/sources/failures.ts'
import { contentTypeOf, formatOf, sniffFormat } from '../../src/sources/format.ts'
import { DEFAULT_LIMITS, readLimits } from '../../src/sources/limits.ts'
import { malformed } from '../../src/sources/malformed.ts'
import { DotdoError } from '../../src/base/errors.ts'
import { failureOf, fakeWorld, httpAnswer } from './fakes.ts'
import type { FakeWorld } from './fakes.ts'

const DECLARED = {
  lake: 'data-lake',
  users: 's3://data-lake/users/',
  people: 'users',
  humans: 'people',
  api: 'https://api.example.com/v1/users?key=hush',
  raw: 'r2://R2_BUCKET/raw.csv',
  ftp: 'ftp://example.com/x',
  loop: 'pool',
  pool: 'loop',
}

interface Case {
  source: string
  options?: ExtractOptions
  code: string
  retryable?: boolean
  data: Record<string, unknown>
  says: string
  arrange?: (world: FakeWorld) => void
}

const BUCKETS = ['data-lake', 'R2_BUCKET']

const CASES: Record<string, Case> = {
  'a name that nobody declared': {
    source: 'nobody',
    code: 'SOURCE_UNKNOWN',
    data: { source: 'nobody', known: ['users', 'people', 'api', 'raw', 'ftp'] },
    says: "No source is called 'nobody': declared are 'users', 'people', 'api', 'raw', 'ftp'. Declare it in sources, or write an address such as 's3://bucket/prefix/'.",
  },
  'a name that is nothing': { source: '', code: 'SOURCE_UNKNOWN', data: { source: '' }, says: "No source is called ''" },
  'a path without a scheme': {
    source: 'data-lake/users/',
    code: 'SOURCE_UNKNOWN',
    data: { source: 'data-lake/users/' },
    says: 'No source is called',
  },
  'an alias of an alias': {
    source: 'humans',
    code: 'SOURCE_DECLARATION_INVALID',
    data: { source: 'humans' },
    says: "sources: 'humans' -> 'people' -> 'users' -> 's3://data-lake/users/' is an alias of an alias, and one step is the limit. Let 'humans' name its address or binding directly.",
  },
  'names that go in a circle': {
    source: 'loop',
    code: 'SOURCE_DECLARATION_INVALID',
    data: { source: 'loop' },
    says: "'loop' -> 'pool' -> 'loop' -> 'pool' is a cycle",
  },
  'a bucket that goes in a circle': {
    source: 's3://loop/x',
    code: 'SOURCE_DECLARATION_INVALID',
    data: { source: 'loop' },
    says: 'is a cycle',
  },
  'a scheme that is not read': {
    source: 'gs://b/k?sig=hush',
    code: 'SCHEME_UNKNOWN',
    data: { source: 'gs://b/k?…', scheme: 'gs', known: ['s3', 'r2', 'https', 'http'] },
    says: "Cannot read 'gs://': the schemes are s3, r2, https and http.",
  },
  'a declared scheme that is not read': { source: 'ftp', code: 'SCHEME_UNKNOWN', data: { scheme: 'ftp' }, says: "Cannot read 'ftp://'" },
  'a file on a disk': { source: 'file:///etc/passwd', code: 'SCHEME_UNKNOWN', data: { scheme: 'file' }, says: 'file://' },
  'a bucket that is not bound': {
    source: 's3://nope/x.json',
    code: 'BUCKET_UNKNOWN',
    data: { source: 's3://nope/x.json', bucket: 'nope', binding: 'nope', known: BUCKETS },
    says: "Cannot read 's3://nope/x.json': no bucket is bound as 'nope'; the app has 'data-lake', 'R2_BUCKET'. Add the binding, or map it in sources.",
  },
  'a declared name where r2 wants a binding': {
    source: 'r2://data-lake/x',
    code: 'BUCKET_UNKNOWN',
    data: { binding: 'data-lake' },
    says: 'no bucket is bound',
  },
  'a named source in place of a bucket': {
    source: 's3://users/x',
    code: 'BUCKET_UNKNOWN',
    data: { bucket: 'users', known: BUCKETS },
    says: "'users' is a named source, not a bucket. Write extract('users').",
  },
  'a binding that is listed and is no bucket': {
    source: 's3://data-lake/x.json',
    code: 'BUCKET_UNKNOWN',
    data: { source: 's3://data-lake/x.json', binding: 'R2_BUCKET', known: ['R2_BUCKET'] },
    says: 'is listed but is no bucket',
    arrange: ({ ports }) => void (ports.bucket = () => undefined),
  },
  'a bucket and nothing in it': {
    source: 's3://data-lake',
    code: 'ADDRESS_INVALID',
    data: { source: 's3://data-lake' },
    says: "'s3://data-lake' names a bucket but nothing in it. Write 's3://data-lake/' for all of it, or 's3://data-lake/key' for one object.",
  },
  'the name of a bucket alone': { source: 'lake', code: 'ADDRESS_INVALID', data: { source: 'lake' }, says: "Write 's3://lake/prefix/'" },
  'no bucket': {
    source: 'r2:///key',
    code: 'ADDRESS_INVALID',
    data: { source: 'r2:///key' },
    says: "has no bucket. Write 'r2://bucket/key'",
  },
  'a URL that is none': {
    source: 'https://exa mple.com/?q=hush',
    code: 'ADDRESS_INVALID',
    data: { source: 'https://exa mple.com/?…' },
    says: 'is not a URL',
  },
  'a password in a URL': {
    source: 'https://me:hush@example.com/x',
    code: 'ADDRESS_INVALID',
    data: { source: 'https://…@example.com/x' },
    says: 'carries a password in its address. Pass { headers: { authorization: … } } instead.',
  },
  'a user in a URL': { source: 'http://hush@example.com/', code: 'ADDRESS_INVALID', data: {}, says: 'carries a password' },
  'an object that is not there': {
    source: 's3://data-lake/none.json',
    code: 'SOURCE_NOT_FOUND',
    data: { source: 's3://data-lake/none.json', status: 404 },
    says: 's3://data-lake/none.json: there is no such object (status 404). Check the address and that it was written.',
  },
  'a prefix with nothing below it': {
    source: 's3://lake/none/',
    code: 'SOURCE_NOT_FOUND',
    data: { source: 's3://lake/none/', status: 404 },
    says: 'nothing lies below it',
  },
  'a store that fails': {
    source: 's3://data-lake/a.json',
    code: 'SOURCE_UNAVAILABLE',
    retryable: true,
    data: { source: 's3://data-lake/a.json' },
    says: 's3://data-lake/a.json: the object could not be opened (internal error 10001). It may work when tried again.',
    arrange: ({ bucket }) => void (bucket.failGet = new Error('internal error 10001')),
  },
  'a listing that fails': {
    source: 's3://data-lake/p/',
    code: 'SOURCE_UNAVAILABLE',
    retryable: true,
    data: { source: 's3://data-lake/p/' },
    says: 'the keys could not be listed (slow down)',
    arrange: ({ bucket }) => void (bucket.list = () => Promise.reject(new Error('slow down'))),
  },
  'a server that does not answer': {
    source: 'api',
    code: 'SOURCE_UNAVAILABLE',
    retryable: true,
    data: { source: 'https://api.example.com/v1/users?…' },
    says: 'no answer came (no route)',
    arrange: (world) => void (world.answer = () => Promise.reject(new TypeError('no route'))),
  },
  'a table file': {
    source: 's3://data-lake/t.parquet',
    code: 'FORMAT_UNKNOWN',
    data: { source: 's3://data-lake/t.parquet', formats: ['json', 'ndjson', 'csv'] },
    says: "Cannot tell how s3://data-lake/t.parquet is written: it ends in '.parquet'. Pass { format: 'json' | 'ndjson' | 'csv' }; gzip is found by itself.",
  },
  'a text that nothing tells of': {
    source: 's3://data-lake/t',
    code: 'FORMAT_UNKNOWN',
    data: { source: 's3://data-lake/t' },
    says: 'and it begins with "a,b\\n1,2\\n"',
  },
  'a format that does not exist': {
    source: 's3://data-lake/a.json',
    options: { format: 'xml' as 'csv' },
    code: 'OPTION_INVALID',
    data: { option: 'format', value: 'xml' },
    says: "{ format: \"xml\" } does not exist: there are 'json', 'ndjson' and 'csv'.",
  },
  'a record above the limit': {
    source: 's3://data-lake/a.json',
    options: { maxRecordBytes: 10 },
    code: 'SOURCE_TOO_LARGE',
    data: { source: 's3://data-lake/a.json', bytePosition: 1, limit: 'maxRecordBytes', limitBytes: 10 },
    says: 's3://data-lake/a.json, byte 1: one record is longer than 10 bytes. Raise { maxRecordBytes }, or check that { format } is right.',
    arrange: ({ bucket }) => void (bucket.chunkBytes = 12),
  },
  'more rows than are awaited': {
    source: 's3://data-lake/a.json',
    options: { maxAwaitedBytes: 10 },
    code: 'SOURCE_TOO_LARGE',
    data: { source: 's3://data-lake/a.json', limit: 'maxAwaitedBytes', limitBytes: 10 },
    says: 'more than 10 bytes of rows would be held in memory. Iterate over extract(…).batches(), or raise { maxAwaitedBytes }.',
  },
}

describe('a source that cannot be read', () => {
  it.each(Object.keys(CASES))('for %s says what failed, with which values, and what to do', async (name) => {
    const { source, options, code, retryable = false, data, says, arrange } = CASES[name]!
    const world = fakeWorld({ 'a.json': '[{"n":12345678901234567890}]', 't.parquet': 'PAR1', t: 'a,b\n1,2\n', 'p/1.json': '[]' }, DECLARED)
    arrange?.(world)
    const failure = await failureOf(createExtract(world.ports)(source, options))
    expect(failure).toBeInstanceOf(DotdoError)
    expect(failure).toMatchObject({ code, retryable, data, message: expect.stringContaining(says) })
    expect(failure.message + JSON.stringify(failure.data)).not.toContain('hush')
    expect(failure.message.endsWith('.')).toBe(true)
    expect(structuredClone(failure.data)).toEqual(failure.data)
    expect(world.log.openNow).toBe(0)
    // Only what was read before the limit has been told of.
    expect(world.progress).toHaveLength(options?.maxAwaitedBytes === undefined ? 0 : 1)
  })

  const names = ['batchRows', 'batchBytes', 'maxRecordBytes', 'maxAwaitedBytes'] as const
  it.each(
    names.flatMap((name) =>
      [0, -1, 1.5, NaN, Infinity, 2 ** 53, '5' as unknown as number, null as unknown as number].map((value) => [name, value] as const),
    ),
  )('for the limit { %s: %s } opens nothing and says what a limit is', async (name, value) => {
    const world = fakeWorld({ 'a.json': '[]' })
    const failure = await failureOf(createExtract(world.ports)('s3://data-lake/a.json', { [name]: value }))
    expect(failure).toMatchObject({
      code: 'OPTION_INVALID',
      data: { option: name, value },
      message: `{ ${name}: ${String(value)} } is not a whole number of at least 1.`,
    })
    expect(world.log.opened).toBe(0)
  })

  it('by an HTTP status has the code of that status, for all of them', () => {
    for (let status = 100; status < 600; status++) {
      const { code, retryable, data, message } = httpFailure('https://example.com/x', status)
      const expected =
        status === 404 || status === 410
          ? 'SOURCE_NOT_FOUND'
          : status === 401 || status === 403
            ? 'SOURCE_FORBIDDEN'
            : status >= 500 || [408, 425, 429].includes(status)
              ? 'SOURCE_UNAVAILABLE'
              : 'SOURCE_REFUSED'
      expect([code, retryable, data]).toEqual([expected, expected === 'SOURCE_UNAVAILABLE', { source: 'https://example.com/x', status }])
      expect(message).toContain(`status ${status}`)
    }
  })

  it('keeps the error of a store that has a code of its own, and the cause of one that has none', () => {
    const own = new DotdoError('QUOTA', 'over quota')
    expect(unavailable('x', 'it failed', own)).toBe(own)
    const cause = new Error('reset')
    expect(unavailable('x', 'it failed', cause)).toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      cause,
      message: 'x: it failed (reset). It may work when tried again.',
    })
    expect(unavailable('x', 'it failed', 'text')).toMatchObject({ message: 'x: it failed. It may work when tried again.' })
  })

  it('quotes the place and no more than 80 characters of what is there', () => {
    const at = (excerpt: string) => malformed('x', { bytePosition: 9, line: 2 }, 'it is wrong', excerpt)
    expect(at('').message).toBe(
      'x, line 2 (byte 9): it is wrong. Write it anew or leave it out; if it is in another format, say which: { format }.',
    )
    expect(at('a'.repeat(80)).data.excerpt).toBe('a'.repeat(80))
    expect(at('a'.repeat(81)).data.excerpt).toBe(`${'a'.repeat(80)}…`)
    expect(malformed('x', { bytePosition: 9, element: 3 }, 'it is wrong').message).toContain('element 3 (byte 9)')
    expect(malformed('x', { bytePosition: 9 }, 'it is wrong').message).toContain('x, byte 9:')
  })
})

describe('an address', () => {
  const book = { sources: { ...DECLARED, 'data-lake': 'R2_BUCKET' }, bucketNames: () => ['R2_BUCKET', 'lake-2'] }
  it.each<[string, object]>([
    ['s3://data-lake/a/b.csv', { kind: 'object', binding: 'R2_BUCKET', key: 'a/b.csv' }],
    ['s3://lake/a', { kind: 'object', binding: 'R2_BUCKET', key: 'a' }],
    ['s3://lake-2/a', { kind: 'object', binding: 'lake-2', key: 'a' }],
    ['S3://lake/a', { kind: 'object', text: 'S3://lake/a' }],
    ['R2://R2_BUCKET/a', { kind: 'object', binding: 'R2_BUCKET' }],
    ['s3://lake/', { kind: 'prefix', prefix: '' }],
    ['s3://lake//', { kind: 'prefix', prefix: '/' }],
    ['s3://lake/a//', { kind: 'prefix', prefix: 'a//' }],
    ['s3://lake//a', { kind: 'object', key: '/a' }],
    ['s3://lake/../x', { kind: 'object', key: '../x' }],
    ['s3://lake/a?b=c#d', { kind: 'object', key: 'a?b=c#d' }],
    ['s3://lake/a%2Fb', { kind: 'object', key: 'a%2Fb' }],
    ['s3://lake/s3://x/', { kind: 'prefix', prefix: 's3://x/' }],
    ['s3://lake/ ', { kind: 'object', key: ' ' }],
    ['raw', { kind: 'object', key: 'raw.csv', text: 'r2://R2_BUCKET/raw.csv' }],
    ['people', { kind: 'prefix', prefix: 'users/', text: 's3://data-lake/users/' }],
    ['api', { kind: 'http', url: 'https://api.example.com/v1/users?key=hush', text: 'https://api.example.com/v1/users?…' }],
    ['HTTPS://Example.com:443/a/../b', { kind: 'http', url: 'https://example.com/b', text: 'https://example.com/b' }],
    ['http://localhost:8080', { kind: 'http', url: 'http://localhost:8080/', text: 'http://localhost:8080/' }],
    ['https://example.com/a@b', { kind: 'http', url: 'https://example.com/a@b' }],
    ['https://example.com/?x=a@b', { kind: 'http', text: 'https://example.com/?…' }],
    ['https://example.com/a#part', { kind: 'http', text: 'https://example.com/a' }],
  ])('%s is the place it says', (source, address) => {
    expect(resolveAddress(source, book)).toMatchObject(address)
  })

  it.each<[string, string | undefined]>([
    ['s3://x', 's3'],
    ['S3+v1.0-b://', 's3+v1.0-b'],
    ['s3:/x', undefined],
    ['3s://x', undefined],
    ['://x', undefined],
    [' s3://x', undefined],
    ['a/s3://x', undefined],
  ])('%s has the scheme %s', (source, scheme) => {
    expect(schemeOf(source)).toBe(scheme)
  })
})

describe('the format', () => {
  const hints = (path: string, contentType?: string) => ({ address: 'x', path, contentType })

  it.each<[string, string | undefined, string | undefined]>([
    ['a.json', undefined, 'json'],
    ['a.JSON.GZ', undefined, 'json'],
    ['a.jsonl', undefined, 'ndjson'],
    ['a.ndjson.gz', undefined, 'ndjson'],
    ['a.csv', 'application/json', 'csv'],
    ['a.b.csv', undefined, 'csv'],
    ['.csv', undefined, 'csv'],
    ['a.csv/b', undefined, undefined],
    ['a.csv.bak', undefined, undefined],
    ['a.csv.gz.gz', undefined, undefined],
    ['csv', undefined, undefined],
    ['a.txt', 'application/json;charset=utf-8', 'json'],
    ['a', ' Text/JSON ', 'json'],
    ['a', 'application/ndjson', 'ndjson'],
    ['a', 'application/jsonl', 'ndjson'],
    ['a', 'application/x-jsonlines', 'ndjson'],
    ['a', 'application/csv', 'csv'],
    ['a', 'text/csv; header=present', 'csv'],
    ['a', 'application/octet-stream', undefined],
    ['a', 'application/geo+json', undefined],
    ['a', '', undefined],
    ['', undefined, undefined],
  ])('of the key %j with the type %j is %s', (path, contentType, format) => {
    expect(formatOf(hints(path, contentType))).toBe(format)
  })

  it.each(['parquet', 'arrow', 'feather', 'avro', 'orc', 'zst', 'zip', 'bz2', 'xz', 'xlsx', 'tsv', 'xml'])(
    '.%s is refused by its name, as gzip too, unless a format is given',
    (extension) => {
      for (const path of [`a.${extension}`, `p/a.${extension.toUpperCase()}`, `a.${extension}.gz`]) {
        expect(() => formatOf(hints(path, 'text/csv'))).toThrow(expect.objectContaining({ code: 'FORMAT_UNKNOWN' }))
        expect(formatOf(hints(path), 'csv')).toBe('csv')
      }
    },
  )

  it.each<[string, string | undefined]>([
    ['[', 'json'],
    [' \n\t[{"a":1}', 'json'],
    ['{"a":1}\n', 'ndjson'],
    ['{"a":1}\r\n{"a"', 'ndjson'],
    ['{"a":1', 'ndjson'],
    ['{\n"a":1}', 'json'],
    ['{"a":[\n1]}', 'json'],
    ['\n\n{"a":1}\n', 'ndjson'],
    ['"a"\n', undefined],
    ['1\n2\n', undefined],
    ['<html>', undefined],
    ['', undefined],
    [' \n', undefined],
  ])('of bytes that begin with %j is %s', (text, format) => {
    const sniff = (): string => sniffFormat(hints('b'), new TextEncoder().encode(text))
    if (format === undefined) expect(sniff).toThrow(expect.objectContaining({ code: 'FORMAT_UNKNOWN', retryable: false }))
    else expect(sniff()).toBe(format)
  })

  it.each([
    ['a.json', 'application/json'],
    ['A.CSV', 'text/csv'],
    ['a.jsonl', 'application/x-ndjson'],
    ['a.json.gz', 'application/gzip'],
    ['a.parquet', 'application/octet-stream'],
    ['json', 'application/octet-stream'],
    ['', 'application/octet-stream'],
  ])('of the key %j is stated as %s', (path, contentType) => {
    expect(contentTypeOf(path)).toBe(contentType)
  })
})

describe('limits', () => {
  it('are the documented ones where none are given, and undefined is none', () => {
    expect(readLimits({})).toEqual({ batchRows: 4096, batchBytes: 1_048_576, maxRecordBytes: 16_777_216, maxAwaitedBytes: 33_554_432 })
    expect(readLimits({ batchRows: 1, batchBytes: undefined } as unknown as ExtractOptions)).toEqual({ ...DEFAULT_LIMITS, batchRows: 1 })
  })
})

it('a status that is no success cancels the body it came with, and a success reads it', async () => {
  const world = fakeWorld()
  for (const status of [200, 201, 206, 299]) {
    world.answer = async () => httpAnswer(world.log, status, '[1]')
    expect(await createExtract(world.ports)('https://example.com/a.json')).toEqual([1])
  }
  for (const status of [199, 300, 301, 304]) {
    world.answer = async () => httpAnswer(world.log, status, '[1]')
    expect(await failureOf(createExtract(world.ports)('https://example.com/a.json'))).toMatchObject({ code: 'SOURCE_REFUSED' })
  }
  expect(world.log).toMatchObject({ ended: 4, cancelled: 4, openNow: 0 })
})
