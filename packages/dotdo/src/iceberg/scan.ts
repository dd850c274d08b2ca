import { DotdoError } from '../base/errors.ts'
import { readParquet, type Row } from '../parquet/reader.ts'
import { readManifestList } from './manifest-list.ts'
import { entryStatus, readManifest } from './manifest.ts'
import { currentSnapshot } from './metadata.ts'
import { keyOf, type ObjectStore } from './ports.ts'
import { currentSchema } from './schema.ts'
import type { DataFile, TableMetadata } from './types.ts'

/** How a table is read. */
export interface ScanOptions {
  /** zstd, refusing to make more than `sizeBytes`. */
  decompress(bytes: Uint8Array, sizeBytes: number): Uint8Array
  /** Columns by name; all where it is absent. */
  columns?: readonly string[]
  /** Columns whose text is JSON and is wanted as its value. */
  json?: readonly string[]
}

/**
 * All rows of the table's current snapshot, in batches, file by file. Memory is bounded by one row group.
 *
 * @throws `METADATA_MISSING` for a file that the table names and the bucket lacks, `ICEBERG_UNSUPPORTED` for tables with row-level deletes
 */
export async function* scanTable(
  bucket: ObjectStore,
  metadata: TableMetadata,
  options: ScanOptions,
): AsyncGenerator<Row[], void, undefined> {
  // Columns are found by name: the tables written here never rename one.
  const names = options.columns ?? currentSchema(metadata).fields.map((it) => it.name)
  for await (const file of dataFiles(bucket, metadata)) {
    const source = { sizeBytes: file.sizeBytes, read: (offset: number, length: number) => readRange(bucket, file.path, offset, length) }
    yield* readParquet(source, {
      decompress: (bytes, sizeBytes) => options.decompress(bytes, sizeBytes),
      columns: names,
      ...(options.json && { json: options.json }),
    })
  }
}

/** The data files of the table's current snapshot. @throws as {@link scanTable} */
export async function* dataFiles(bucket: ObjectStore, metadata: TableMetadata): AsyncGenerator<DataFile, void, undefined> {
  const snapshot = currentSnapshot(metadata)
  if (!snapshot) return
  for (const manifest of readManifestList(await readObject(bucket, snapshot['manifest-list']))) {
    if (manifest.content !== 0)
      throw new DotdoError(
        'ICEBERG_UNSUPPORTED',
        `The table at ${metadata.location} holds row-level deletes, which are not read here. Rewrite its data files with an engine that applies them.`,
        { data: { location: metadata.location } },
      )
    for (const entry of readManifest(await readObject(bucket, manifest.path))) if (entry.status !== entryStatus.deleted) yield entry.file
  }
}

/** A whole object: metadata, which is small. */
async function readObject(bucket: ObjectStore, location: string): Promise<Uint8Array> {
  const object = await bucket.get(keyOf(location))
  if (!object) throw missing(location)
  return new Uint8Array(await object.arrayBuffer())
}

/** A part of a data file. */
async function readRange(bucket: ObjectStore, location: string, offset: number, length: number): Promise<Uint8Array> {
  const object = await bucket.get(keyOf(location), { range: { offset, length } })
  if (!object) throw missing(location)
  return new Uint8Array(await object.arrayBuffer())
}

/** An object that the table names and the bucket lacks. */
function missing(location: string): DotdoError {
  return new DotdoError(
    'METADATA_MISSING',
    `The bucket has no ${location}, which the table names. Restore the object, or roll the table back to an earlier snapshot.`,
    { data: { location } },
  )
}
