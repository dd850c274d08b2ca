// RFC 4180 rule by rule, then what lies beyond it. The oracle, where a rule leaves no choice, is papaparse on the whole text.
import Papa from 'papaparse'
import { describe, expect, it } from 'vitest'
import { CsvReader } from '../../src/sources/csv.ts'
import type { CsvOptions, CsvRow } from '../../src/sources/csv.ts'
import type { ColumnType } from '../../src/sources/csv-types.ts'
import type { ReaderContext } from '../../src/sources/reader.ts'
import { chunked } from './fakes.ts'

const context: ReaderContext = { address: 's3://b/k.csv', maxRecordBytes: 1 << 16 }

interface Failure {
  code: string
  message: string
  data: Record<string, unknown>
}

function read(text: string, options: CsvOptions = {}, sizeBytes = 1 << 20, limits: Partial<ReaderContext> = {}): CsvRow[] | Failure {
  const rows: CsvRow[] = []
  try {
    const reader = new CsvReader({ ...context, ...limits }, options)
    for (const chunk of chunked(new TextEncoder().encode(text), sizeBytes)) rows.push(...reader.push(chunk))
    rows.push(...reader.end())
  } catch (thrown) {
    return thrown as Failure
  }
  return rows
}

/** The answer, after a look at whether it is the same for chunks of one to five bytes. */
function readAnyhow(text: string, options: CsvOptions = {}): CsvRow[] | Failure {
  const whole = read(text, options)
  for (const size of [1, 2, 3, 5]) expect(read(text, options, size), `in chunks of ${size}`).toEqual(whole)
  return whole
}

const RULES: [string, string, CsvRow[]][] = [
  // Section 2, in its own order and with its own examples.
  [
    '1: each record is on a line of its own',
    'h1,h2,h3\r\naaa,bbb,ccc\r\nzzz,yyy,xxx\r\n',
    [
      { h1: 'aaa', h2: 'bbb', h3: 'ccc' },
      { h1: 'zzz', h2: 'yyy', h3: 'xxx' },
    ],
  ],
  [
    '2: the last record may lack its line end',
    'h1,h2,h3\r\naaa,bbb,ccc\r\nzzz,yyy,xxx',
    [
      { h1: 'aaa', h2: 'bbb', h3: 'ccc' },
      { h1: 'zzz', h2: 'yyy', h3: 'xxx' },
    ],
  ],
  ['3: the first line is the header', 'field_name,field_name2\r\naaa,bbb\r\n', [{ field_name: 'aaa', field_name2: 'bbb' }]],
  ['4: spaces are part of a field', 'a,b\r\n x , y z \r\n', [{ a: ' x ', b: ' y z ' }]],
  ['4: a comma at the end is followed by an empty field', 'a,b\r\nx,\r\n', [{ a: 'x', b: '' }]],
  ['5: fields may be in quotes or not', 'a,b,c\r\n"aaa","bbb",ccc\r\n', [{ a: 'aaa', b: 'bbb', c: 'ccc' }]],
  [
    '6: CRLF, quotes and commas in quotes are text',
    'a,b,c\r\n"aaa","b\r\nbb","c,c"\r\nzzz,yyy,xxx',
    [
      { a: 'aaa', b: 'b\r\nbb', c: 'c,c' },
      { a: 'zzz', b: 'yyy', c: 'xxx' },
    ],
  ],
  ['7: a quote within quotes is doubled', 'a,b,c\r\n"aaa","b""bb","ccc"\r\n', [{ a: 'aaa', b: 'b"bb', c: 'ccc' }]],
]

