import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import fc from 'fast-check'
import { parquetReadObjects } from 'hyparquet'
import { vi } from 'vitest'
import { readParquet, type ReadOptions, type Row } from '../../src/parquet/reader.ts'
import type { ParquetSource } from '../../src/parquet/footer-reader.ts'
import type { Column, ColumnType } from '../../src/parquet/schema.ts'
import { ParquetWriter, type ParquetFileInfo, type ParquetOptions } from '../../src/parquet/writer.ts'

// Properties and real data on a busy machine: a slow run is no failure.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

export const compress = (bytes: Uint8Array): Uint8Array => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } })

/** Refuses to make more than was said, as the reader's contract asks. */
export const decompress = (bytes: Uint8Array, sizeBytes: number): Uint8Array => zstdDecompressSync(bytes, { maxOutputLength: sizeBytes })

export const TYPES: ColumnType[] = [
  'boolean',
  'int',
  'long',
  'float',
  'double',
  'date',
  'timestamp',
  'timestamptz',
  'string',
  'json',
  'binary',
  'uuid',
]

/** One optional column of each type, named by it. */
export const EVERY_COLUMN: Column[] = TYPES.map((type, i) => ({ name: type, type, required: false, fieldId: i + 1 }))

export function column(name: string, type: ColumnType, required = false, fieldId = 1): Column {
  return { name, type, required, fieldId }
}

export interface Written {
  bytes: Uint8Array
  info: ParquetFileInfo
}

export function write(columns: readonly Column[], rows: Iterable<Row>, options: Partial<ParquetOptions> = {}): Written {
  const writer = new ParquetWriter(columns, { codec: 'zstd', compress, ...options })
  for (const row of rows) writer.add(row)
  const info = writer.finish()
  return { bytes: new Uint8Array(Buffer.concat(writer.takeChunks())), info }
}

/** A file in memory that counts what is read of it. */
export function source(bytes: Uint8Array): ParquetSource & { reads: { offset: number; length: number }[] } {
  const reads: { offset: number; length: number }[] = []
  return {
    sizeBytes: bytes.length,
    reads,
    async read(offset, length) {
      reads.push({ offset, length })
      return bytes.subarray(offset, offset + length)
    },
  }
}

export async function readBack(bytes: Uint8Array, options: ReadOptions = {}): Promise<Row[]> {
  const rows: Row[] = []
  for await (const batch of readParquet(source(bytes), { decompress, ...options })) rows.push(...batch)
  return rows
}

/** Rows as hyparquet reads them: an independent reader in JavaScript. Times come as Dates, bytes stay bytes. */
export async function readByHyparquet(bytes: Uint8Array): Promise<Row[]> {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer
  return parquetReadObjects({
    file,
    utf8: false,
    compressors: { ZSTD: (input: Uint8Array, size: number) => new Uint8Array(decompress(input, size)) },
  })
}

/** A DuckDB of its own and a folder for the files it reads. */
export class Duck {
  readonly folder = mkdtempSync(join(tmpdir(), 'parquet-test-'))
  #connection: DuckDBConnection | undefined
  #files = 0

  async start(): Promise<this> {
    const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
    this.#connection = await instance.connect()
    await this.#connection.run("set TimeZone = 'UTC'")
    return this
  }

  /** Lays a file down and gives its path. */
  file(bytes: Uint8Array): string {
    const path = join(this.folder, `${++this.#files}.parquet`)
    writeFileSync(path, bytes)
    return path
  }

  async query(sql: string): Promise<Record<string, unknown>[]> {
    return (await this.#connection!.runAndReadAll(sql)).getRowObjects()
  }

  stop(): void {
    this.#connection?.closeSync()
    rmSync(this.folder, { recursive: true })
  }
}

const MS_DAY = 86_400_000

/** Text with what trips writers and readers: nothing, non-ASCII, pairs of surrogates, the byte order mark, NUL, code units around them. */
export const text: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 2, arbitrary: fc.string({ maxLength: 10 }) },
  { weight: 2, arbitrary: fc.constantFrom('', '\ufeffbom', '\0', 'é', '😀', '\uffff', '\u{10ffff}', '\ud7ff', '\ue000', 'same', 'same ') },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 60, maxLength: 200 }) },
)

