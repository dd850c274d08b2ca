import { DotdoError } from '../base/errors.ts'
import { compareOrdered } from './groups.ts'
import type { RowsPlan } from './plan.ts'
import type { ScanReply } from './scanner.ts'
import { shardFailed, type ShardScan } from './shards.ts'
import type { Cell } from './values.ts'

/** Rows in one batch of an answer that is put together here. Batches of rows that pass through keep the size they came in. */
export const OUTPUT_BATCH_ROWS = 1024

/** A batch of a shard, and how far it is read. */
interface Run {
  shard: ShardScan
  batch: ScanReply
  row: number
  /** The values that row `row` is ordered by. */
  sort: Cell[]
}

/**
 * Merges the ordered rows of the shards into one order, and yields them some at a time. Holds one batch a shard. Of equal rows the one of the lower
 * shard comes first, so that the answer does not depend on who answered first.
 *
 * @param first shards with their first batch, none of them empty
 * @param advance the next batch of a shard that has one with rows, or `null`
 * @throws `SHARD_FAILED` when a shard's rows are not in order: the merge would be wrong from there on
 */
export async function* mergeOrdered(
  plan: RowsPlan,
  first: { shard: ShardScan; batch: ScanReply }[],
  advance: (shard: ShardScan) => Promise<ScanReply | null>,
): AsyncGenerator<Cell[][]> {
  const { order } = plan
  const compare = (a: Cell[], b: Cell[]): number => {
    for (let i = 0; i < order.length; i++) {
      const result = compareOrdered(a[i]!, b[i]!, order[i]!)
      if (result) return result
    }
    return 0
  }
  // The run whose next row comes first is on top.
  const heap = new Heap<Run>((a, b) => compare(a.sort, b.sort) || a.shard.shard - b.shard.shard)
  const sortOf = (batch: ScanReply, row: number) => order.map(({ column }) => batch.values[column]![row]!)
  for (const { shard, batch } of first) heap.push({ shard, batch, row: 0, sort: sortOf(batch, 0) })
  let rows: Cell[][] = []
  for (let run = heap.top(); run; run = heap.top()) {
    const { row, batch } = run
    rows.push(batch.values.map((column) => column[row]!))
    if (row + 1 < batch.rows) {
      run.row++
    } else {
      // Rows that are known do not wait for a shard that may be slow.
      yield rows
      rows = []
      const next = await advance(run.shard)
      if (!next) {
        heap.pop()
        continue
      }
      run.batch = next
      run.row = 0
    }
    const before = run.sort
    run.sort = sortOf(run.batch, run.row)
    if (compare(before, run.sort) > 0) {
      throw shardFailed(run.shard.shard, new DotdoError('SCAN_MALFORMED', 'Its rows are not in the order that was asked for.'))
    }
    // The run has moved on to a later row, so it may no longer be first.
    heap.sinkTop()
    if (rows.length < OUTPUT_BATCH_ROWS) continue
    yield rows
    rows = []
  }
}

/** A binary heap: the least element on top. */
class Heap<T> {
  #items: T[] = []
  #compare: (a: T, b: T) => number

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare
  }

  /** The least element, if there is one. */
  top(): T | undefined {
    return this.#items[0]
  }

  /** Adds an element. */
  push(item: T): void {
    const items = this.#items
    let i = items.push(item) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (this.#compare(items[parent]!, item) <= 0) break
      items[i] = items[parent]!
      i = parent
    }
    items[i] = item
  }

  /** Takes the least element away. */
  pop(): void {
    const last = this.#items.pop()!
    if (this.#items.length === 0) return
    this.#items[0] = last
    this.sinkTop()
  }

  /** Puts the top where it belongs after it has changed. */
  sinkTop(): void {
    const items = this.#items
    const item = items[0]!
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= items.length) break
      if (child + 1 < items.length && this.#compare(items[child + 1]!, items[child]!) < 0) child++
      if (this.#compare(item, items[child]!) <= 0) break
      items[i] = items[child]!
      i = child
    }
    items[i] = item
  }
}