const BEYOND: [string, string, CsvRow[]][] = [
  ['a header alone', 'a,b\n', []],
  ['a header alone, without its line end', 'a,b', []],
  [
    'line feeds alone',
    'a,b\n1,2\n3,4\n',
    [
      { a: '1', b: '2' },
      { a: '3', b: '4' },
    ],
  ],
  [
    'both line ends in one file',
    'a,b\r\n1,2\n3,4\r\n',
    [
      { a: '1', b: '2' },
      { a: '3', b: '4' },
    ],
  ],
  ['a byte order mark in front', '\ufeffa,b\n1,2\n', [{ a: '1', b: '2' }]],
  ['a byte order mark in front of a quote', '\ufeff"a",b\n1,2\n', [{ a: '1', b: '2' }]],
  ['a header in quotes', '"a","b c","d""e"\n1,2,3\n', [{ a: '1', 'b c': '2', 'd"e': '3' }]],
  ['a header over two lines', '"a\nb",c\n1,2\n', [{ 'a\nb': '1', c: '2' }]],
  ['an empty name in the header', 'a,,c\n1,2,3\n', [{ a: '1', '': '2', c: '3' }]],
  ['names that are numbers', '2,1\nx,y\n', [{ 1: 'y', 2: 'x' }]],
  ['empty fields in quotes', 'a,b\n"",""\n', [{ a: '', b: '' }]],
  ['empty fields without quotes', 'a,b,c\n,,\n', [{ a: '', b: '', c: '' }]],
  ['a field that is one quote', 'a,b\n"""",x\n', [{ a: '"', b: 'x' }]],
  ['a field that is two quotes', 'a,b\n"""""",x\n', [{ a: '""', b: 'x' }]],
  ['quotes at both ends of a field', 'a,b\n"""x""",y\n', [{ a: '"x"', b: 'y' }]],
  ['a comma and a quote by turns', 'a,b\n""",""",","\n', [{ a: '","', b: ',' }]],
  ['a line feed at the end of a field in quotes', 'a,b\n"x\n","\ny"\n', [{ a: 'x\n', b: '\ny' }]],
  ['blank lines in quotes', 'a,b\n"x\n\n\ny",1\n', [{ a: 'x\n\n\ny', b: '1' }]],
  ['a return alone in quotes', 'a,b\n"x\ry",1\n', [{ a: 'x\ry', b: '1' }]],
  ['a closing quote at the end of the data', 'a,b\n1,"2"', [{ a: '1', b: '2' }]],
  ['a comma at the end of the data', 'a,b\n1,', [{ a: '1', b: '' }]],
  ['a comma at the end of the data, behind quotes', 'a,b\n"1",', [{ a: '1', b: '' }]],
  [
    'an empty line between rows',
    'a,b\n1,2\n\n3,4\n\n',
    [
      { a: '1', b: '2' },
      { a: '3', b: '4' },
    ],
  ],
  ['empty lines before the header', '\r\n\na,b\n1,2\n', [{ a: '1', b: '2' }]],
  ['a line of spaces in one column', 'a\n \n', [{ a: ' ' }]],
  ['an empty line in one column, which is an empty field', 'a\n1\n\n2\n', [{ a: '1' }, { a: '' }, { a: '2' }]],
  ['an empty field in quotes in one column', 'a\n""\n', [{ a: '' }]],
  ['a quote within a field without quotes', 'a,b\nx"y,z""\n', [{ a: 'x"y', b: 'z""' }]],
  ['an apostrophe, which quotes nothing', "a,b\n'x,y'\n", [{ a: "'x", b: "y'" }]],
  ['a backslash, which escapes nothing', 'a,b\n\\,\\"\n', [{ a: '\\', b: '\\"' }]],
  ['tabs, NULs and control characters', 'a,b\n\t,\0\x1f\n', [{ a: '\t', b: '\0\x1f' }]],
  ['line separators of Unicode, which end no record', 'a,b\n\u2028,\u0085\n', [{ a: '\u2028', b: '\u0085' }]],
  ['characters beyond the first plane', 'a,b\n😀,"𝄞"\n', [{ a: '😀', b: '𝄞' }]],
  ['what looks like a comment, and is a field', '#a,b\n#1,2\n', [{ '#a': '#1', b: '2' }]],
  ['what looks like numbers, and is text', 'a,b\n007,1e5\n', [{ a: '007', b: '1e5' }]],
  ['what looks like null, and is text', 'a,b\nNULL,\\N\n', [{ a: 'NULL', b: '\\N' }]],
]

describe('RFC 4180', () => {
  it.each(RULES)('%s', (_, text, rows) => {
    expect(readAnyhow(text)).toEqual(rows)
  })

  it.each(BEYOND)('and beyond it: %s', (_, text, rows) => {
    expect(readAnyhow(text)).toEqual(rows)
  })

  it('is read as another reader reads it, wherever the two promise the same', () => {
    let compared = 0
    for (const [name, text, rows] of [...RULES, ...BEYOND]) {
      // papaparse guesses one line end for the whole file, takes a blank line of one column for none, and trims names of nothing.
      if (/both line ends|column|empty lines before|order mark|byte order/.test(name)) continue
      const theirs = Papa.parse<Record<string, string>>(text, { header: true, skipEmptyLines: true, delimiter: ',' })
      if (theirs.errors.length > 0) continue
      compared++
      expect(theirs.data, name).toEqual(rows)
    }
    expect(compared).toBeGreaterThan(30)
  })
})

