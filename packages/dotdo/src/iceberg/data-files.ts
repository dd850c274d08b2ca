/**
 * Owns the open Parquet files of one write: rows are routed to the file of their partition, and full files go to the bucket.
 *
 * 1. At most `maxOpenFiles` files are open and at most about `maxBufferedBytes` are held; past
 *    either, the largest file is closed and uploaded before the next row is taken. A table of more partitions than open files is written all the same, in more and smaller files.
 * 2. A key is listed in `uploadedKeys` before its put begins, so whoever cleans up knows of every object that may exist.
 * 3. A refused row leaves no trace, and the whole write is given up with it: nothing has been committed.
 */
import { codeOf, DotdoError } from '../base/errors.ts'
import type { Column } from '../parquet/schema.ts'
import { ParquetWriter, type ParquetFileInfo } from '../parquet/writer.ts'
import { keyOf, type ObjectStore } from './ports.ts'
import { lowerBound, upperBound } from './single-value.ts'
import { partitionText, transformOf, transformResult } from './transforms.ts'
import type { DataFile, PartitionSpec, PartitionValue, Schema } from './types.ts'
import { acceptedBy, icebergType, preview, storedValue } from './values.ts'

/** Limits of one write, overridable by name. */
export interface WriteLimits {
  /** Open files, one a partition. */
  maxOpenFiles: number
  /** Bytes of rows that are held before the largest file is closed. */
  maxBufferedBytes: number
  /** Files of one commit: its manifest is made in memory. */
  maxFiles: number
}

/** The limits where nothing else is said: together under a third of a 128 MB isolate. */
export const writeLimits: WriteLimits = { maxOpenFiles: 64, maxBufferedBytes: 24 * 1024 * 1024, maxFiles: 10_000 }

/** What the files of a write are made with. */
export interface DataFilesPlan {
  columns: readonly Column[]
  schema: Schema
  spec: PartitionSpec
  /** The table's location. */
  location: string
  /** The start of every file's name: unique to this attempt. */
  namePrefix: string
  bucket: ObjectStore
  compress(bytes: Uint8Array): Uint8Array
  limits: WriteLimits
  /** Told after each file is in the bucket. */
  uploaded?(file: DataFile): void
}

/** A record as it comes: checked here, gathered by the Parquet writer. */
type Row = Record<string, unknown>

/** The file of one partition, while rows still go into it. */
interface OpenFile {
  partition: PartitionValue[]
  writer: ParquetWriter
  /** What was counted of this file in the total. */
  countedBytes: number
}

/** One column of the partition tuple. */
interface Router {
  column: Column
  transform: string
  result: string
  name: string
  apply(value: PartitionValue): PartitionValue
}

/** The open files of one write. Used once: `add` every row, then `finish`. */
export class DataFiles {
  readonly #plan: DataFilesPlan
  readonly #routers: Router[]
  readonly #open = new Map<string, OpenFile>()
  readonly #files: DataFile[] = []
  readonly #names: ReadonlySet<string>
  readonly #footer: Record<string, string>
  #bufferedBytes = 0
  #started = 0
  /** Keys of objects that were put, or may have been. */
  readonly uploadedKeys: string[] = []

