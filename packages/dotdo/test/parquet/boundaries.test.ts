// Where one thing ends and the next begins: pages, dictionaries, row groups, the longest values, and files of next to nothing. What a file
// is made of is told by its own page headers, read here one by one.
import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { MAX_BINARY_BYTES, BinaryValues } from '../../src/parquet/blobs.ts'
import { cutLowerText, cutUpperText, MAX_BOUND } from '../../src/parquet/bounds.ts'
import { chunkStart, readFooter } from '../../src/parquet/footer-reader.ts'
import { Encoding, PageType } from '../../src/parquet/format.ts'
import { readParquet, type Row } from '../../src/parquet/reader.ts'
import { MAX_DICTIONARY_CHARACTERS, MAX_DICTIONARY_ENTRIES, MAX_TEXT_CHARACTERS, TextValues } from '../../src/parquet/texts.ts'
import { readStruct } from '../../src/parquet/thrift-reader.ts'
import { PAGE_BYTES, PAGE_VALUES } from '../../src/parquet/values.ts'
import { ROW_GROUP_ROWS } from '../../src/parquet/writer.ts'
import { column, decompress, EVERY_COLUMN, readBack, readByHyparquet, source, TYPES, VALUES, write } from './support.ts'

interface PageView {
  type: number
  encoding: number
  count: number
}

/** The pages of each chunk, row group by row group, by their headers. */
async function pagesOf(bytes: Uint8Array): Promise<PageView[][]> {
  const { rowGroups } = await readFooter(source(bytes))
  return rowGroups
    .flatMap((group) => group.chunks)
    .map((chunk) => {
      const pages: PageView[] = []
      for (let at = chunkStart(chunk); at < chunkStart(chunk) + chunk.compressedBytes;) {
        const { struct, end } = readStruct(bytes, at)
        const type = struct.number(1, 'type')
        const header = struct.struct(type === PageType.DICTIONARY ? 7 : 5, 'header')
        pages.push({ type, encoding: header.number(2, 'encoding'), count: header.number(1, 'count') })
        at = end + struct.number(3, 'size')
      }
      return pages
    })
}

const ROOM = 1 << 30
const data = (encoding: number, count: number): PageView => ({ type: PageType.DATA, encoding, count })
const dictionary = (count: number): PageView => ({ type: PageType.DICTIONARY, encoding: Encoding.PLAIN, count })
function* repeat<T>(count: number, make: (i: number) => T): Generator<T> {
  for (let i = 0; i < count; i++) yield make(i)
}

describe('a page', () => {
  test.each([
    [PAGE_VALUES - 1, [PAGE_VALUES - 1]],
    [PAGE_VALUES, [PAGE_VALUES]],
    [PAGE_VALUES + 1, [PAGE_VALUES, 1]],
  ])('of %i required integers ends by its number of values', async (count, sizes) => {
    const { bytes } = write(
      [column('it', 'int', true)],
      repeat(count, (i) => ({ it: i })),
      { rowGroupRows: ROOM, codec: 'uncompressed' },
    )
    expect(await pagesOf(bytes)).toEqual([sizes.map((size) => data(Encoding.DELTA_BINARY_PACKED, size))])
    const rows = await readBack(bytes)
    expect([rows.length, rows.at(-1)]).toEqual([count, { it: count - 1 }])
  })

  test('of nulls alone ends by its number of rows, and holds levels and nothing else', async () => {
    const { bytes, info } = write(
      [column('it', 'double')],
      repeat(PAGE_VALUES + 1, () => ({})),
      { rowGroupRows: ROOM, codec: 'uncompressed' },
    )
    expect(await pagesOf(bytes)).toEqual([[data(Encoding.PLAIN, PAGE_VALUES), data(Encoding.PLAIN, 1)]])
    expect(info.columns[0]).toMatchObject({ nullCount: PAGE_VALUES + 1, nanCount: 0 })
    expect(bytes.length).toBeLessThan(400)
  })

  test('ends for one column by its own values, and for all of them by rows', async () => {
    // Half of the values are null, so that the second column is due later than the first.
    const rows = repeat(PAGE_VALUES + 2, (i) => ({ a: i, b: i % 2 === 0 ? null : i }))
    const { bytes } = write([column('a', 'int', true, 1), column('b', 'int', false, 2)], rows, { rowGroupRows: ROOM })
    expect((await pagesOf(bytes)).map((pages) => pages.map(({ count }) => count))).toEqual([
      [PAGE_VALUES, 2],
      [PAGE_VALUES, 2],
    ])
  })

  test.each([
    [PAGE_BYTES - 1, 1],
    [PAGE_BYTES, 2],
  ])('of bytes is due at %i of them: with one more value there are %i', async (size, count) => {
    const { bytes } = write([column('it', 'binary', true)], [{ it: new Uint8Array(size) }, { it: new Uint8Array(1) }], {
      codec: 'uncompressed',
    })
    const pages = await pagesOf(bytes)
    expect(pages[0]).toHaveLength(count)
    expect((await readBack(bytes)).map((row) => (row.it as Uint8Array).length)).toEqual([size, 1])
  })
})

