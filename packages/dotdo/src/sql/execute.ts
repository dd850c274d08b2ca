import type { ErrorRecord } from '../base/errors.ts'
import { toErrorRecord } from '../base/errors.ts'
import type { Cancellation } from './cancellation.ts'
import { Groups, type GroupLimits } from './groups.ts'
import { mergeOrdered, OUTPUT_BATCH_ROWS } from './merge.ts'
import type { Plan, RowsPlan } from './plan.ts'
import type { Scanner, ScanReply } from './scanner.ts'
import { openShards, type MissingShard, type ShardScan } from './shards.ts'
import type { Cell } from './values.ts'

/** What an execution is told. */
export interface ExecuteOptions {
  onShardError: 'fail' | 'partial'
  limits: GroupLimits
  cancellation: Cancellation
  /** Receives each shard that is left out, where `onShardError` is `partial`. */
  onMissing: (missing: MissingShard) => void
}

/** Rows of an answer. `shard` is set where the rows are of one shard and in no order among shards. */
export interface OutputBatch {
  shard?: number
  rows: Cell[][]
}

/**
 * Runs a plan: asks all shards in one turn and merges what they answer. Memory: a batch a shard, and the groups of a query that has some.
 *
 * A shard counts as missing only when its first batch fails: later its rows are part of the answer already, and the query fails.
 *
 * @throws `SHARD_FAILED`, `SCHEMA_MISMATCH`, `QUERY_TOO_LARGE`, `QUERY_CANCELLED`, `SQL_OVERFLOW`
 */
export async function* execute(
  plan: Plan,
  scanners: readonly (Scanner | Promise<Scanner>)[],
  options: ExecuteOptions,
): AsyncGenerator<OutputBatch> {
  const cancellation = options.cancellation.child()
  // From here on every way out goes through the end of this function, which lets go of all shards.
  const shards = openShards(scanners, plan, cancellation)
  const reader = new ShardReader(shards, options)
  try {
    // Groups: nothing is known before the last shard has answered.
    if (plan.kind === 'groups') {
      const groups = new Groups(plan, options.limits)
      for await (const { batch } of reader.arrivals()) groups.merge(batch)
      yield* chunks(groups.rows())
    } else if (plan.order.length > 0) {
      yield* cut(
        plan,
        mergeOrdered(plan, await reader.firstBatches(), (shard) => reader.nextWithRows(shard)),
      )
    } else if (plan.limit !== undefined || plan.offset > 0) {
      // Any rows would do; those of the lower shards make the answer the same every time.
      yield* cut(plan, inShardOrder(reader))
    } else {
      // Rows in no order: whatever comes goes on.
      for await (const { shard, batch } of reader.arrivals()) yield { shard: shard.shard, rows: rowsOf(batch) }
    }
  } finally {
    // Waits that are under way end, and what they still bring is disposed of when it comes.
    cancellation.cancel()
    for (const shard of shards) shard.close()
  }
}

/** Reads shards, and decides what the failure of one means. */
class ShardReader {
  #shards: ShardScan[]
  #options: ExecuteOptions
  /** How many shards are left out so far: all of them would be no answer. */
  #missing = 0

  constructor(shards: ShardScan[], options: ExecuteOptions) {
    this.#shards = shards
    this.#options = options
  }

  /** All shards, in the order of the scanners. */
  get shards(): readonly ShardScan[] {
    return this.#shards
  }

  /**
   * Batches of all shards as they come. The next batch of a shard is asked for when the one before was consumed, so that a slow reader slows
   * the shards down.
   */
  async *arrivals(): AsyncGenerator<{ shard: ShardScan; batch: ScanReply }> {
    // Arrivals wait here until they are consumed; at most one for each shard.
    const ready: { shard: ShardScan; batch?: ScanReply | null; error?: unknown }[] = []
    let wake = () => {}
    const ask = (shard: ShardScan, first: boolean) =>
      void (first ? this.first(shard) : shard.next())
        .then(
          (batch) => ready.push({ shard, batch }),
          (error: unknown) => ready.push({ shard, error }),
        )
        .then(() => wake())
    let open = this.#shards.length
    for (const shard of this.#shards) ask(shard, true)
    while (open > 0) {
      const arrival = ready.shift()
      if (!arrival) {
        await new Promise<void>((resolve) => (wake = resolve))
        continue
      }
      if ('error' in arrival) throw arrival.error
      if (!arrival.batch) {
        open--
        continue
      }
      yield { shard: arrival.shard, batch: arrival.batch }
      ask(arrival.shard, false)
    }
  }

  /** The first batch with rows of every shard that has one. */
  async firstBatches(): Promise<{ shard: ShardScan; batch: ScanReply }[]> {
    const batches = await Promise.all(
      this.#shards.map(async (shard) => {
        const batch = await this.first(shard)
        return { shard, batch: batch && batch.rows === 0 ? await this.nextWithRows(shard) : batch }
      }),
    )
    return batches.flatMap(({ shard, batch }) => (batch ? [{ shard, batch }] : []))
  }

  /** The next batch that holds a row. A scanner may send empty ones, which say nothing about order. */
  async nextWithRows(shard: ShardScan): Promise<ScanReply | null> {
    let batch = await shard.next()
    while (batch && batch.rows === 0) batch = await shard.next()
    return batch
  }

  /** The first batch of a shard; `null` for one that is left out. @throws when no shard is left */
  async first(shard: ShardScan): Promise<ScanReply | null> {
    try {
      return await shard.next()
    } catch (thrown) {
      const record = toErrorRecord(thrown)
      const cause = record.data?.error as ErrorRecord | undefined
      if (this.#options.onShardError === 'fail' || record.code !== 'SHARD_FAILED' || ++this.#missing === this.#shards.length) throw thrown
      this.#options.onMissing({ shard: shard.shard, error: cause ?? record })
      return null
    }
  }
}

/** All rows of the first shard, then all of the second. The first batches of all were asked for together already. */
async function* inShardOrder(reader: ShardReader): AsyncGenerator<Cell[][]> {
  for (const shard of reader.shards) {
    for (let batch = await reader.first(shard); batch; batch = await shard.next()) yield rowsOf(batch)
  }
}

/** Leaves out the first `offset` rows and ends after `limit`. */
async function* cut({ offset, limit = Infinity }: RowsPlan, batches: AsyncIterable<Cell[][]>): AsyncGenerator<OutputBatch> {
  if (limit === 0) return
  let skip = offset
  let left = limit
  for await (const batch of batches) {
    const rows = skip === 0 && left >= batch.length ? batch : batch.slice(skip, skip + left)
    skip = Math.max(0, skip - batch.length)
    left -= rows.length
    if (rows.length) yield { rows }
    if (left === 0) return
  }
}

/** Rows in batches of a size that is worth a turn of the event queue. */
function* chunks(rows: Iterable<Cell[]>): Generator<OutputBatch> {
  let chunk: Cell[][] = []
  for (const row of rows) {
    if (chunk.push(row) < OUTPUT_BATCH_ROWS) continue
    yield { rows: chunk }
    chunk = []
  }
  if (chunk.length) yield { rows: chunk }
}

/** Turns columns into rows. */
function rowsOf({ values, rows }: ScanReply): Cell[][] {
  return Array.from({ length: rows }, (_, row) => values.map((column) => column[row]!))
}
