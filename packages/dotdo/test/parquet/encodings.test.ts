import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { ByteWriter } from '../../src/parquet/bytes.ts'
import { bitsOf, MAX_SPREAD_INT64, readDelta, writeDelta } from '../../src/parquet/delta.ts'
import { readHybrid, writeHybrid } from '../../src/parquet/hybrid.ts'
import { readStruct } from '../../src/parquet/thrift-reader.ts'
import { StructWriter } from '../../src/parquet/thrift.ts'

describe('hybrid runs', () => {
  const runs = fc
    .integer({ min: 1, max: 15 })
    .chain((width) =>
      fc.tuple(
        fc.constant(width),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 2 ** width - 1 }), fc.integer({ min: 1, max: 30 })), { maxLength: 60 }),
      ),
    )

  test('come back as they were, whatever lies in front', () => {
    fc.assert(
      fc.property(runs, fc.integer({ min: 0, max: 5 }), ([width, parts], skip) => {
        const values = Uint16Array.from(parts.flatMap(([value, times]) => Array.from({ length: times }, () => value)))
        const from = Math.min(skip, values.length)
        const out = new ByteWriter(1)
        out.u8(0xaa)
        writeHybrid(out, values, from, values.length, width)
        const back = new Uint32Array(values.length - from)
        expect(readHybrid(out.bytes, 1, out.length, width, back.length, back)).toBe(out.length)
        expect([...back]).toEqual([...values.subarray(from)])
      }),
      { numRuns: 1000 },
    )
  })

  test('of equal values take a few bytes', () => {
    const out = new ByteWriter()
    writeHybrid(out, new Uint8Array(100_000).fill(1), 0, 100_000, 1)
    expect(out.length).toBe(4)
  })

  test('that are damaged end in an error', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 30 }),
        fc.integer({ min: 0, max: 40 }),
        fc.integer({ min: 0, max: 1000 }),
        (bytes, width, count) => {
          try {
            expect(readHybrid(bytes, 0, bytes.length, width, count, new Uint32Array(count))).toBeLessThanOrEqual(bytes.length)
          } catch (error) {
            expect(error).toMatchObject({ code: 'PARQUET_MALFORMED' })
          }
        },
      ),
      { numRuns: 2000 },
    )
  })
})

describe('differences', () => {
  test('come back as they were, up to the spread that is allowed', () => {
    const page = fc.tuple(fc.integer({ min: 0, max: 52 }), fc.maxSafeInteger()).chain(([bits, base]) => {
      const spread = Math.min(2 ** bits, MAX_SPREAD_INT64)
      const min = Math.max(Number.MIN_SAFE_INTEGER, Math.min(base, Number.MAX_SAFE_INTEGER - spread))
      return fc.array(
        fc.maxSafeNat().map((n) => min + (n % (spread + 1))),
        { maxLength: 400 },
      )
    })
    fc.assert(
      fc.property(page, (values) => {
        const out = new ByteWriter(1)
        out.u8(7)
        writeDelta(out, Float64Array.from(values), values.length)
        const back = readDelta(out.bytes, 1, out.length, values.length)
        expect([...back.values]).toEqual(values)
        expect(back.end).toBe(out.length)
      }),
      { numRuns: 1000 },
    )
  })

  test('hold the widest spread', () => {
    const values = Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? -(2 ** 51) : 2 ** 51))
    const out = new ByteWriter()
    writeDelta(out, Float64Array.from(values), values.length)
    expect([...readDelta(out.bytes, 0, out.length, 300).values]).toEqual(values)
  })

  test('take the bits of the largest', () => {
    expect([0, 1, 2, 255, 256, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53].map(bitsOf)).toEqual([0, 1, 2, 8, 9, 32, 33, 53, 54])
    const steady = new ByteWriter()
    writeDelta(
      steady,
      Float64Array.from({ length: 10_000 }, (_, i) => 1e15 + i * 1000),
      10_000,
    )
    expect(steady.length).toBeLessThan(700)
  })

  test('that are damaged end in an error', () => {
    const out = new ByteWriter()
    writeDelta(
      out,
      Int32Array.from({ length: 300 }, (_, i) => (i * 7919) % 1000),
      300,
    )
    const sound = out.copy()
    fc.assert(
      fc.property(fc.nat({ max: sound.length - 1 }), fc.nat({ max: 255 }), fc.nat({ max: sound.length }), (at, byte, length) => {
        const bytes = sound.slice(0, length)
        if (at < length) bytes[at] = byte
        try {
          expect(readDelta(bytes, 0, bytes.length, 300).values).toHaveLength(300)
        } catch (error) {
          expect(['PARQUET_MALFORMED', 'PARQUET_UNSUPPORTED']).toContain((error as { code: string }).code)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('headers', () => {
  test('give every number back exactly', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.integer(), (long, int) => {
        const out = new ByteWriter(1)
        const fields = new StructWriter(out)
        fields.i64(1, long)
        fields.i32(40, int)
        fields.end()
        const { struct, end } = readStruct(out.bytes, 0)
        expect([struct.number(1, 'a') + 0, struct.number(40, 'b') + 0, end]).toEqual([long + 0, int + 0, out.length])
      }),
      { numRuns: 1000 },
    )
  })

  test('nest, list and tell a missing field by its name', () => {
    const out = new ByteWriter()
    const fields = new StructWriter(out)
    fields.bool(1, true)
    fields.i8(2, 5)
    fields.i16(3, -300)
    fields.structs(
      4,
      Array.from({ length: 20 }, (_, i) => i),
      (it, i) => {
        it.i32(2, i)
        it.struct(3, (inner) => inner.text(1, `ü${i}`))
      },
    )
    fields.texts(5, ['a', 'b'])
    fields.i32s(6, [1, -1])
    fields.end()
    const { struct } = readStruct(out.bytes, 0)
    expect([struct.flag(1, ''), struct.number(2, ''), struct.number(3, '')]).toEqual([true, 5, -300])
    expect(struct.structs(4, '').map((it) => [it.number(2, ''), it.struct(3, '').text(1, '')])).toEqual(
      Array.from({ length: 20 }, (_, i) => [i, `ü${i}`]),
    )
    expect([struct.texts(5, ''), struct.numbers(6, '')]).toEqual([
      ['a', 'b'],
      [1, -1],
    ])
    expect(() => struct.number(9, 'the ninth field')).toThrow(/the ninth field/)
    expect(() => struct.count(3, 'the third field', 10)).toThrow(/the third field is -300, outside of 0 to 10/)
  })

  test('that are noise end in an error, in time that follows their length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          readStruct(bytes, 0)
        } catch (error) {
          expect(error).toMatchObject({ code: 'PARQUET_MALFORMED' })
        }
      }),
      { numRuns: 5000 },
    )
    // A million structs, one in the other.
    expect(() => readStruct(new Uint8Array(1e6).fill(0x1c), 0)).toThrow(/nests deeper/)
    // A list that claims four billion items.
    expect(() => readStruct(Uint8Array.of(0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f), 0)).toThrow(/claims 4294967295 items/)
  })
})