const REFUSED: [string, string, number, number, string][] = [
  ['fewer fields than the header', 'a,b\n1\n', 2, 4, '1 fields and the header has 2'],
  ['more fields than the header', 'a,b\n1,2,3\n', 2, 4, '3 fields and the header has 2'],
  ['a comma too much at the end', 'a,b\n1,2,\n', 2, 4, '3 fields and the header has 2'],
  ['a line of one space, which is not empty', 'a,b\n \n', 2, 4, '1 fields'],
  ['a bad row behind rows over several lines', 'a,b\n"1\n2\n3",x\n4\n', 5, 14, '1 fields'],
  ['a quote that is never closed', 'a,b\n1,2\n"3,4\n5,6\n', 3, 8, 'never closed'],
  ['a quote that is never closed in the last field', 'a,b\n1,"2', 2, 6, 'never closed'],
  ['a quote that is never closed in the header', '"a,b\n1,2\n', 1, 0, 'never closed'],
  ['a doubled quote at the end of the data', 'a,b\n1,"2""', 2, 6, 'never closed'],
  ['text behind a closing quote', 'a,b\n"1"x,2\n', 2, 7, 'between a closing quote and the next delimiter'],
  ['a space behind a closing quote', 'a,b\n"1" ,2\n', 2, 7, 'between a closing quote and the next delimiter'],
  ['a quote behind a quoted field', 'a,b\n"1"2"",3\n', 2, 7, 'between a closing quote'],
  ['a return alone for a line end', 'a,b\r1,2\r', 1, 3, 'carriage return stands alone'],
  ['a return alone in a field', 'a,b\n1\rx,2\n', 2, 5, 'carriage return stands alone'],
  ['a return alone behind quotes', 'a,b\n"1",2\rx,"3"\n', 2, 9, 'carriage return stands alone'],
  ['a return alone at the end of the data', 'a,b\n1,2\r', 2, 7, 'carriage return stands alone'],
  ['two returns before the line feed', 'a,b\n1,2\r\r\n', 2, 7, 'carriage return stands alone'],
  ['a column twice', 'a,b,a\n', 1, 0, "two columns 'a'"],
  ['an unnamed column twice', 'a,,\n', 1, 0, "two columns ''"],
  ['a column that no object can hold', 'x,__proto__\n', 1, 0, '__proto__'],
]

describe('a CSV that would lose or change data', () => {
  it.each(REFUSED)('by %s is refused with its line and byte', (_, text, line, bytePosition, words) => {
    expect(readAnyhow(text)).toMatchObject({
      code: 'SOURCE_MALFORMED',
      retryable: false,
      message: expect.stringContaining(words),
      data: { source: 's3://b/k.csv', line, bytePosition },
    })
  })

  it('is refused with an excerpt of its first line, cut at 80 characters', () => {
    const long = `a,b\n"${'x'.repeat(200)}\ny"\n`
    const { message, data } = read(long) as Failure
    expect(data['excerpt']).toBe(`"${'x'.repeat(79)}…`)
    expect(message).toBe(
      `s3://b/k.csv, line 2 (byte 4): this row has 1 fields and the header has 2. Near: ${JSON.stringify(data['excerpt'])}. Write it anew or leave it out; if it is in another format, say which: { format }.`,
    )
  })

  it('is told from one whose line numbers count on over chunks and blank lines', () => {
    const text = `a,b\n${'1,2\n'.repeat(500)}\n\n${'"3\n4",5\r\n'.repeat(100)}oops\n`
    expect(readAnyhow(text)).toMatchObject({ data: { line: 1 + 500 + 2 + 200 + 1, bytePosition: text.indexOf('oops') } })
  })
})

const TYPED: [ColumnType, string, number | boolean | null | string][] = [
  ['number', '', null],
  ['number', '0', 0],
  ['number', '-0', -0],
  ['number', '-1', -1],
  ['number', '10.50', 10.5],
  ['number', '1e3', 1000],
  ['number', '1E+3', 1000],
  ['number', '1.5e-7', 1.5e-7],
  ['number', '9007199254740991', 9007199254740991],
  ['number', '-9007199254740991', -9007199254740991],
  ['number', '9007199254740993.0', 9007199254740992],
  ['number', '1.7976931348623157e308', Number.MAX_VALUE],
  ['number', '1e-400', 0],
  ['boolean', '', null],
  ['boolean', 'true', true],
  ['boolean', 'false', false],
  ['text', '', ''],
  ['text', '007', '007'],
]

