// What RFC 8259 has good and bad texts for, in the manner of the suites that JSON parsers are tested with. The oracle is JSON.parse: the
// reader must give its values, and refuse what it refuses, at every cut of the bytes.
import { describe, expect, it } from 'vitest'
import { JsonReader } from '../../src/sources/json.ts'
import { NdjsonReader } from '../../src/sources/ndjson.ts'
import type { ReaderContext, RowReader } from '../../src/sources/reader.ts'
import { chunked } from './fakes.ts'

const context: ReaderContext = { address: 's3://b/k', maxRecordBytes: 1 << 16 }
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

interface Failure {
  code: string
  message: string
  data: Record<string, unknown>
}

function read(reader: RowReader, chunks: Iterable<Uint8Array>): unknown[] | Failure {
  const rows: unknown[] = []
  try {
    for (const chunk of chunks) rows.push(...reader.push(chunk))
    rows.push(...reader.end())
  } catch (thrown) {
    return thrown as Failure
  }
  return rows
}

/** Whole, byte by byte, in threes, and cut in two at every place. */
function* chunkings(bytes: Uint8Array): Generator<Uint8Array[]> {
  yield [bytes]
  for (const size of [1, 3]) yield [...chunked(bytes, size)]
  for (let cut = 1; cut < bytes.length; cut++) yield [bytes.slice(0, cut), bytes.slice(cut)]
}

function parsed(bytes: Uint8Array): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)) as unknown }
  } catch {
    return undefined
  }
}

const deep = (depth: number, open: string, inner: string, close: string): string => open.repeat(depth) + inner + close.repeat(depth)

const ACCEPTED: [string, string][] = [
  ['an empty array', '[]'],
  ['an empty array with space in it', '[ \t\r\n]'],
  ['an array with space around it', ' \t\r\n[1]\n\r\t '],
  ['space around every token', '[ 1 , { "a" : [ ] } , null ]'],
  ['arrays in arrays', '[[],[[]],[[[]]]]'],
  ['an array with several nulls', '[1,null,null,null,2]'],
  ['the three words', '[true,false,null]'],
  ['a lone false', '[false]'],
  ['minus zero', '[-0]'],
  ['zero with an exponent', '[0e1,0e+1,0E-1]'],
  ['exponents in all forms', '[1E22,1E-2,1E+2,123e45,123e65,123.456e-78]'],
  ['a double close to zero', '[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]'],
  ['a number too large for a double', '[1.5e+9999,-1e9999]'],
  ['an integer too large for a double', '[100000000000000000000]'],
  ['an integer that a double rounds', '[9007199254740993]'],
  ['the empty string', '[""]'],
  ['all simple escapes', String.raw`["\"\\\/\b\f\n\r\t"]`],
  ['escapes in capitals and small letters', String.raw`["\u0060\u012a\u12AB\uFfFf"]`],
  ['an escaped pair of surrogates', String.raw`["\uD801\udc37"]`],
  ['half of an escaped pair', String.raw`["\uD801", "\uDC00a", "\uD800\uD800"]`],
  ['an escaped quote at the end', String.raw`["\""]`],
  ['an escaped backslash at the end', String.raw`["\\"]`],
  ['an escaped backslash and an escaped quote', String.raw`["\\\""]`],
  ['escaped control characters', String.raw`["\u0000\u001f"]`],
  ['DEL and unescaped separators of lines', '["\u007f\u2028\u2029"]'],
  ['characters of one to four bytes', '["aé\u20ac\u{1d11e}"]'],
  ['non-characters', '["\uffff\u{10ffff}"]'],
  ['brackets, braces, commas and colons in strings', '["[","]{",",},:","}"]'],
  ['a comment in a string', '["a/*b*/c//d"]'],
  ['an empty object', '{}'],
  ['an object of one key', '{"a":[]}'],
  ['an empty key', '{"":0}'],
  ['a key that occurs twice', '{"a":"b","a":"c"}'],
  ['an escaped NUL in a key', String.raw`{"foo\u0000bar": 42}`],
  ['keys that are escaped', String.raw`{"\u006b":"\u006b","k2":1}`],
  ['a key that every object inherits', '{"constructor":1,"toString":2,"hasOwnProperty":3}'],
  ['an object over several lines', '{\n"a": "b"\r\n}'],
  ['500 arrays in each other', deep(500, '[', '', ']')],
  ['500 objects in each other', deep(500, '{"a":', '1', '}')],
]

