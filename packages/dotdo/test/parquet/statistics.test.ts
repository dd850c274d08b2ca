import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { bytesBefore, cutLowerBytes, cutLowerText, cutUpperBytes, cutUpperText, MAX_BOUND, textBefore } from '../../src/parquet/bounds.ts'
import { readFooter } from '../../src/parquet/footer-reader.ts'
import type { ColumnType } from '../../src/parquet/schema.ts'
import type { ColumnSummary } from '../../src/parquet/writer.ts'
import { column, Duck, fromDuck, source, text, VALUES, write } from './support.ts'

const duck = new Duck()
beforeAll(() => duck.start())
afterAll(() => duck.stop())

const utf8 = (it: string) => new TextEncoder().encode(it)

describe('order and bounds', () => {
  test('texts are ordered by their UTF-8, not by their code units', () => {
    const order = (a: string, b: string): void => {
      expect(textBefore(a, b)).toBe(Buffer.compare(utf8(a), utf8(b)) < 0)
    }
    fc.assert(fc.property(text, text, order), { numRuns: 2000 })
    expect(textBefore('\uffff', '😀')).toBe(true)
  })

  test('cut texts bound the whole ones and are short', () => {
    const long = fc
      .array(fc.constantFrom('a', 'é', '\ud7ff', '\uffff', '😀', '\u{10ffff}'), { minLength: 0, maxLength: 70 })
      .map((it) => it.join(''))
    fc.assert(
      fc.property(long, (whole) => {
        const lower = cutLowerText(whole)
        const upper = cutUpperText(whole)
        expect(Buffer.compare(utf8(lower.value), utf8(whole))).toBeLessThanOrEqual(0)
        expect(Array.from(lower.value).length).toBeLessThanOrEqual(MAX_BOUND)
        expect(lower.exact).toBe(lower.value === whole)
        expect(lower.value.isWellFormed()).toBe(true)
        if (upper === undefined) {
          expect(whole.startsWith('\u{10ffff}'.repeat(MAX_BOUND))).toBe(true)
          return
        }
        expect(Buffer.compare(utf8(upper.value), utf8(whole))).toBeGreaterThanOrEqual(0)
        expect(Array.from(upper.value).length).toBeLessThanOrEqual(MAX_BOUND)
        expect(upper.exact).toBe(upper.value === whole)
        expect(upper.value.isWellFormed()).toBe(true)
      }),
      { numRuns: 2000 },
    )
    expect(cutUpperText('\u{10ffff}'.repeat(65))).toBeUndefined()
    expect(cutUpperText('a' + '\u{10ffff}'.repeat(65))).toEqual({ value: 'b', exact: false })
    expect(cutUpperText('\ud7ff'.repeat(65))?.value.endsWith('\ue000')).toBe(true)
  })

  test('cut bytes bound the whole ones', () => {
    const bytes = fc
      .uint8Array({ maxLength: 70 })
      .chain((it) => fc.constantFrom(it, Uint8Array.from([...it, ...new Uint8Array(70).fill(255)]), new Uint8Array(70).fill(255)))
    fc.assert(
      fc.property(bytes, (whole) => {
        expect(bytesBefore(whole, cutLowerBytes(whole).value)).toBe(false)
        const upper = cutUpperBytes(whole)
        if (upper === undefined) expect(whole.subarray(0, MAX_BOUND).every((byte) => byte === 255)).toBe(true)
        else expect(bytesBefore(upper.value, whole)).toBe(false)
      }),
    )
  })
})

