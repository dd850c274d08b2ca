import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import Papa from 'papaparse'
import { describe, expect, it } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { CsvReader } from '../../src/sources/csv.ts'
import type { CsvOptions } from '../../src/sources/csv.ts'
import { JsonReader } from '../../src/sources/json.ts'
import { NdjsonReader } from '../../src/sources/ndjson.ts'
import type { ReaderContext, RowReader } from '../../src/sources/reader.ts'
import { chunked, cutAt } from './fakes.ts'

const context: ReaderContext = { address: 's3://b/k', maxRecordBytes: 1 << 20 }
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
const places = fc.array(fc.nat(), { maxLength: 12 })

/** All rows of a reader over chunks, or the code and the place of its failure. */
function read(reader: RowReader, chunks: Iterable<Uint8Array>): unknown {
  const rows: unknown[] = []
  try {
    for (const chunk of chunks) {
      // The contract: a chunk may be reused after the call. Overwriting it shows whether the reader kept it.
      const lent = chunk.slice()
      for (const row of reader.push(lent)) rows.push(row)
      lent.fill(0xff)
    }
    for (const row of reader.end()) rows.push(row)
  } catch (thrown) {
    const { code, message, data } = thrown as { code: string; message: string; data: Record<string, unknown> }
    return { code, message, line: data['line'], bytePosition: data['bytePosition'], element: data['element'] }
  }
  return rows
}

const whole = (reader: RowReader, text: string): unknown => read(reader, [encode(text)])
const json = (text: string): unknown => whole(new JsonReader(context), text)
const ndjson = (text: string): unknown => whole(new NdjsonReader(context), text)
const csv = (text: string, options?: CsvOptions): unknown => whole(new CsvReader(context, options), text)
const jsonValue = fc.jsonValue({ stringUnit: 'binary', maxDepth: 4 })

function data(name: string): Uint8Array {
  // A copy: a Buffer's `slice` shares its memory, and these tests overwrite chunks.
  return new Uint8Array(readFileSync(new URL(`../../../../node_modules/vega-datasets/data/${name}`, import.meta.url)))
}

describe('the JSON reader', () => {
  it('gives the elements that JSON.parse gives, wherever the chunks are cut', () => {
    fc.assert(
      fc.property(fc.array(jsonValue, { maxLength: 8 }), fc.constantFrom(undefined, 1, '\t'), places, (values, indent, cuts) => {
        const text = JSON.stringify(values, null, indent)
        expect(read(new JsonReader(context), cutAt(encode(text), cuts))).toEqual(JSON.parse(text))
      }),
      { numRuns: 1000 },
    )
  })

  it('accepts and refuses exactly what JSON.parse does, on documents with a byte damaged', () => {
    let refused = 0
    fc.assert(
      fc.property(
        fc.array(fc.jsonValue({ maxDepth: 3 }), { maxLength: 5 }),
        fc.nat(),
        fc.constantFrom('', ',', '[', ']', '{', '}', '"', '\\', ':', ' ', '1', ',,', '],['),
        places,
        (values, at, damage, cuts) => {
          const good = JSON.stringify(values)
          const place = at % good.length
          const text = good.slice(0, place) + damage + good.slice(place + 1)
          const rows = read(new JsonReader(context), cutAt(encode(text), cuts))
          const expected = parsed(text)
          if (Array.isArray(expected)) expect(rows).toEqual(expected)
          else if (isObject(expected)) expect(rows).toEqual([expected])
          else {
            refused++
            expect(rows).toMatchObject({ code: 'SOURCE_MALFORMED' })
          }
        },
      ),
      { numRuns: 3000 },
    )
    expect(refused).toBeGreaterThan(500)
  })

  it('reads 20,000 real flights, with chunks of any size', () => {
    const bytes = data('flights-20k.json')
    const expected: unknown = JSON.parse(new TextDecoder().decode(bytes))
    for (const size of [1, 7, 1000, 65536, bytes.length]) expect(read(new JsonReader(context), chunked(bytes, size))).toEqual(expected)
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 20, maxLength: 60 }), (cuts) => {
        expect(
          read(
            new JsonReader({ ...context, maxRecordBytes: 200 }),
            cutAt(
              bytes,
              cuts.map((cut) => cut * 7919),
            ),
          ),
        ).toEqual(expected)
      }),
      { numRuns: 5 },
    )
  })

  it('takes a top-level object as one row, over several lines too', () => {
    expect(json(' {"a": [1, 2],\n "b": "}{"}\n')).toEqual([{ a: [1, 2], b: '}{' }])
  })

  it('names the element and the byte of what is wrong', () => {
    expect(json('[{"a":1}, {"a":2}, {"a":}, {"a":4}]')).toMatchObject({ code: 'SOURCE_MALFORMED', element: 3, bytePosition: 18 })
    expect(json('["é", x]')).toMatchObject({ element: 2, bytePosition: 6 })
    for (const text of ['[1,]', '[1, ]', '[1,,2]']) {
      for (const size of [1, 9]) {
        const failure = read(new JsonReader(context), chunked(encode(text), size))
        expect(failure).toMatchObject({ element: 2, bytePosition: 3, message: expect.stringContaining('missing') })
      }
    }
  })

  it('refuses half a document as one that was cut off', () => {
    const text = '[{"a":1},{"a":"x'
    expect(json(text)).toMatchObject({ code: 'SOURCE_MALFORMED', bytePosition: text.length, message: expect.stringContaining('cut off') })
    expect(json('')).toMatchObject({ message: expect.stringContaining('no JSON document') })
  })

  it('refuses a second document and says how to read documents by line', () => {
    expect(json('{"a":1}\n{"a":2}\n')).toMatchObject({
      code: 'SOURCE_MALFORMED',
      bytePosition: 8,
      message: expect.stringContaining("format: 'ndjson'"),
    })
    expect(json('42')).toMatchObject({ code: 'SOURCE_MALFORMED', message: expect.stringContaining('neither') })
  })

  it('holds no more than one element and refuses one that outgrows the limit', () => {
    const small = { ...context, maxRecordBytes: 50 }
    const many = `[${Array.from({ length: 100 }, (_, index) => `{"n":${index}}`).join(',')}]`
    expect(read(new JsonReader(small), chunked(encode(many), 10))).toHaveLength(100)
    const big = `[1,"${'x'.repeat(60)}"]`
    expect(read(new JsonReader(small), chunked(encode(big), 10))).toMatchObject({ code: 'SOURCE_TOO_LARGE', bytePosition: 3 })
  })
})

