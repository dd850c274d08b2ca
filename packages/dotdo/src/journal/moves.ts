import type { Store } from '../base/ports.ts'
import { chunksPerValue } from './pieces.ts'
import type { SpillTable } from './spill.ts'

/** How long a move that failed waits before it is tried again, and how long at most. Milliseconds. */
const againMs = 60_000
const longestAgainMs = 3_600_000

/**
 * Moves large results from the object's rows into the bucket of results, one after the other.
 *
 * A result is stored in rows first, because those are one commit with what its step wrote; an upload would stand between the two. So it is moved behind that.
 *
 * Invariants: 1. Until all of a value is in the bucket, it is in rows, whole: the commit that says it is there deletes the rows. 2. That a value is to be moved is in the
 * commit that stores it, so a move that was cut short is made again, by whoever comes next, to the same keys. 3. Memory: the chunks of one object of the bucket.
 * 4. What the bucket refuses stays in rows and is read there.
 */
export class Moves {
  readonly #store: Store
  readonly #spills: SpillTable
  readonly #staged: () => void
  #moving: Promise<void> | undefined
  /** Whether anything may be to be moved: asked of the table once. */
  #any: boolean | undefined
  #failures = 0
  #notBefore = 0

  /** @param staged told of a value that is to be moved */
  constructor(store: Store, spills: SpillTable, staged: () => void) {
    this.#store = store
    this.#spills = spills
    this.#staged = staged
  }

  /** Says that a value is to be moved. In the transaction that stores it. */
  stage(valueId: number): void {
    this.#spills.stage(valueId)
    this.#any = true
    this.#staged()
  }

  /** When there is something to move, epoch milliseconds: in the past where there is now. `null`: nothing, or it is being moved. */
  nextMs(): number | null {
    if (!this.#spills.ports) return null
    this.#any ??= this.#spills.toMove() !== undefined
    return this.#any ? this.#notBefore : null
  }

  /** Moves what is to be moved. Resolves when that is done, or where its time has not come; rejects with what the bucket says, and a later call goes on. */
  run(): Promise<void> {
    const { ports } = this.#spills
    const at = this.nextMs()
    if (!ports || at === null) return Promise.resolve()
    // A clock that was set back must not put it off by more than that.
    if (at > ports.clock.now() && at <= ports.clock.now() + longestAgainMs) return Promise.resolve()
    return (this.#moving ??= this.#all().finally(() => (this.#moving = undefined)))
  }

  async #all(): Promise<void> {
    const { clock } = this.#spills.ports!
    try {
      for (let next = this.#spills.toMove(); next; next = this.#spills.toMove()) await this.#one(next.prefix, next.valueId)
      this.#any = false
      this.#failures = 0
    } catch (thrown) {
      this.#notBefore = clock.now() + Math.min(againMs * 2 ** this.#failures++, longestAgainMs)
      throw thrown
    }
  }

  async #one(prefix: string, valueId: number): Promise<void> {
    const writer = this.#spills.mover(prefix)!
    const from = valueId * chunksPerValue
    for (let id = from; ; id++) {
      const row = this.#store.sql<{ text: string | Uint8Array }>('SELECT text FROM dotdo_values WHERE id = ?', id)[0]
      if (!row) break
      writer.add(row.text)
      if (writer.isFull) await writer.drain()
    }
    await writer.drain()
    this.#store.transaction(() => {
      // Where its run was removed meanwhile, its rows are gone, and its objects go as those of any other value do.
      if (this.#spills.hasMoved(prefix, writer.parts))
        this.#store.sql('DELETE FROM dotdo_values WHERE id >= ? AND id < ?', from, from + chunksPerValue)
    })
  }
}
