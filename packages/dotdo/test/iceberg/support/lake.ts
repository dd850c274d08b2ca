import { zstdCompressSync, zstdDecompressSync, constants } from 'node:zlib'
import { Catalog } from '../../../src/iceberg/catalog.ts'
import { IcebergWriter, type IcebergWriterOptions, type WriterPorts } from '../../../src/iceberg/writer.ts'
import { ManualClock, SeededRandom } from '../../support/fakes.ts'
import { SqliteStore } from '../../support/sqlite-store.ts'
import { MemoryBucket } from './memory-bucket.ts'

/** zstd at level 1, as the adapter gives it. */
export function compress(bytes: Uint8Array): Uint8Array {
  return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } })
}

/** Its reverse. */
export function decompress(bytes: Uint8Array): Uint8Array {
  return zstdDecompressSync(bytes)
}

/** A warehouse of its own: bucket, catalog, clock and randomness, all by one seed. */
export interface Lake {
  bucket: MemoryBucket
  store: SqliteStore
  clock: ManualClock
  random: SeededRandom
  catalog: Catalog
  writer(options?: Partial<IcebergWriterOptions>, ports?: Partial<WriterPorts>): IcebergWriter
}

export function openLake(seed = 1): Lake {
  const bucket = new MemoryBucket()
  const store = new SqliteStore()
  const clock = new ManualClock()
  const random = new SeededRandom(seed)
  const catalog = new Catalog({ store, bucket, clock, random, warehouse: 's3://lake/warehouse' })
  const writer: Lake['writer'] = (options, ports) =>
    new IcebergWriter({ bucket, namespace: 'analytics', tableName: 'events', ...options }, { catalog, clock, random, compress, ...ports })
  return { bucket, store, clock, random, catalog, writer }
}

/** Events over `days` days from 2026-01-01, `perDay` a day. */
export function events(days: number, perDay: number): { type: string; entityId: string; payload: unknown; ts: number }[] {
  return Array.from({ length: days * perDay }, (_, i) => ({
    type: i % 3 === 0 ? 'click' : 'view',
    entityId: `user-${i % 7}`,
    payload: { i, page: `/p/${i % 5}`, note: i % 11 === 0 ? 'naïve café 🚀' : null },
    ts: Date.UTC(2026, 0, 1) + Math.floor(i / perDay) * 86_400_000 + (i % perDay) * 1000,
  }))
}
