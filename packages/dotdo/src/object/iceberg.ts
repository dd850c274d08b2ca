import { endOfTurn } from '#platform'
import {
  IcebergWriter as Writer,
  type IcebergWriterOptions,
  type Rows,
  type TableStatus,
  type WriteReceipt,
  type WriterMemory,
} from '../iceberg/writer.ts'
import { ambientKey, ambientLinks, ambientProgress } from './ambient.ts'
import { bindingOf } from './buckets.ts'
import { catalogOf } from './catalog.ts'
import { currentContext, noteIn } from './context.ts'
import { countRows, dryRunOf } from './dry-run.ts'
import { writtenBy } from './lineage.ts'
import { clock, random, zstd } from './platform.ts'

/**
 * Writes rows to an Apache Iceberg table that Spark, Trino, DuckDB, ClickHouse and PyIceberg read: Parquet files in the bucket, one snapshot for
 * each `write`, committed by the app's own catalog object.
 *
 * Inside `this.do` a write is exactly once: a step that is repeated after a crash adds nothing that is there already. Outside of a step it
 * is at most once.
 *
 * @example
 * const iceberg = new IcebergWriter({ bucket: this.env.R2_BUCKET, namespace: 'analytics', tableName: 'events' })
 * await this.do(() => iceberg.write([{ type: 'click', entityId: 'u1', payload: { page: '/' }, ts: Date.now() }]), { stepId: 'load' })
 */
export class IcebergWriter {
  readonly #options: IcebergWriterOptions
  readonly #warehouse: string
  readonly #table: string
  readonly #memory: WriterMemory = {}

  /** @throws `INVALID_SCHEMA`, `INVALID_PARTITION`, `BUCKET_UNKNOWN`, `INVALID_OPTIONS` */
  constructor(options: IcebergWriterOptions) {
    this.#options = options
    this.#table = `${options.namespace}.${options.tableName}`
    // Made once here so that a mistake in the options is an error of the line that made it.
    this.#writer()
    this.#warehouse = options.warehouse ?? bindingOf(options.bucket)
  }

  /**
   * Adds rows (an array, or a stream of rows or of batches) in one snapshot. The table is made where it is missing.
   * @throws `INVALID_RECORD` (terminal: record, column, value and what is accepted; nothing is written), `SCHEMA_MISMATCH`; retryable:
   *   `STORAGE_WRITE_FAILED`, `COMMIT_CONFLICT`, `COMMIT_UNKNOWN`
   */
  write(rows: Rows, options: { commitKey?: string } = {}): Promise<WriteReceipt> {
    const record = dryRunOf()
    return record ? this.#recorded(rows, record) : this.#noted(this.#writer().write(rows, options))
  }

  async #noted(written: Promise<WriteReceipt>): Promise<WriteReceipt> {
    const context = currentContext()
    const receipt = await written
    const { snapshotId, rows } = receipt
    if (snapshotId !== null) noteIn(context, { kind: 'write', target: `${this.#warehouse}/${this.#table}`, what: String(snapshotId), rows })
    return receipt
  }

  async #recorded(rows: Rows, record: NonNullable<ReturnType<typeof dryRunOf>>): Promise<WriteReceipt> {
    const counted = await countRows(rows)
    record({ writer: 'iceberg', target: this.#table, ...counted })
    return { snapshotId: null, files: 0, rows: counted.rows, bytes: 0, partitions: 0 }
  }

  /** The table as it stands now, or `null` where it has not been made. */
  snapshot(): Promise<TableStatus | null> {
    return this.#writer().snapshot()
  }

  #writer(): Writer {
    return new Writer(this.#options, {
      catalog: catalogOf(ambientLinks, () => this.#warehouse),
      clock,
      random,
      compress: zstd.compress,
      commitKey: () => ambientKey(`write:${this.#table}`),
      writtenBy,
      progress: ambientProgress(),
      breathe: () => new Promise(endOfTurn),
      memory: this.#memory,
    })
  }
}