  constructor(plan: DataFilesPlan) {
    this.#plan = plan
    this.#names = new Set(plan.columns.map((it) => it.name))
    this.#footer = { 'iceberg.schema': JSON.stringify(plan.schema) }
    this.#routers = plan.spec.fields.map((field) => {
      const column = plan.columns.find((it) => it.fieldId === field['source-id'])
      const result = column && transformResult(field.transform, column.type)
      if (!column || result === undefined)
        throw new DotdoError(
          'ICEBERG_UNSUPPORTED',
          `The table is partitioned by ${field.name} (${field.transform} of field ${field['source-id']}), which is not written here. Write to another table, or partition it by another transform.`,
          { data: { field: field.name } },
        )
      return { column, transform: field.transform, result, name: field.name, apply: transformOf(field.transform, column.type) }
    })
  }

  /**
   * Takes one row. Answers a promise where a file had to be uploaded to make room: await it before the next row.
   *
   * @param number the row's place in the write, from 1
   * @throws `INVALID_RECORD` (terminal), `TOO_MANY_FILES` (terminal)
   */
  add(row: Row, number: number): Promise<void> | undefined {
    this.#checkKeys(row, number)
    const partition = this.#routers.map((router) => router.apply(this.#routed(router.column, row, number)))
    const key = partition.length === 1 ? partKey(partition[0]!) : partition.map(partKey).join('\x1f')
    const file = this.#open.get(key) ?? this.#start(key, partition)
    try {
      file.writer.add(row)
    } catch (thrown) {
      throw codeOf(thrown) === 'INVALID_VALUE' ? invalidRecord(thrown as DotdoError, this.#plan.columns, number) : thrown
    }
    this.#count(file)
    if (this.#bufferedBytes > this.#plan.limits.maxBufferedBytes || this.#open.size > this.#plan.limits.maxOpenFiles)
      return this.#makeRoom()
    return undefined
  }

  /** Closes and uploads what is open, and gives all files of the write. @throws `STORAGE_WRITE_FAILED` (retryable) */
  async finish(): Promise<DataFile[]> {
    // Closing takes the file out of the map, which iteration by a Map's own iterator allows.
    for (const key of this.#open.keys()) await this.#close(key)
    return this.#files
  }

  /** The stored value that a row's partition is computed from. @throws `INVALID_RECORD` */
  #routed(column: Column, row: Row, number: number): PartitionValue {
    // A column may have the name of something that every object inherits, such as `constructor`.
    const value = Object.hasOwn(row, column.name) || !(column.name in Object.prototype) ? row[column.name] : undefined
    const stored = storedValue(column.type, value)
    if (stored === undefined || (stored === null && column.required))
      throw refused(column, value === undefined ? 'nothing' : preview(value), acceptedBy(column.type), number)
    return stored
  }

  /** A key without a column would be dropped without a word, and the table would lack it for ever. */
  #checkKeys(row: Row, number: number): void {
    if (typeof row !== 'object' || row === null || Array.isArray(row)) {
      throw new DotdoError(
        'INVALID_RECORD',
        `Record ${number} is ${preview(row)}. A record is an object with the keys ${[...this.#names].join(', ')}. Nothing was committed.`,
        { data: { record: number, accepted: [...this.#names] } },
      )
    }
    for (const key in row) {
      if (this.#names.has(key) || row[key] === undefined) continue
      throw new DotdoError(
        'INVALID_RECORD',
        `Record ${number} has ${key} = ${preview(row[key])}, and the table has no such column; it has ${[...this.#names].join(', ')}. Leave the key out, or add the column to the schema. Nothing was committed.`,
        {
          data: { record: number, column: key, value: preview(row[key]), accepted: [...this.#names] },
        },
      )
    }
  }

  /** Opens the file of a partition. @throws `TOO_MANY_FILES` */
  #start(key: string, partition: PartitionValue[]): OpenFile {
    const plan = this.#plan
    const { columns, limits } = plan
    if (this.#started++ >= limits.maxFiles) {
      throw new DotdoError(
        'TOO_MANY_FILES',
        `This write makes more than ${limits.maxFiles} files, because its rows spread over too many partitions. Partition by something coarser (day in place of hour, bucket(16, id) in place of id), or write fewer rows at once. Nothing was committed.`,
        { data: { maxFiles: limits.maxFiles } },
      )
    }
    const writer = new ParquetWriter(columns, { codec: 'zstd', compress: (bytes) => plan.compress(bytes), metadata: this.#footer })
    const file: OpenFile = { partition, writer, countedBytes: 0 }
    this.#open.set(key, file)
    return file
  }

  /** Brings the total up to date with one file. */
  #count(file: OpenFile): void {
    const bytes = file.writer.bufferedBytes
    this.#bufferedBytes += bytes - file.countedBytes
    file.countedBytes = bytes
  }

  /** Closes the largest files until half of the memory is free: closing down to the bound alone would close one a row. */
  async #makeRoom(): Promise<void> {
    while (
      this.#open.size > 0 &&
      (this.#bufferedBytes > this.#plan.limits.maxBufferedBytes / 2 || this.#open.size > this.#plan.limits.maxOpenFiles)
    ) {
      let largest: string | undefined
      let most = -1
      for (const [key, file] of this.#open) {
        if (file.countedBytes <= most) continue
        most = file.countedBytes
        largest = key
      }
      await this.#close(largest!)
    }
  }

  /** Ends a file and uploads it whole: a bucket's put is atomic, so no reader ever finds half a file. */
  async #close(openKey: string): Promise<void> {
    const file = this.#open.get(openKey)!
    this.#open.delete(openKey)
    this.#bufferedBytes -= file.countedBytes
    const info = file.writer.finish()
    // Opened for a row that was refused.
    if (info.rows === 0) return
    const path = `${this.#plan.location}/data/${this.#folder(file.partition)}${this.#plan.namePrefix}-${String(this.#files.length).padStart(5, '0')}.parquet`
    const key = keyOf(path)
    // Before the put: one that fails may have stored the object all the same.
    this.uploadedKeys.push(key)
    try {
      await this.#plan.bucket.put(key, concat(file.writer.takeChunks(), info.sizeBytes))
    } catch (cause) {
      throw new DotdoError(
        'STORAGE_WRITE_FAILED',
        `Uploading ${path} (${info.sizeBytes} bytes) failed: ${cause instanceof Error ? cause.message : String(cause)}. Nothing was committed; try again.`,
        { retryable: true, data: { path, sizeBytes: info.sizeBytes }, cause },
      )
    }
    const data = dataFile(path, file.partition, info, this.#plan.columns)
    this.#files.push(data)
    this.#plan.uploaded?.(data)
  }

  /** `ts_day=2001-01-01/`: for people. Readers take partition values from the manifest, so odd characters may fall out of it. */
  #folder(partition: readonly PartitionValue[]): string {
    return this.#routers
      .map((router, i) => `${safe(router.name)}=${safe(partitionText(router.result, router.transform, partition[i] ?? null))}/`)
      .join('')
  }
}

/** A finished file as its manifest tells of it. JSON texts get no bounds: their order means nothing. */
export function dataFile(path: string, partition: PartitionValue[], info: ParquetFileInfo, columns: readonly Column[]): DataFile {
  const file: DataFile = {
    path,
    format: 'PARQUET',
    partition,
    recordCount: info.rows,
    sizeBytes: info.sizeBytes,
    columnSizes: new Map(),
    valueCounts: new Map(),
    nullCounts: new Map(),
    nanCounts: new Map(),
    lowerBounds: new Map(),
    upperBounds: new Map(),
    splitOffsets: info.splitOffsets,
  }
  for (const summary of info.columns) {
    const { fieldId } = summary
    file.columnSizes.set(fieldId, summary.sizeBytes)
    file.valueCounts.set(fieldId, summary.valueCount)
    file.nullCounts.set(fieldId, summary.nullCount)
    if (summary.nanCount !== undefined) file.nanCounts.set(fieldId, summary.nanCount)
    const type = columns.find((it) => it.fieldId === fieldId)?.type
    if (type === undefined || type === 'json') continue
    const lower = storedValue(type, summary.lower) ?? null
    const upper = storedValue(type, summary.upper) ?? null
    const lowerBytes = lower === null ? undefined : lowerBound(icebergType(type), lower)
    const upperBytes = upper === null ? undefined : upperBound(icebergType(type), upper)
    if (lowerBytes) file.lowerBounds.set(fieldId, lowerBytes)
    if (upperBytes) file.upperBounds.set(fieldId, upperBytes)
  }
  return file
}

/** The Parquet writer counts the rows of its own file; what a user knows is the record of the write. */
function invalidRecord(error: DotdoError, columns: readonly Column[], number: number): DotdoError {
  const { data } = error
  const column = columns.find((it) => it.name === data.column)
  if (column) return refused(column, String(data.value), String(data.accepts), number)
  return new DotdoError('INVALID_RECORD', `Record ${number}: ${error.message} Nothing was committed.`, {
    data: { ...data, record: number },
  })
}

function refused(column: Column, value: string, accepted: string, number: number): DotdoError {
  const { name, type, required } = column
  const says = value === 'nothing' ? `has no ${name}` : `has ${name} = ${value}`
  const kind = required ? `a required ${type}` : `of type ${type}`
  return new DotdoError(
    'INVALID_RECORD',
    `Record ${number} ${says}. ${name} is ${kind}: give ${accepted}. Nothing was committed; mend the record or filter it out, and write again.`,
    {
      data: { record: number, column: name, value, accepted },
    },
  )
}

/** Values of one column have one type, so their text parts them; null is told from the text `null`. */
function partKey(value: PartitionValue): string {
  return value === null ? '\x00' : value instanceof Uint8Array ? value.join() : String(value)
}

/** A part of a path, in characters that no store, shell or address reads as something else. */
function safe(text: string): string {
  return text.replace(/[^\w.-]/g, '_').slice(0, 64)
}

/** One body for the put. The chunks are let go with it. */
function concat(chunks: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  if (chunks.length === 1) return chunks[0]!
  const bytes = new Uint8Array(sizeBytes)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}