/** The bounds of short values by the plainest of means. */
function plainBounds(type: ColumnType, values: unknown[]): { lower?: unknown; upper?: unknown } {
  const kept = values.filter((value) => value !== null && !Number.isNaN(value))
  if (kept.length === 0) return {}
  const sorted = kept.toSorted((a, b) => {
    if (type === 'string') return Buffer.compare(utf8(a as string), utf8(b as string))
    if (type === 'binary') return Buffer.compare(a as Uint8Array, b as Uint8Array)
    return (a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0
  })
  const [lower, upper] = [sorted[0], sorted.at(-1)]
  return { lower: lower === 0 && (type === 'float' || type === 'double') ? -0 : lower, upper: upper === 0 ? 0 : upper }
}

describe('what the writer tells of a column', () => {
  const types = Object.keys(VALUES).filter((type): type is Exclude<ColumnType, 'json'> => type !== 'json')
  const short = {
    ...VALUES,
    string: text.filter((it) => Array.from(it).length <= MAX_BOUND),
    binary: fc.uint8Array({ maxLength: MAX_BOUND }),
  }
  const cases = fc
    .constantFrom(...types)
    .chain((type) => fc.record({ type: fc.constant(type), values: fc.array(fc.option(short[type], { freq: 5 }), { maxLength: 80 }) }))

  test('is the least and the greatest value, the nulls and the NaN, over all row groups', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(3, 1000), ({ type, values }, rowGroupRows) => {
        const { info, bytes } = write(
          [column('it', type, false, 9)],
          values.map((it) => ({ it })),
          { rowGroupRows },
        )
        const summary: ColumnSummary = {
          fieldId: 9,
          sizeBytes: info.columns[0]!.sizeBytes,
          valueCount: values.length,
          nullCount: values.filter((value) => value === null).length,
          ...((type === 'float' || type === 'double') &&
            values.length > 0 && { nanCount: values.filter((value) => Number.isNaN(value)).length }),
          ...plainBounds(type, values),
        }
        expect(info.columns).toEqual([summary])
        expect(summary.sizeBytes).toBeLessThan(bytes.length)
      }),
      { numRuns: 500 },
    )
  })

  test('is what DuckDB finds in the statistics of the row group', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ type, values }) => {
        // DuckDB shows texts and bytes of statistics in an escaped form: those are compared by the test after this one.
        fc.pre(type !== 'binary' && type !== 'string' && values.length > 0)
        const { bytes } = write(
          [column('it', type)],
          values.map((it) => ({ it })),
        )
        const sql = {
          boolean: 'boolean',
          int: 'int',
          long: 'bigint',
          float: 'float',
          double: 'double',
          date: 'date',
          timestamp: 'timestamp',
          timestamptz: 'timestamptz',
          string: 'varchar',
          uuid: 'uuid',
          binary: 'blob',
        }[type]
        const [row] = await duck.query(
          `select stats_min_value::${sql} as lower, stats_max_value::${sql} as upper, stats_null_count as nulls from parquet_metadata('${duck.file(bytes)}')`,
        )
        const plain = plainBounds(type, values)
        // DuckDB shows no infinite bound; the test of infinities is another one.
        const finite = (it: unknown): unknown => (it === undefined || it === Infinity || it === -Infinity ? null : it)
        const [lower, upper] = [finite(plain.lower), finite(plain.upper)]
        const found = fromDuck(row!)
        expect(found.nulls).toBe(values.filter((value) => value === null).length)
        // Text in which DuckDB shows a float is rounded; the two zeros are one there.
        const near = (it: unknown) => (typeof it === 'number' ? (type === 'float' ? Math.fround(it) + 0 : it + 0) : it)
        expect([near(found.lower), near(found.upper)]).toEqual([near(lower), near(upper)])
      }),
      { numRuns: 80 },
    )
  })

  test('lets DuckDB skip row groups without losing rows', async () => {
    const rows = Array.from({ length: 500 }, (_, i) => ({
      name: `${['😀', '\uffff', 'é', '\u{10ffff}'.repeat(70)][i % 4]}${i}${'x'.repeat(i % 130)}`,
    }))
    const { bytes } = write([column('name', 'string')], rows, { rowGroupRows: 7 })
    const file = duck.file(bytes)
    for (const { name } of rows.slice(0, 100)) {
      expect(await duck.query(`select count(*)::int as n from read_parquet('${file}') where name = '${name}'`)).toEqual([{ n: 1 }])
    }
  })

  test('never holds NaN, gives zero the sign that includes both, and keeps infinities', () => {
    const of = (...values: number[]) =>
      write(
        [column('it', 'double')],
        values.map((it) => ({ it })),
      ).info.columns[0]!
    expect(of(NaN, NaN)).toMatchObject({ nanCount: 2, valueCount: 2 })
    expect(of(NaN, NaN)).not.toHaveProperty('lower')
    expect(of(0, NaN)).toMatchObject({ lower: -0, upper: 0, nanCount: 1 })
    expect(of(-0)).toMatchObject({ lower: -0, upper: 0 })
    expect(of(Infinity)).toMatchObject({ lower: Infinity, upper: Infinity })
    expect(of(-Infinity, NaN, Infinity)).toMatchObject({ lower: -Infinity, upper: Infinity })
  })

  test('says in the file whether a bound was cut', async () => {
    const { bytes, info } = write([column('it', 'string')], [{ it: 'a'.repeat(100) }, { it: 'b' }])
    const { rowGroups } = await readFooter(source(bytes))
    const statistics = rowGroups[0]!.chunks[0]!.statistics!
    expect(statistics).toMatchObject({ minExact: false, maxExact: true, nullCount: 0 })
    expect(new TextDecoder().decode(statistics.min)).toBe('a'.repeat(64))
    expect(info.columns[0]).toMatchObject({ lower: 'a'.repeat(64), upper: 'b' })
  })
})
