import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { decodeFooter, MAX_FOOTER_BYTES, readFooter } from '../../src/parquet/footer-reader.ts'
import { encodeFooter, type ChunkMeta, type FileMeta, type RowGroupMeta } from '../../src/parquet/footer.ts'
import { readParquet } from '../../src/parquet/reader.ts'
import { column, decompress, EVERY_COLUMN, readBack, source, TYPES, write } from './support.ts'

const rows = Array.from({ length: 100 }, (_, i) => ({
  boolean: i % 3 === 0,
  int: i,
  long: i % 10 === 0 ? 2n ** 60n : i,
  float: i / 2,
  double: i / 7,
  date: i,
  timestamp: i * 1000,
  timestamptz: i * 1000 + 0.5,
  string: i % 4 === 0 ? null : `größe ${i % 5}`,
  json: { i },
  binary: Uint8Array.of(i, i),
  uuid: `123e4567-e89b-12d3-a456-${String(i).padStart(12, '0')}`,
}))

describe('reading', () => {
  test('fetches the wanted columns alone, and those that lie together at once', async () => {
    const columns = ['a', 'b', 'c'].map((name, i) => column(name, 'string', true, i))
    // Texts that do not compress, so that each chunk is wider than the gap that is read along.
    const noise = Array.from({ length: 4000 }, (_, i) => ({ a: `${i}a`.repeat(20), b: `${i}b`.repeat(20), c: `${i}c`.repeat(20) }))
    const { bytes } = write(columns, noise, { codec: 'uncompressed' })
    const file = source(bytes)
    const read = []
    for await (const batch of readParquet(file, { columns: ['a', 'c'] })) read.push(...batch)
    expect(read).toEqual(noise.map(({ a, c }) => ({ a, c })))
    expect(file.reads).toHaveLength(3)
    const all = source(bytes)
    for await (const batch of readParquet(all, {})) expect(batch.length).toBeGreaterThan(0)
    expect(all.reads).toHaveLength(2)
  })

  test('gives batches no larger than asked, and stops with its caller', async () => {
    const { bytes } = write([column('int', 'int')], rows, { rowGroupRows: 40 })
    const file = source(bytes)
    const sizes: number[] = []
    for await (const batch of readParquet(file, { decompress, batchRows: 15 })) sizes.push(batch.length)
    expect(sizes).toEqual([15, 15, 10, 15, 15, 10, 15, 5])
    const stopped = source(bytes)
    for await (const batch of readParquet(stopped, { decompress })) {
      expect(batch).toHaveLength(40)
      break
    }
    // The footer and one row group of three.
    expect(stopped.reads).toHaveLength(2)
  })

  test('gives Dates and JSON values where they are asked for', async () => {
    const { bytes } = write(EVERY_COLUMN, [rows[3]!, {}])
    const [first, second] = await readBack(bytes, {
      temporal: 'Date',
      json: ['json'],
      columns: ['date', 'timestamp', 'timestamptz', 'json'],
    })
    expect(first).toEqual({ date: new Date('1970-01-04'), timestamp: new Date(3000), timestamptz: new Date(3000), json: { i: 3 } })
    expect(second).toEqual({ date: null, timestamp: null, timestamptz: null, json: null })
    await expect(readBack(bytes, { json: ['uuid'] })).rejects.toMatchObject({ code: 'INVALID_VALUE', data: { column: 'uuid', row: 1 } })
  })

  test('tells which columns there are when one is not', async () => {
    const { bytes } = write([column('a', 'int'), column('b', 'int', false, 2)], [])
    await expect(readBack(bytes, { columns: ['a', 'z'] })).rejects.toThrow('The file has no column "z". It has a, b.')
  })

  test('reads the footer: columns, field ids, counts, statistics, metadata', async () => {
    const { bytes, info } = write(EVERY_COLUMN, rows, { rowGroupRows: 60, metadata: { 'iceberg.schema': '{"ü":1}', __proto__: 'x' } })
    const footer = await readFooter(source(bytes))
    // JSON is a string to everyone but its writer.
    expect(footer.columns).toEqual(EVERY_COLUMN.map((it) => (it.type === 'json' ? { ...it, type: 'string' } : it)))
    expect(footer).toMatchObject({ rows: 100, metadata: { 'iceberg.schema': '{"ü":1}' }, createdBy: 'dotdo version 1 (build 1)' })
    expect(footer.rowGroups.map((group) => [group.rows, group.offset])).toEqual([
      [60, info.splitOffsets[0]],
      [40, info.splitOffsets[1]],
    ])
    expect(footer.rowGroups[0]!.chunks[8]!.statistics!.nullCount).toBe(15)
    expect(info.columns.map((it) => it.sizeBytes)).toEqual(
      TYPES.map((_, i) => footer.rowGroups.reduce((sum, group) => sum + group.chunks[i]!.compressedBytes, 0)),
    )
  })

  test('reads a footer that is longer than the first read', async () => {
    const { bytes } = write([column('a', 'int')], [{ a: 1 }], { metadata: { long: 'x'.repeat(100_000) } })
    const file = source(bytes)
    expect((await readFooter(file)).metadata.long).toHaveLength(100_000)
    expect(file.reads).toHaveLength(2)
  })
})