const REFUSED: [string, string][] = [
  ['a comma at the end', '[1,]'],
  ['two commas at the end', '[1,,]'],
  ['two commas', '[1,,2]'],
  ['a comma at the start', '[,1]'],
  ['a comma alone', '[,]'],
  ['a comma after the end', '[1],'],
  ['no comma', '[1 2]'],
  ['no comma after an array', '[3[4]]'],
  ['no comma between strings', '["a" "b"]'],
  ['a colon for a comma', '["":1]'],
  ['a semicolon for a comma', '[1;2]'],
  ['no end', '["a"'],
  ['no end after a comma', '[1,'],
  ['no end of an inner array', '[1,[2]'],
  ['an end too much', '[1]]'],
  ['the end of an object', '[1}'],
  ['the end of an array', '{"a":1]'],
  ['an end that crosses another', '[{"a":[1}]]'],
  ['a document behind another', '[1][2]'],
  ['an object behind an object', '{"a":1}{"b":2}'],
  ['a word behind the end', '[1]x'],
  ['a brace alone', '{'],
  ['a bracket alone', '['],
  ['a closing bracket alone', ']'],
  ['nothing', ''],
  ['space alone', ' \n'],
  ['half of each word', '[nul]'],
  ['a word in capitals', '[True]'],
  ['NaN', '[NaN]'],
  ['Infinity', '[Infinity]'],
  ['-Infinity', '[-Infinity]'],
  ['undefined', '[undefined]'],
  ['a plus before a number', '[+1]'],
  ['two signs', '[--1]'],
  ['a sign alone', '[-]'],
  ['a leading zero', '[012]'],
  ['a leading zero behind a sign', '[-01]'],
  ['no digit before the point', '[.5]'],
  ['no digit after the point', '[1.]'],
  ['no digit between point and exponent', '[0.e1]'],
  ['no digit in the exponent', '[1e]'],
  ['a sign alone in the exponent', '[1e+]'],
  ['two points', '[1.2.3]'],
  ['hexadecimal', '[0x42]'],
  ['a digit of another script', '[\uff11]'],
  ['a separator of digits', '[1_000]'],
  ['a space within a number', '[1 000.0]'],
  ['single quotes', "['a']"],
  ['a word without quotes', '[a]'],
  ['a string that does not end', '["a]'],
  ['a string that ends in an escape', String.raw`["a\"]`],
  ['a backslash before the end', String.raw`["\\\"]`],
  ['an escape that does not exist', String.raw`["\a"]`],
  ['an escape in hexadecimal', String.raw`["\x00"]`],
  ['an escaped space', '["\\ "]'],
  ['an escape of three digits', String.raw`["\u00A"]`],
  ['an escape of no digits', String.raw`["\uqqqq"]`],
  ['an escape outside of a string', String.raw`[\n]`],
  ['a tab in a string', '["\t"]'],
  ['a line feed in a string', '["new\nline"]'],
  ['a NUL in a string', '["a\0a"]'],
  ['a NUL outside of strings', '[\0]'],
  ['a form feed as space', '[\f]'],
  ['a no-break space as space', '[\u00a01]'],
  ['a line separator as space', '[1\u2028]'],
  ['a byte order mark within', '[1,\ufeff2]'],
  ['a comment', '[1/* one */]'],
  ['a comment behind the end', '[1]// end'],
  ['a hash behind the end', '{"a":1}#'],
  ['a comma at the end of an object', '{"id":0,}'],
  ['two commas in an object', '{"a":1,,"b":2}'],
  ['a comma at the start of an object', '{,"a":1}'],
  ['a key without quotes', '{a:1}'],
  ['a key in single quotes', "{'a':0}"],
  ['a number for a key', '{1:1}'],
  ['a null for a key', '{null:null}'],
  ['a key without a value', '{"a":}'],
  ['a key without a colon', '{"a" "b"}'],
  ['a key alone', '{"a"}'],
  ['two colons', '{"a"::"b"}'],
  ['a value without a key', '{:"b"}'],
  ['a string behind a value', '{"a":"b" "c"}'],
  ['no end of an object', '{"a":true'],
  ['an object that ends in a key', '{"a":1,"b'],
  ['100 arrays that do not end', '['.repeat(100)],
]

