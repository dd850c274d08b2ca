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
import { currentContext, noteIn, type CallContext } from './context.ts'
import { countRows, dryRunOf } from './dry-run.ts'
import { unguarded, type Recorder } from './held-back.ts'
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
    // Code in a dry run has its bindings guarded, and a table is no bare binding.
    this.#options = { ...options, bucket: unguarded(options.bucket) }
    this.#table = `${options.namespace}.${options.tableName}`
    // Made once here so that a mistake in the options is an error of the line that made it.
    this.#writer()
    this.#warehouse = options.warehouse ?? bindingOf(this.#options.bucket)
  }

  /**
   * Adds rows (an array, or a stream of rows or of batches) in one snapshot. The table is made where it is missing.
   * @throws `INVALID_RECORD` (terminal: record, column, value and what is accepted; nothing is written), `SCHEMA_MISMATCH`; retryable:
   *   `STORAGE_WRITE_FAILED`, `COMMIT_CONFLICT`, `COMMIT_UNKNOWN`
   */
  write(rows: Rows, options: { commitKey?: string } = {}): Promise<WriteReceipt> {
    const record = dryRunOf()
    return record ? this.#recorded(rows, record) : this.#noted(rows, this.#writer().write(rows, options))
  }

  async #noted(rows: Rows, written: Promise<WriteReceipt>): Promise<WriteReceipt> {
    const context = currentContext()
    const receipt = await written
    if (receipt.snapshotId !== null) this.#note(context, rows, String(receipt.snapshotId), receipt.rows)
    return receipt
  }

  async #recorded(rows: Rows, record: Recorder): Promise<WriteReceipt> {
    const context = currentContext()
    const counted = await countRows(rows)
    record({ writer: 'iceberg', target: this.#table, ...counted })
    if (counted.rows > 0) this.#note(context, rows, '', counted.rows)
    return { snapshotId: null, files: 0, rows: counted.rows, bytes: 0, partitions: 0 }
  }

  #note(context: CallContext | undefined, rows: Rows, snapshot: string, count: number): void {
    const target = `${this.#warehouse}/${this.#table}`
    noteIn(context, { kind: 'write', target, what: snapshot, rows: count, ...(Array.isArray(rows) && { input: rows }) })
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