describe('a dictionary', () => {
  /** Texts of which each occurs three times in a row: enough for a dictionary to pay. */
  const rows = (entries: number): Generator<Row> => repeat(3 * entries, (i) => ({ it: `t${Math.floor(i / 3)}` }))

  test.each([
    [MAX_DICTIONARY_ENTRIES - 1, [MAX_DICTIONARY_ENTRIES - 1]],
    [MAX_DICTIONARY_ENTRIES, [MAX_DICTIONARY_ENTRIES]],
  ])('of %i entries is one, and all of its row group refers to it', async (entries) => {
    const { bytes, info } = write([column('it', 'string', true)], rows(entries), { rowGroupRows: ROOM })
    const [pages] = await pagesOf(bytes)
    expect(pages?.[0]).toEqual(dictionary(entries))
    const direct = pages?.filter(({ encoding }) => encoding === Encoding.DELTA_LENGTH_BYTE_ARRAY).reduce((sum, { count }) => sum + count, 0)
    // The last entry's own page ends with its first value: the two others are written directly.
    expect(direct).toBe(entries === MAX_DICTIONARY_ENTRIES ? 2 : 0)
    expect(info.columns[0]).toMatchObject({ lower: 't0', upper: 't9999' })
    const read = await readByHyparquet(bytes)
    expect([read.length, read.at(-1)]).toEqual([3 * entries, { it: `t${entries - 1}` }])
  })

  test('does not grow beyond its most entries: what comes later is written directly, and bounds know of both', async () => {
    // A full dictionary once ended a page at every value that came after it.
    const later = [...repeat(1000, () => ({ it: 'a later one' })), { it: 'u, the last' }]
    const all = [...rows(MAX_DICTIONARY_ENTRIES), ...later]
    const { bytes, info } = write([column('it', 'string', true)], all, { rowGroupRows: ROOM })
    const [pages] = await pagesOf(bytes)
    expect(pages?.[0]).toEqual(dictionary(MAX_DICTIONARY_ENTRIES))
    expect(pages?.at(-1)).toEqual(data(Encoding.DELTA_LENGTH_BYTE_ARRAY, 2 + later.length))
    expect(info.columns[0]).toMatchObject({ lower: 'a later one', upper: 'u, the last' })
    expect((await readBack(bytes)).slice(-4)).toEqual(all.slice(-4))
  })

  test('takes a text that fills all of its characters, and ends its page there', () => {
    for (const [length, due] of [
      [MAX_DICTIONARY_CHARACTERS - 1, false],
      [MAX_DICTIONARY_CHARACTERS, true],
    ] as const) {
      const values = new TextValues((value) => value as string)
      expect(values.push('x'.repeat(length))).toBe(true)
      expect(values.due).toBe(due)
    }
  })

  test('begins anew in each row group', async () => {
    const { bytes } = write(
      [column('it', 'string', true)],
      repeat(30, (i) => ({ it: `${Math.floor(i / 10)}` })),
      { rowGroupRows: 10 },
    )
    expect(await pagesOf(bytes)).toEqual(Array(3).fill([dictionary(1), data(Encoding.RLE_DICTIONARY, 10)]))
  })

  test.each([
    [1, 1],
    [2, 1],
    [3, 2],
    [256, 8],
    [257, 9],
  ])('of %i entries has codes of %i bits', async (entries, width) => {
    const rows = repeat(2 * entries, (i) => ({ it: `${i % entries}` }))
    const { bytes } = write([column('it', 'string', true)], rows, { codec: 'uncompressed' })
    const { rowGroups } = await readFooter(source(bytes))
    // The first byte of a page of codes is their width.
    const { struct: header, end } = readStruct(bytes, rowGroups[0]!.chunks[0]!.dataPageOffset)
    expect([header.number(1, 'type'), bytes[end]]).toEqual([PageType.DATA, width])
  })
})