describe('the NDJSON reader', () => {
  it('gives what JSON.parse gives for each line, wherever the chunks are cut', () => {
    const eol = fc.constantFrom('\n', '\r\n', '\n\n', '\n \t\n')
    fc.assert(
      fc.property(fc.array(fc.tuple(jsonValue, eol), { maxLength: 8 }), fc.boolean(), fc.boolean(), places, (lines, mark, open, cuts) => {
        let text = lines.map(([value, end]) => JSON.stringify(value) + end).join('')
        if (open) text = text.trimEnd()
        const bytes = encode((mark ? '\ufeff' : '') + text)
        expect(read(new NdjsonReader(context), cutAt(bytes, cuts))).toEqual(lines.map(([value]) => JSON.parse(JSON.stringify(value))))
      }),
      { numRuns: 1000 },
    )
  })

  it('reads 20,000 real flights cut anywhere', () => {
    const flights: unknown[] = JSON.parse(new TextDecoder().decode(data('flights-20k.json')))
    const bytes = encode(flights.map((flight) => JSON.stringify(flight)).join('\n'))
    for (const size of [3, 4096, bytes.length]) expect(read(new NdjsonReader(context), chunked(bytes, size))).toEqual(flights)
  })

  it('refuses two broken lines that would join into a good one', () => {
    expect(ndjson('{"a":0}\n{"a":1\n"b":2}\n')).toMatchObject({ code: 'SOURCE_MALFORMED', line: 2, bytePosition: 8 })
    expect(ndjson('{"a":[{}\n{}]}\n{},{}\n')).toMatchObject({ line: 1 })
    expect(ndjson('1,2\n')).toMatchObject({ line: 1 })
  })

  it('names the line and byte of what is wrong, with an excerpt, in any chunking', () => {
    const text = '{"a":"é"}\n\r\n\n{"a":2}\n{"a":oops}\n{"a":4}'
    fc.assert(
      fc.property(places, (cuts) => {
        const failure = read(new NdjsonReader(context), cutAt(encode(text), cuts))
        expect(failure).toMatchObject({ code: 'SOURCE_MALFORMED', line: 5, bytePosition: 22, message: expect.stringContaining('oops') })
      }),
    )
  })

  it('refuses a last line that was cut off, and a line longer than the limit', () => {
    expect(ndjson('{"a":1}\n{"a"')).toMatchObject({ code: 'SOURCE_MALFORMED', line: 2 })
    const reader = new NdjsonReader({ ...context, maxRecordBytes: 20 })
    expect(read(reader, chunked(encode(`{"a":1}\n"${'x'.repeat(40)}"\n`), 8))).toMatchObject({ code: 'SOURCE_TOO_LARGE', bytePosition: 8 })
  })
})

