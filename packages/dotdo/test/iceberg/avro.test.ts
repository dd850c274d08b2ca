import avsc from 'avsc'
import fc from 'fast-check'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { avroName, type AvroRecord, type AvroType, type AvroValue } from '../../src/iceberg/avro-schema.ts'
import { readAvro, writeAvro } from '../../src/iceberg/avro.ts'

const sync = Uint8Array.from({ length: 16 }, (_, i) => i)

/** A schema beside an arbitrary of its values. Longs stay below 2^52: above it avsc, the judge, loses their sign. */
interface Typed {
  schema: AvroType
  values: fc.Arbitrary<AvroValue>
}

const text = fc.string({ unit: 'grapheme', maxLength: 12 })
const bytes = fc.uint8Array({ maxLength: 20 })
const long = fc.integer({ min: -(2 ** 51), max: 2 ** 51 })
const leaves: Typed[] = [
  { schema: 'boolean', values: fc.boolean() },
  { schema: 'int', values: fc.integer() },
  { schema: 'long', values: long },
  { schema: 'double', values: fc.double() },
  { schema: 'float', values: fc.float() },
  { schema: 'string', values: text },
  { schema: 'bytes', values: bytes },
  { schema: ['null', 'string'], values: fc.option(text) },
  { schema: ['null', 'long'], values: fc.option(long) },
  { schema: { type: 'array', items: 'long' }, values: fc.array(long, { maxLength: 5 }) },
  { schema: { type: 'array', items: ['null', 'bytes'] }, values: fc.array(fc.option(bytes), { maxLength: 5 }) },
  {
    schema: { type: 'map', values: 'int' },
    values: fc.dictionary(
      fc.string({ maxLength: 5 }).filter((key) => key !== '__proto__'),
      fc.integer(),
      { noNullPrototype: true },
    ),
  },
]

const tables = fc.array(fc.nat(leaves.length - 1), { minLength: 1, maxLength: 6 }).chain((picks) => {
  const schema: AvroRecord = {
    type: 'record',
    name: 'row',
    fields: picks.map((pick, i) => ({ name: `f${i}`, type: leaves[pick]!.schema, 'field-id': i })),
  }
  const row = fc
    .tuple(...picks.map((pick) => leaves[pick]!.values))
    .map((values) => Object.fromEntries(values.map((value, i) => [`f${i}`, value])))
  return fc.record({ schema: fc.constant(schema), rows: fc.array(row, { maxLength: 30 }), deflate: fc.boolean() })
})