describe('a row group', () => {
  test.each([
    [ROW_GROUP_ROWS - 1, 1],
    [ROW_GROUP_ROWS, 1],
    [ROW_GROUP_ROWS + 1, 2],
  ])('of %i rows by default: %i', (count, groups) => {
    expect(
      write(
        [column('it', 'boolean', true)],
        repeat(count, (i) => ({ it: i % 2 === 0 })),
      ).info.splitOffsets,
    ).toHaveLength(groups)
  })

  test('of one row each is a file like any other', async () => {
    const rows = [{ it: 1 }, { it: null }, { it: 3 }]
    const { bytes, info } = write([column('it', 'int')], rows, { rowGroupRows: 1 })
    const footer = await readFooter(source(bytes))
    expect(footer.rowGroups.map(({ offset, compressedBytes }) => offset + compressedBytes)).toEqual([
      ...info.splitOffsets.slice(1),
      expect.any(Number),
    ])
    expect(footer.rowGroups.map((group) => group.chunks[0]?.statistics)).toMatchObject([
      { nullCount: 0, min: Uint8Array.of(1, 0, 0, 0) },
      { nullCount: 1 },
      { nullCount: 0, max: Uint8Array.of(3, 0, 0, 0) },
    ])
    expect(footer.rowGroups[1]?.chunks[0]?.statistics).not.toHaveProperty('min')
    expect(await readBack(bytes)).toEqual(rows)
  })

  test('at the limits of the reader is read, and one value or byte above them is not', async () => {
    const { bytes } = write(
      [column('a', 'int', true, 1), column('b', 'string', true, 2)],
      repeat(100, (i) => ({ a: i, b: `${i}` })),
    )
    const { rowGroups } = await readFooter(source(bytes))
    const size = rowGroups[0]!.chunks.reduce((sum, chunk) => sum + Math.max(chunk.uncompressedBytes, chunk.compressedBytes), 0)
    expect(await readBack(bytes, { maxRowGroupValues: 200, maxRowGroupBytes: size })).toHaveLength(100)
    await expect(readBack(bytes, { maxRowGroupValues: 199 })).rejects.toMatchObject({
      code: 'PARQUET_TOO_LARGE',
      data: { values: 200, maxRowGroupValues: 199 },
    })
    await expect(readBack(bytes, { maxRowGroupBytes: size - 1 })).rejects.toThrow(/Read fewer columns, or raise the limits/)
    expect(await readBack(bytes, { maxRowGroupValues: 100, columns: ['a'] })).toHaveLength(100)
  })

  test.each([
    [1, 8, [1, 1, 1, 1, 1, 1, 1, 1]],
    [7, 8, [7, 1]],
    [8, 8, [8]],
    [9, 8, [8]],
  ])('is given in batches of %i: %i rows as %j', async (batchRows, count, sizes) => {
    const { bytes } = write(
      [column('it', 'int')],
      repeat(count, (i) => ({ it: i })),
    )
    const found: number[] = []
    for await (const batch of readParquet(source(bytes), { decompress, batchRows })) found.push(batch.length)
    expect(found).toEqual(sizes)
  })
})

describe('next to nothing', () => {
  test.each(TYPES)('of %s: no row, one value, one null, and both by turns', async (type) => {
    const [value] = fc.sample(
      VALUES[type].filter((it) => it !== 'null'),
      { numRuns: 1, seed: 7 },
    )
    const given = type === 'json' ? (JSON.parse(value as string) as unknown) : value
    const stored = type === 'json' ? JSON.stringify(given) : value
    const shapes: (0 | 1)[][] = [[], [1], [0], [0, 1], [1, 0], [1, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0, 1]]
    for (const shape of shapes) {
      for (const rowGroupRows of [1, 2, 100]) {
        const { bytes, info } = write(
          [column('it', type)],
          shape.map((has) => ({ it: has === 1 ? given : null })),
          { rowGroupRows },
        )
        const rows = shape.map((has) => ({ it: has === 1 ? stored : null }))
        expect(await readBack(bytes)).toEqual(rows)
        expect(await readByHyparquet(bytes)).toHaveLength(shape.length)
        expect(info.columns[0]).toMatchObject({ valueCount: shape.length, nullCount: shape.filter((has) => has === 0).length })
        expect('lower' in info.columns[0]!).toBe(shape.includes(1) && !Number.isNaN(value))
      }
    }
  })

  test('of texts: the empty one alone, beside null, and beside others', async () => {
    for (const values of [[''], ['', ''], ['', null], ['', 'a', ''], Array<string>(1000).fill('')]) {
      const rows = values.map((it) => ({ it }))
      const { bytes, info } = write([column('it', 'string')], rows)
      expect(await readBack(bytes)).toEqual(rows)
      expect((await readByHyparquet(bytes)).map((row) => ({ ...row }))).toEqual(rows)
      expect(info.columns[0]).toMatchObject({ lower: '', upper: values.includes('a') ? 'a' : '' })
    }
  })

  test('of columns: none of those that are asked for is none in a row', async () => {
    const { bytes } = write(EVERY_COLUMN, [{}, {}])
    const file = source(bytes)
    const rows: Row[] = []
    for await (const batch of readParquet(file, { columns: [] })) rows.push(...batch)
    expect(rows).toEqual([{}, {}])
    expect(file.reads).toHaveLength(1)
  })
})