describe('UTF-8', () => {
  const readers: [string, () => RowReader, string, string][] = [
    ['JSON', () => new JsonReader(context), '["', '"]'],
    ['NDJSON', () => new NdjsonReader(context), '"', '"\n'],
    ['CSV', () => new CsvReader(context), 'a\n', '\n'],
  ]
  for (const [name, make, before, after] of readers) {
    it(`is read across chunks and refused where it is broken, in ${name}`, () => {
      const good = encode(`\ufeff${before}a😀é\ufeffz${after}`)
      const rows = read(make(), chunked(good, 1))
      expect(JSON.stringify(rows)).toContain('a😀é\ufeffz')
      for (const bad of [[0xff], [0xc3], [0xf0, 0x9f, 0x98], [0xed, 0xa0, 0x80]]) {
        const bytes = Uint8Array.from([...encode(before), ...bad, ...encode(after)])
        for (const size of [1, 100]) {
          expect(read(make(), chunked(bytes, size))).toMatchObject({
            code: 'SOURCE_MALFORMED',
            message: expect.stringContaining('not UTF-8'),
          })
        }
      }
    })
  }

  it('keeps a byte order mark that is not at the start', () => {
    expect(read(new NdjsonReader(context), chunked(encode('\ufeff1\n'), 1))).toEqual([1])
    expect(read(new CsvReader(context), chunked(encode('a\n\ufeffx\n'), 1))).toEqual([{ a: '\ufeffx' }])
  })
})