describe('JSON', () => {
  it.each(ACCEPTED)('with %s is read as JSON.parse reads it, at every cut', (_, text) => {
    const bytes = encode(text)
    const value = parsed(bytes)?.value
    expect(value).toBeDefined()
    const rows = Array.isArray(value) ? (value as unknown[]) : [value]
    // Every cut of a long text is a minute of work: those are cut in a few ways.
    const ways = bytes.length > 300 ? [[bytes], [...chunked(bytes, 1)], [...chunked(bytes, 7)]] : chunkings(bytes)
    for (const chunks of ways) expect(read(new JsonReader(context), chunks)).toStrictEqual(rows)
  })

  it.each(REFUSED)('with %s is refused, in the same words at every cut, with the address and the byte', (_, text) => {
    const bytes = encode(text)
    expect(parsed(bytes)).toBeUndefined()
    const words = new Set<string>()
    for (const chunks of chunkings(bytes)) {
      const failure = read(new JsonReader(context), chunks) as Failure
      expect(failure).toMatchObject({ code: 'SOURCE_MALFORMED', retryable: false, data: { source: 's3://b/k' } })
      expect(failure.message).toMatch(/^s3:\/\/b\/k, (byte \d+|element \d+ \(byte \d+\)): .+\./)
      const at = failure.data['bytePosition'] as number
      expect(at).toBeGreaterThanOrEqual(0)
      expect(at).toBeLessThanOrEqual(bytes.length)
      words.add(failure.message.replace(/ Near: .*/s, ''))
    }
    expect([...words]).toHaveLength(1)
  })

  const scalars = ['1', '-0', 'true', 'null', '"a"', ' "[1]" ']
  it.each(scalars)('of the one value %s is no source: rows are elements of an array, or one object', (text) => {
    expect(parsed(encode(text))).toBeDefined()
    for (const chunks of chunkings(encode(text))) {
      expect(read(new JsonReader(context), chunks)).toMatchObject({ code: 'SOURCE_MALFORMED', message: expect.stringContaining('neither') })
    }
  })

  const BYTES: [string, number[]][] = [
    ['a byte that begins nothing', [0xff]],
    ['a byte that only continues', [0x80]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['an overlong NUL', [0xe0, 0x80, 0x80]],
    ['half of a surrogate pair', [0xed, 0xa0, 0x80]],
    ['a pair of surrogates in three bytes each', [0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80]],
    ['a character cut short', [0xe2, 0x82]],
    ['a code point beyond the last', [0xf4, 0x90, 0x80, 0x80]],
    ['Latin-1', [0xe9]],
    ['a byte order mark of UTF-16', [0xff, 0xfe]],
  ]
  it.each(BYTES)('with %s in a string is not UTF-8, and is refused at every cut', (_, bad) => {
    const bytes = Uint8Array.from([...encode('[{"ok":1},"'), ...bad, ...encode('",2]')])
    for (const chunks of chunkings(bytes)) {
      const failure = read(new JsonReader(context), chunks)
      expect(failure).toMatchObject({ code: 'SOURCE_MALFORMED', message: expect.stringContaining('not UTF-8') })
    }
  })

  it('gives what it read before the place that is wrong, and nothing after', () => {
    const reader = new JsonReader(context)
    expect(reader.push(encode('[1,2,'))).toEqual([1, 2])
    expect(reader.push(encode('3,4'))).toEqual([3])
    expect(() => reader.push(encode('x,5,6'))).toThrow(/element 4 \(byte 7\): this element is not JSON. Near: "4x"/)
  })
})

describe('NDJSON', () => {
  const GOOD: [string, string, unknown[]][] = [
    ['nothing', '', []],
    ['one line without its end', '1', [1]],
    ['one line', '{"a":1}\n', [{ a: 1 }]],
    ['lines that end in CRLF', '{"a":1}\r\n{"a":2}\r\n', [{ a: 1 }, { a: 2 }]],
    ['both ends mixed', '1\r\n2\n3\r\n4', [1, 2, 3, 4]],
    ['a last line that ends in a lone return', '1\n2\r', [1, 2]],
    ['blank lines anywhere', '\n\r\n1\n\n\r\n \t\r\n2\n\n', [1, 2]],
    ['blank lines alone', '\n \n\t\r\n', []],
    ['space around documents', ' 1 \n\t{"a":1}\t\r\n', [1, { a: 1 }]],
    ['every kind of value', 'null\ntrue\n-0.5e1\n"a"\n[1,2]\n{}\n', [null, true, -5, 'a', [1, 2], {}]],
    ['escaped line ends in strings', '"a\\nb\\r\\nc"\n', ['a\nb\r\nc']],
    ['line separators of Unicode, which end no line', '"a\u2028b\u0085c"\n', ['a\u2028b\u0085c']],
    ['a byte order mark in front', '\ufeff1\n2\n', [1, 2]],
    ['a byte order mark and nothing else', '\ufeff', []],
    ['a byte order mark before a blank line', '\ufeff\n\n1\n', [1]],
  ]
  it.each(GOOD)('of %s is read at every cut', (_, text, rows) => {
    for (const chunks of chunkings(encode(text))) expect(read(new NdjsonReader(context), chunks)).toStrictEqual(rows)
  })

  const BAD: [string, string, number, number][] = [
    ['two documents in a line', '1\n{"a":1}{"b":2}\n', 2, 2],
    ['a document over two lines', '{"a":\n1}\n', 1, 0],
    ['a list with commas between its lines', '{"a":1},\n{"a":2}\n', 1, 0],
    ['an array around its lines', '[\n1\n]\n', 1, 0],
    ['a lone return between documents', '1\r2\n', 1, 0],
    ['a line feed in a string', '\n"a\nb"\n', 2, 1],
    ['a comment line', '1\r\n# two\r\n', 2, 3],
    ['a line that was cut off at the end', '{"é":1}\n{"a"', 2, 9],
    ['a no-break space within a document', '1\n\u00a02\n', 2, 2],
    ['a byte order mark in the second line', '1\n\ufeff2\n', 2, 2],
    ['a NUL', '1\n\0\n', 2, 2],
  ]
  it.each(BAD)('with %s is refused with its line and byte, at every cut', (_, text, line, bytePosition) => {
    for (const chunks of chunkings(encode(text))) {
      expect(read(new NdjsonReader(context), chunks)).toMatchObject({ code: 'SOURCE_MALFORMED', data: { line, bytePosition } })
    }
  })

  it('accepts and refuses a line exactly as JSON.parse does, whatever suite it is of', () => {
    for (const [name, text] of [...ACCEPTED, ...REFUSED]) {
      if (/[\n\r]/.test(text) || text.trim() === '') continue
      const value = parsed(encode(text))
      const rows = read(new NdjsonReader(context), [encode(`0\n${text}\n`)])
      if (value === undefined) expect(rows, name).toMatchObject({ code: 'SOURCE_MALFORMED', data: { line: 2 } })
      else expect(rows, name).toStrictEqual([0, value.value])
    }
  })
})