const UNTYPED: [ColumnType, string][] = [
  ['number', ' 1'],
  ['number', '1 '],
  ['number', '+1'],
  ['number', '01'],
  ['number', '-01'],
  ['number', '.5'],
  ['number', '5.'],
  ['number', '1,5'],
  ['number', '1_000'],
  ['number', '0x10'],
  ['number', '1e'],
  ['number', 'Infinity'],
  ['number', 'NaN'],
  ['number', 'null'],
  ['number', '9007199254740992'],
  ['number', '-9007199254740993'],
  ['number', '1e309'],
  ['number', '\uff11'],
  ['boolean', 'True'],
  ['boolean', 'FALSE'],
  ['boolean', '1'],
  ['boolean', 'yes'],
  ['boolean', ' true'],
]

describe('a typed column', () => {
  it.each(TYPED)('of %s reads %j as %j, in quotes too', (type, field, value) => {
    const quoted = `"${field}"`
    for (const written of [quoted, field.includes(',') ? quoted : field]) {
      expect(readAnyhow(`n,m\n${written},x\n`, { types: { n: type } })).toStrictEqual([{ n: value, m: 'x' }])
    }
  })

  it.each(UNTYPED)('of %s refuses %j, with column, value and type', (type, field) => {
    const failure = read(`m,n\nx,"${field}"\n`, { types: { n: type } })
    expect(failure).toMatchObject({ code: 'SOURCE_MALFORMED', data: { line: 2, bytePosition: 4 } })
    expect((failure as Failure).message).toContain(`'n' is ${JSON.stringify(field)}, which is no ${type}`)
  })

  it('that the header lacks is refused with the columns that are there', () => {
    expect(read('a,b\n', { types: { c: 'number' } })).toMatchObject({
      code: 'OPTION_INVALID',
      retryable: false,
      data: { option: 'types', column: 'c' },
      message: "s3://b/k.csv has no column 'c' to read as number: its columns are 'a', 'b'. Correct { types }.",
    })
  })

  it.each(['date', 'constructor', 'toString', ''])('of the unknown type %j is refused with those that exist', (type) => {
    expect(read('a\n', { types: { a: type as ColumnType } })).toMatchObject({
      code: 'OPTION_INVALID',
      data: { option: 'types', column: 'a' },
      message: expect.stringContaining("'text', 'number' and 'boolean'"),
    })
  })

  it('is looked for among own names alone', () => {
    expect(read('constructor,a\n1,2\n', { types: { a: 'number' } })).toEqual([{ constructor: '1', a: 2 }])
  })
})

describe('a delimiter', () => {
  it.each([';', '\t', '|', ' ', 'x', '.', '\\', '^', '\0'])('of %j separates fields, and a comma is then text', (delimiter) => {
    const text = ['a,b', 'c'].join(delimiter) + '\n' + [`"1${delimiter}2"`, '3,4'].join(delimiter) + '\n'
    expect(readAnyhow(text, { delimiter })).toEqual([{ 'a,b': `1${delimiter}2`, c: '3,4' }])
  })

  it.each(['', ',,', '"', '\n', '\r', 'é', '😀', '\u2028'])('of %j is refused', (delimiter) => {
    expect(read('a\n', { delimiter })).toMatchObject({
      code: 'OPTION_INVALID',
      retryable: false,
      data: { option: 'delimiter', value: delimiter },
    })
  })
})

describe('the longest record', () => {
  it('is one whose bytes, with its line end, are what a buffer may hold', () => {
    // A record that is complete within its chunk never waits; one that is not waits with the bytes it has so far.
    const row = `"${'x'.repeat(17)}"\n`
    expect(row).toHaveLength(20)
    expect(read(`a\n${row}`, {}, 1, { maxRecordBytes: 19 })).toEqual([{ a: 'x'.repeat(17) }])
    expect(read(`a\n${row}`, {}, 1, { maxRecordBytes: 18 })).toMatchObject({
      code: 'SOURCE_TOO_LARGE',
      retryable: false,
      data: { limit: 'maxRecordBytes', limitBytes: 18, bytePosition: 2 },
      message: expect.stringContaining('Raise { maxRecordBytes }'),
    })
  })

  it('is found early in a file whose quote is never closed: no more than the limit and a chunk is held', () => {
    const reader = new CsvReader({ ...context, maxRecordBytes: 1000 })
    let pushed = 0
    expect(() => {
      reader.push(new TextEncoder().encode('a,b\n"'))
      for (; pushed < 100; pushed++) reader.push(new TextEncoder().encode('1,2\n'.repeat(25)))
    }).toThrow(expect.objectContaining({ code: 'SOURCE_TOO_LARGE' }))
    expect(pushed).toBe(9)
  })
})