describe('the CSV reader', () => {
  const field = fc.string({ unit: fc.constantFrom('a', 'b', ',', '"', '\n', '\r\n', ' ', 'é', '😀', '1'), maxLength: 6 })
  const table = fc
    .integer({ min: 1, max: 4 })
    .chain((width) => fc.array(fc.array(field, { minLength: width, maxLength: width }), { maxLength: 6 }))
  const quote = (value: string, always: boolean): string => (always || /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value)

  it('gives back the fields that were written, wherever the chunks are cut', () => {
    fc.assert(
      fc.property(table, fc.boolean(), fc.constantFrom('\n', '\r\n'), fc.boolean(), places, (rows, always, eol, closed, cuts) => {
        const width = rows[0]?.length ?? 1
        const header = Array.from({ length: width }, (_, column) => `c${column}`)
        // A lone empty field unquoted is an empty line: written in quotes here, so that it counts.
        const line = (row: string[]): string => row.map((value) => quote(value, always || (width === 1 && value === ''))).join(',')
        const text = [header, ...rows].map(line).join(eol) + (closed ? eol : '')
        const expected = rows.map((row) => Object.fromEntries(row.map((value, column) => [`c${column}`, value])))
        expect(read(new CsvReader(context), cutAt(encode(text), cuts))).toEqual(expected)
      }),
      { numRuns: 2000 },
    )
  })

  it('gives the same rows or the same refusal for any text, wherever the chunks are cut', () => {
    const noise = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', '\r\n', '""'), maxLength: 30 })
    let refused = 0
    fc.assert(
      fc.property(noise, places, (text, cuts) => {
        const one = whole(new CsvReader(context), `x,y\n${text}`)
        const many = read(new CsvReader(context), cutAt(encode(`x,y\n${text}`), cuts))
        if (!Array.isArray(one)) refused++
        expect(many).toEqual(one)
      }),
      { numRuns: 3000 },
    )
    expect(refused).toBeGreaterThan(500)
  })

  for (const name of ['airports.csv', 'birdstrikes.csv', 'zipcodes.csv']) {
    it(`reads ${name} as a foreign reader does, cut anywhere`, () => {
      const bytes = data(name)
      const oracle = Papa.parse<Record<string, string>>(new TextDecoder().decode(bytes), { header: true, skipEmptyLines: true })
      expect(oracle.data.length).toBeGreaterThan(3000)
      for (const size of [13, 1000, 65536]) expect(read(new CsvReader(context), chunked(bytes, size))).toEqual(oracle.data)
    })
  }

  it('refuses a row with too few or too many fields, with its line', () => {
    const text = 'a,b\n1,2\n"x\ny",2\n\n3\n'
    expect(csv(text)).toMatchObject({
      code: 'SOURCE_MALFORMED',
      line: 6,
      bytePosition: text.indexOf('3'),
      message: expect.stringContaining('1 fields'),
    })
    expect(csv('a,b\n1,2,3\n')).toMatchObject({ line: 2, message: expect.stringContaining('3 fields and the header has 2') })
    expect(csv('a,b\n""\n')).toMatchObject({ line: 2 })
  })

  it('refuses a quote that is never closed, text after a closing one, and a lone carriage return', () => {
    expect(csv('a,b\n1,"two\nthree')).toMatchObject({ line: 2, bytePosition: 6, message: expect.stringContaining('never closed') })
    expect(csv('a,b\n1,"two"x\n')).toMatchObject({ line: 2, message: expect.stringContaining('closing quote') })
    expect(csv('a,b\r1,2\r')).toMatchObject({ code: 'SOURCE_MALFORMED', message: expect.stringContaining('carriage return') })
  })

  it('takes a quote within an unquoted field as text', () => {
    expect(csv('a,b\n5" hail,x"y"\n1,2\n')).toEqual([
      { a: '5" hail', b: 'x"y"' },
      { a: '1', b: '2' },
    ])
  })

  it('ends a record after such a quote, so that nothing piles up behind it', () => {
    const bytes = encode(`a,b\n5" hail,1\n${'1,2\n'.repeat(50)}`)
    for (const size of [1, 2, 3, 8, 100]) {
      expect(read(new CsvReader({ ...context, maxRecordBytes: 20 }), chunked(bytes, size))).toHaveLength(51)
    }
  })

  it('passes over empty lines, except where a line is one empty field', () => {
    expect(csv('\na,b\n\n1,2\n\r\n')).toEqual([{ a: '1', b: '2' }])
    expect(csv('a\n\nx\n')).toEqual([{ a: '' }, { a: 'x' }])
    expect(csv('')).toEqual([])
  })

  it('refuses a header that would lose a column', () => {
    expect(csv('a,b,a\n')).toMatchObject({ line: 1, message: expect.stringContaining("two columns 'a'") })
    expect(csv('a,__proto__\n1,2\n')).toMatchObject({ code: 'SOURCE_MALFORMED' })
    expect(csv('constructor,toString\n1,2\n')).toEqual([{ constructor: '1', toString: '2' }])
  })

  it('leaves values as text, and types only the columns that are named', () => {
    const text = 'zip,lat,ok\n01001,-42.5e0,true\n90210,,\n'
    expect(csv(text)).toEqual([
      { zip: '01001', lat: '-42.5e0', ok: 'true' },
      { zip: '90210', lat: '', ok: '' },
    ])
    expect(csv(text, { types: { lat: 'number', ok: 'boolean' } })).toEqual([
      { zip: '01001', lat: -42.5, ok: true },
      { zip: '90210', lat: null, ok: null },
    ])
  })

  it('refuses a value that is not of its column type', () => {
    for (const bad of ['x', ' 1', '0x10', '01', '1e999', '9007199254740993', '+1', 'NaN']) {
      expect(csv(`n\n${bad}\n`, { types: { n: 'number' } })).toMatchObject({ code: 'SOURCE_MALFORMED', line: 2 })
    }
    expect(csv('n\nTRUE\n', { types: { n: 'boolean' } })).toMatchObject({ code: 'SOURCE_MALFORMED' })
    expect(csv('n\n1\n', { types: { m: 'number' } })).toMatchObject({ code: 'OPTION_INVALID', message: expect.stringContaining("'n'") })
  })

  it('reads other delimiters of one character and refuses longer ones', () => {
    expect(csv('a\tb\n1\t"2,\t3"\n', { delimiter: '\t' })).toEqual([{ a: '1', b: '2,\t3' }])
    for (const delimiter of ['', ';;', '"', '\n', 'é']) expect(() => new CsvReader(context, { delimiter })).toThrow('delimiter')
  })

  it('holds no more than one record and refuses one that outgrows the limit', () => {
    const reader = new CsvReader({ ...context, maxRecordBytes: 20 })
    expect(read(reader, chunked(encode(`a\n1\n"${'\n'.repeat(60)}"\n`), 8))).toMatchObject({ code: 'SOURCE_TOO_LARGE', bytePosition: 4 })
  })
})

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (thrown) {
    return codeOf(thrown)
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}