const long = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer({ min: -5, max: 5 }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(-(2n ** 63n), 2n ** 63n - 1n, 2n ** 53n, -(2n ** 53n), Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0),
)

/** Times whose every microsecond DuckDB, too, can hold, some with a fraction of a millisecond. */
const timeMs = fc.oneof(
  fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
  fc.integer({ min: 0, max: 4e12 }).map((ms) => ms + 0.125),
)

/** Values of each type in the form that reading gives back. */
export const VALUES: Record<ColumnType, fc.Arbitrary<unknown>> = {
  boolean: fc.boolean(),
  int: fc.oneof(fc.integer(), fc.integer({ min: -3, max: 3 }), fc.constantFrom(-(2 ** 31), 2 ** 31 - 1)),
  // A bigint that a number can hold comes back as the number.
  long: long.map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) + 0 : value)),
  float: fc.float(),
  double: fc.double(),
  date: fc.integer({ min: -719_162, max: 2_932_896 }),
  timestamp: timeMs,
  timestamptz: timeMs,
  string: text,
  json: fc.json(),
  binary: fc.uint8Array({ maxLength: 80 }),
  uuid: fc.uuid(),
}

/** Rows over {@link EVERY_COLUMN}, by runs of equal rows and of nulls, so that runs of all kinds of lengths occur. */
export const everyRows: fc.Arbitrary<Row[]> = fc
  .array(
    fc.tuple(
      fc.record(
        Object.fromEntries(TYPES.map((type) => [type, fc.option(VALUES[type], { freq: 4 })])) as Record<ColumnType, fc.Arbitrary<unknown>>,
      ),
      fc.oneof({ weight: 6, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.integer({ min: 2, max: 40 }) }),
    ),
    { maxLength: 60 },
  )
  .map((runs) => runs.flatMap(([row, times]) => Array.from({ length: times }, () => row)))

/** What a row gives for a `json` column whose stored text is `text`. */
export function jsonRow(row: Row): Row {
  return { ...row, json: typeof row.json === 'string' ? (JSON.parse(row.json) as unknown) : null }
}

/** A row as {@link readBack} gives it: JSON in the form that `JSON.stringify` gives, floats in single precision. */
export function expected(row: Row): Row {
  const json = typeof row.json === 'string' ? JSON.parse(row.json) : null
  // JSON's null is null: the value of the row is null, and nothing tells it from an absent one.
  return { ...row, json: json === null ? null : JSON.stringify(json) }
}

/** Both foreign bindings drop a byte order mark in front of a text on its way into JavaScript. */
export function withoutMark(row: Row): Row {
  return { ...row, string: typeof row.string === 'string' ? row.string.replace(/^\ufeff/, '') : null }
}

/** A row of ours as hyparquet gives it. */
export function asHyparquet(row: Row): Row {
  const shown: Row = {}
  for (const [name, value] of Object.entries(row)) {
    if (value === null) shown[name] = null
    else if (name === 'long') shown[name] = BigInt(value as number)
    else if (name === 'date') shown[name] = new Date((value as number) * MS_DAY)
    else if (name === 'timestamp' || name === 'timestamptz') shown[name] = new Date(Math.trunc(value as number))
    else shown[name] = value
  }
  return shown
}

function microsToMs(micros: bigint): number {
  const narrow = Number(micros)
  return Number.isSafeInteger(narrow) ? narrow / 1000 : Number(micros / 1000n) + Number(micros % 1000n) / 1000
}

/** A row of DuckDB in our form. */
export function fromDuck(row: Record<string, unknown>): Row {
  const shown: Row = {}
  for (const [name, value] of Object.entries(row)) {
    if (value === null) shown[name] = null
    else if (typeof value === 'bigint') shown[name] = Number.isSafeInteger(Number(value)) ? Number(value) : value
    else if (typeof value !== 'object') shown[name] = value
    else if ('days' in value) shown[name] = value.days
    else if ('micros' in value) shown[name] = microsToMs(value.micros as bigint)
    else if ('bytes' in value) shown[name] = new Uint8Array(value.bytes as Uint8Array)
    else shown[name] = (value as { toString(): string }).toString()
  }
  return shown
}