describe('Avro files', () => {
  test('another implementation reads every record that is written here', async () => {
    await fc.assert(
      fc.asyncProperty(tables, async ({ schema, rows, deflate }) => {
        const file = writeAvro(schema, rows, {
          sync,
          metadata: { hello: 'wörld' },
          ...(deflate && { deflate: (it: Uint8Array) => deflateRawSync(it) }),
        })
        expect(plain(await readByAvsc(file))).toEqual(plain(rows))
      }),
      { numRuns: 150 },
    )
  })
  test('every record that another implementation writes is read here', async () => {
    await fc.assert(
      fc.asyncProperty(tables, async ({ schema, rows, deflate }) => {
        const file = await writeByAvsc(schema, rows, deflate ? 'deflate' : 'null')
        expect(plain(readAvro(file, (it) => inflateRawSync(it)).records)).toEqual(plain(rows))
      }),
      { numRuns: 100 },
    )
  })
  test('files of several blocks come back whole, with their metadata and schema', () => {
    const schema: AvroRecord = { type: 'record', name: 'row', fields: [{ name: 'n', type: 'int', 'field-id': 7 }] }
    const rows = Array.from({ length: 2_500 }, (_, n) => ({ n }))
    const back = readAvro(writeAvro(schema, rows, { sync, metadata: { content: 'data' } }))
    expect(back.records).toEqual(rows)
    expect(back.metadata.content).toBe('data')
    expect(back.schema).toEqual(schema)
  })
  test('a long beyond 2^53 is never rounded', () => {
    const schema: AvroRecord = { type: 'record', name: 'row', fields: [{ name: 'n', type: 'long' }] }
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (n) => {
        expect(BigInt(readAvro(writeAvro(schema, [{ n }], { sync })).records.map((it) => (it as { n: bigint }).n)[0]!)).toBe(n)
      }),
    )
  })
  test.each([
    ['an int of 33 bits', 'int', 2 ** 32],
    ['an unsafe number', 'long', 2 ** 60],
    ['a text for bytes', 'bytes', 'x'],
    ['null where it is required', 'string', null],
    ['a union without null', ['string'], null],
    ['a fixed of another length', { type: 'fixed', name: 'f', size: 4 }, new Uint8Array(3)],
  ] satisfies [string, AvroType, AvroValue][])('%s is refused with its path', (_, type, value) => {
    const schema: AvroRecord = { type: 'record', name: 'row', fields: [{ name: 'field', type }] }
    expect(() => writeAvro(schema, [{ field: value }], { sync })).toThrow(
      expect.objectContaining({ code: 'AVRO_VALUE', data: expect.objectContaining({ path: 'record 0.field' }) }),
    )
  })
  test('damaged files end in a typed error or in records, never in a crash or a huge allocation', () => {
    const schema: AvroRecord = {
      type: 'record',
      name: 'row',
      fields: [
        { name: 's', type: 'string' },
        { name: 'a', type: { type: 'array', items: 'long' } },
      ],
    }
    const whole = writeAvro(
      schema,
      Array.from({ length: 20 }, (_, i) => ({ s: `text ${i}`, a: [i, -i, i * 1e12] })),
      { sync },
    )
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, flip, truncate) => {
        const damaged = truncate ? whole.slice(0, at) : whole.slice()
        if (!truncate) damaged[at]! ^= flip
        try {
          readAvro(damaged)
        } catch (thrown) {
          expect(['AVRO_MALFORMED', 'AVRO_UNSUPPORTED']).toContain((thrown as { code?: string }).code)
        }
      }),
      { numRuns: 3000 },
    )
  })
  test('an unknown codec is refused by its name', () => {
    const file = writeAvro({ type: 'record', name: 'r', fields: [] }, [], { sync, metadata: { 'avro.codec': 'snappy' } })
    expect(() => readAvro(file)).toThrow(expect.objectContaining({ code: 'AVRO_UNSUPPORTED', message: expect.stringContaining('snappy') }))
  })
  test('any name becomes one that Avro takes, and other names stay', () => {
    expect(['ts_day', 'a b', '2x', 'é'].map(avroName)).toEqual(['ts_day', 'a_x20b', '_2x', '_xE9'])
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (name) => {
        expect(avroName(name)).toMatch(/^[A-Za-z_]\w*$/)
      }),
    )
  })
})

async function readByAvsc(file: Uint8Array): Promise<unknown[]> {
  const records: unknown[] = []
  const decoder = new avsc.streams.BlockDecoder({
    codecs: {
      null: (data: Buffer, done: (e: unknown, d: Buffer) => void) => done(null, data),
      deflate: (data: Buffer, done: (e: unknown, d: Buffer) => void) => done(null, inflateRawSync(data)),
    },
  } as never)
  for await (const record of Readable.from([Buffer.from(file)]).pipe(decoder)) records.push(record)
  return records
}

async function writeByAvsc(schema: AvroRecord, rows: readonly AvroValue[], codec: string): Promise<Uint8Array> {
  const encoder = new avsc.streams.BlockEncoder(avsc.Type.forSchema(schema as never), {
    codec,
    writeHeader: true,
    blockSize: 256,
    codecs: {
      null: (data: Buffer, done: (e: unknown, d: Buffer) => void) => done(null, data),
      deflate: (data: Buffer, done: (e: unknown, d: Buffer) => void) => done(null, deflateRawSync(data)),
    },
  } as never)
  const chunks: Buffer[] = []
  encoder.on('data', (chunk: Buffer) => chunks.push(chunk))
  const ended = new Promise<void>((resolve, reject) => encoder.on('end', resolve).on('error', reject))
  for (const row of rows) encoder.write(buffers(row))
  encoder.end()
  await ended
  return new Uint8Array(Buffer.concat(chunks))
}

/** avsc wants Buffers for bytes. */
function buffers(value: AvroValue): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value)
  if (Array.isArray(value)) return value.map(buffers)
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, it]) => [key, buffers(it)]))
  return value
}

/** Bytes as arrays and classes as plain objects, so that two readers' values compare. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return ['bytes', ...value]
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, it]) => [key, plain(it)]))
  return value
}