describe('a damaged file', () => {
  const CODES = ['PARQUET_MALFORMED', 'PARQUET_UNSUPPORTED', 'PARQUET_TOO_LARGE']

  /** Reads to the end and answers the code of the error, if any. Values may be wrong: pages carry no checksum. */
  async function outcome(bytes: Uint8Array): Promise<string | undefined> {
    try {
      await readBack(bytes)
      return undefined
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === undefined) throw error
      return code
    }
  }

  test('that is cut short anywhere is told to be damaged', async () => {
    const { bytes } = write(EVERY_COLUMN, rows, { rowGroupRows: 60 })
    for (let length = 0; length < bytes.length; length += 1 + Math.floor(length / 40)) {
      expect(await outcome(bytes.subarray(0, length))).toBe('PARQUET_MALFORMED')
    }
  })

  test.each(['zstd', 'uncompressed'] as const)('with flipped bits ends with rows or a typed error, %s', async (codec) => {
    const { bytes } = write(EVERY_COLUMN, rows, { rowGroupRows: 60, codec })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
        async (flips) => {
          const damaged = bytes.slice()
          for (const [at, byte] of flips) damaged[at] = byte
          const code = await outcome(damaged)
          if (code !== undefined) expect(CODES).toContain(code)
        },
      ),
      { numRuns: 800 },
    )
  })

  test('whose every byte of the footer is flipped in turn ends with rows or a typed error', async () => {
    const { bytes } = write(EVERY_COLUMN, rows.slice(0, 5), { codec: 'uncompressed' })
    const footerStart = bytes.length - 8 - new DataView(bytes.buffer).getUint32(bytes.length - 8, true)
    for (let at = footerStart; at < bytes.length; at++) {
      for (const mask of [0x01, 0x80, 0xff]) {
        const damaged = bytes.slice()
        damaged[at]! ^= mask
        const code = await outcome(damaged)
        if (code !== undefined) expect(CODES).toContain(code)
      }
    }
  })

  test('that claims more than the limits is refused before anything is allocated', async () => {
    const { bytes } = write(
      [column('a', 'int')],
      Array.from({ length: 5000 }, () => ({})),
    )
    await expect(readBack(bytes, { maxRowGroupValues: 4999 })).rejects.toMatchObject({ code: 'PARQUET_TOO_LARGE', data: { values: 5000 } })
    const wide = write([column('a', 'string')], [{ a: 'x'.repeat(5000) }])
    await expect(readBack(wide.bytes, { maxRowGroupBytes: 4999 })).rejects.toThrow(/maxRowGroupBytes/)
    const claim = new Uint8Array(MAX_FOOTER_BYTES + 100)
    claim.set([0x50, 0x41, 0x52, 0x31], claim.length - 4)
    new DataView(claim.buffer).setUint32(claim.length - 8, MAX_FOOTER_BYTES + 1, true)
    const file = source(claim)
    await expect(readFooter(file)).rejects.toMatchObject({ code: 'PARQUET_UNSUPPORTED' })
    expect(file.reads).toHaveLength(1)
  })

  test('whose footer contradicts itself is refused, contradiction by contradiction', () => {
    const chunk: ChunkMeta = {
      physical: 1,
      encodings: [0],
      name: 'a',
      codec: 0,
      values: 10,
      uncompressedBytes: 60,
      compressedBytes: 60,
      dataPageOffset: 4,
      statistics: { nullCount: 0, min: Uint8Array.of(1), max: Uint8Array.of(2), minExact: true, maxExact: false },
    }
    const group: RowGroupMeta = { rows: 10, offset: 4, uncompressedBytes: 60, compressedBytes: 60, chunks: [chunk] }
    const file: FileMeta = { columns: [column('a', 'int')], rows: 10, rowGroups: [group], metadata: {}, createdBy: 'test' }
    const decode = (change: Partial<FileMeta>, dataEnd = 64) => decodeFooter(encodeFooter({ ...file, ...change }), dataEnd)
    const withChunk = (change: Partial<ChunkMeta>) => ({ rowGroups: [{ ...group, chunks: [{ ...chunk, ...change }] }] })
    expect(decode({})).toEqual(file)
    const refused = (change: Partial<FileMeta>, message: string, dataEnd?: number) =>
      expect(() => decode(change, dataEnd), message).toThrow(
        expect.objectContaining({ code: 'PARQUET_MALFORMED', message: expect.stringContaining(message) as string }),
      )
    refused({}, 'reaches into the footer', 63)
    refused(withChunk({ compressedBytes: 61 }), 'reaches into the footer')
    refused(withChunk({ dataPageOffset: 5 }), 'reaches into the footer')
    refused(withChunk({ compressedBytes: -1 }), 'outside of 0 to')
    refused(withChunk({ dataPageOffset: 1e15 }), 'outside of 0 to')
    refused(withChunk({ values: 9 }), 'has 9 values in a row group of 10 rows')
    refused(withChunk({ name: 'b' }), 'column b stands where a should')
    refused({ rows: 11 }, 'its row groups have 10 rows and the file says 11')
    refused({ rowGroups: [{ ...group, chunks: [] }] }, 'has 0 of 1 columns')
    refused({ rowGroups: [{ ...group, chunks: [chunk, chunk] }] }, 'column a stands where undefined should')
  })

  test('whose pages decompress to another size, or not at all, is refused', async () => {
    const { bytes } = write([column('a', 'int')], [{ a: 1 }])
    await expect(readBack(bytes, { decompress: () => new Uint8Array(3) })).rejects.toThrow(/has 3 bytes instead of/)
    const failing = readBack(bytes, {
      decompress: () => {
        throw new Error('checksum')
      },
    })
    await expect(failing).rejects.toMatchObject({ code: 'PARQUET_MALFORMED', data: { column: 'a' }, cause: { message: 'checksum' } })
  })

  test('is told from a read that gave too little, and from a missing decompressor', async () => {
    const { bytes } = write([column('a', 'int')], [{ a: 1 }])
    const short = { sizeBytes: bytes.length, read: async (offset: number, length: number) => bytes.subarray(offset, offset + length - 1) }
    await expect(readFooter(short)).rejects.toThrow(/a read of \d+ bytes at 0 gave/)
    await expect(readParquet(source(bytes), {}).next()).rejects.toMatchObject({ code: 'INVALID_OPTIONS' })
  })
})