describe('the longest', () => {
  test('text is taken, and one character more is not', () => {
    const values = new TextValues((value) => value as string)
    expect(values.push('x'.repeat(MAX_TEXT_CHARACTERS + 1))).toBe(false)
    expect(values.push('x'.repeat(MAX_TEXT_CHARACTERS))).toBe(true)
    expect([values.count, values.due]).toEqual([1, true])
  })

  test('binary value is taken, and one byte more is not', () => {
    const values = new BinaryValues()
    expect(values.push(new Uint8Array(MAX_BINARY_BYTES + 1))).toBe(false)
    expect(values.push(new Uint8Array(MAX_BINARY_BYTES))).toBe(true)
    expect([values.count, values.due]).toEqual([1, true])
  })

  test('bound is a value itself, and one character more is cut', () => {
    const most = 'x'.repeat(MAX_BOUND)
    expect([cutLowerText(most), cutUpperText(most)]).toEqual([
      { value: most, exact: true },
      { value: most, exact: true },
    ])
    expect([cutLowerText(`${most}a`), cutUpperText(`${most}a`)]).toEqual([
      { value: most, exact: false },
      { value: `${most.slice(1)}y`, exact: false },
    ])
    // Characters are counted, and not the halves of a surrogate pair.
    const pairs = '😀'.repeat(MAX_BOUND)
    expect(cutLowerText(pairs)).toEqual({ value: pairs, exact: true })
    expect(cutUpperText(`${pairs}😀`)).toEqual({ value: `${'😀'.repeat(MAX_BOUND - 1)}😁`, exact: false })
  })

  test.each([64, 65])('bytes of %i in statistics are cut or not, and say so', async (length) => {
    const { bytes, info } = write([column('it', 'binary')], [{ it: new Uint8Array(length).fill(5) }])
    const statistics = (await readFooter(source(bytes))).rowGroups[0]!.chunks[0]!.statistics!
    expect(statistics).toMatchObject({ minExact: length <= 64, maxExact: length <= 64 })
    expect([statistics.min?.length, statistics.max?.at(-1)]).toEqual([64, length <= 64 ? 5 : 6])
    expect(info.columns[0]).toMatchObject({ lower: statistics.min, upper: statistics.max })
  })

  test('bytes of 255 alone have no upper bound, and the lower one stays', async () => {
    const { bytes, info } = write([column('it', 'binary')], [{ it: new Uint8Array(65).fill(255) }])
    expect(info.columns[0]).toMatchObject({ lower: new Uint8Array(64).fill(255) })
    expect(info.columns[0]).not.toHaveProperty('upper')
    const statistics = (await readFooter(source(bytes))).rowGroups[0]!.chunks[0]!.statistics
    expect(statistics).toMatchObject({ minExact: false })
    expect(statistics).not.toHaveProperty('max')
  })

  test('integers are bounded exactly, where a double no longer tells them from their neighbours', async () => {
    const around = [2n ** 62n + 1n, 2n ** 62n, 2n ** 62n + 3n, 2n ** 62n + 2n]
    const { info } = write(
      [column('it', 'long')],
      around.map((it) => ({ it })),
    )
    expect(info.columns[0]).toMatchObject({ lower: 2n ** 62n, upper: 2n ** 62n + 3n })
    const apart = write([column('it', 'long')], [{ it: 2n ** 53n }, { it: Number.MAX_SAFE_INTEGER }, { it: 2n ** 53n + 1n }], {
      rowGroupRows: 1,
    })
    expect(apart.info.columns[0]).toMatchObject({ lower: Number.MAX_SAFE_INTEGER, upper: 2n ** 53n + 1n })
  })
})
