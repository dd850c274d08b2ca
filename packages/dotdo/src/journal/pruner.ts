import type { Store } from '../base/ports.ts'
import { Rates } from './limiter.ts'
import type { SignalTable } from './signals.ts'
import type { ValueStore } from './values.ts'

/** Rows that one bite removes at most: steps and chunks of half a MiB, so a bite is at most a few hundred MiB of freed pages. */
const biteRows = 500

/** Runs that one bite takes at most. */
const biteRuns = 100

interface PrunedRow {
  [column: string]: number | string | null
  seq: number
  status: string
  args_value: number | null
  result_value: number | null
  tags: string | null
}

const columns = 'seq, status, args_value, result_value, tags'

/**
 * Takes ended runs out of the tables, bounded work at a time: a run's values, its steps, its row. One that others were forked from stays as long as they do:
 * they refer to its values, and to those of the runs that it began.
 *
 * Invariants: 1. A run is shown whole or not at all: one that is more than a bite goes out of view with its first. 2. Where storage is full it makes room all
 * the same: nothing is written before more was deleted.
 */
export class Pruner {
  readonly #store: Store
  readonly #values: ValueStore

  constructor(store: Store, values: ValueStore) {
    this.#store = store
    this.#values = values
  }

  /** @returns how many runs are gone, and whether there is more to do */
  bite(beforeMs: number): { removed: number; more: boolean } {
    return this.#store.transaction(() => {
      // Those that an earlier bite has begun with go first.
      const runs = this.#store.sql<PrunedRow>(
        `SELECT ${columns} FROM dotdo_runs WHERE ended_at < ? AND status = 'pruned' LIMIT (? + 0)`,
        beforeMs,
        biteRuns,
      )
      const over = this.#store.sql<PrunedRow>(
        `SELECT ${columns} FROM dotdo_runs AS ended WHERE ended_at < ? AND status <> 'pruned'
          AND NOT EXISTS (SELECT 1 FROM dotdo_runs AS parent WHERE parent.seq = ended.parent
            AND (parent.ended_at IS NULL OR EXISTS (SELECT 1 FROM dotdo_runs AS fork WHERE fork.forked_from = parent.seq)))
          AND NOT EXISTS (SELECT 1 FROM dotdo_runs AS fork WHERE fork.forked_from = ended.seq) ORDER BY ended_at LIMIT (? + 0)`,
        beforeMs,
        biteRuns - runs.length,
      )
      runs.push(...over)
      let budget = biteRows
      let removed = 0
      for (const run of runs) {
        budget -= this.#removeRun(run.seq, [run.args_value, run.result_value], budget)
        if (budget <= 0) {
          if (run.status !== 'pruned') this.#hide(run.seq)
          break
        }
        // At most as many as a run may have.
        if (run.tags !== null)
          this.#store.sql('DELETE FROM dotdo_run_tags WHERE run = ? AND tag IN (SELECT value FROM json_each(?))', run.seq, run.tags)
        this.#store.sql('DELETE FROM dotdo_runs WHERE seq = ?', run.seq)
        removed++
      }
      return { removed, more: runs.length === biteRuns || removed < runs.length }
    })
  }

  /** Its id and key are given free; '\n' cannot begin an id that a user gave and that is still shown. */
  #hide(seq: number): void {
    this.#store.sql(`UPDATE dotdo_runs SET status = 'pruned', key = NULL, run_id = char(10) || seq WHERE seq = ?`, seq)
  }

  /** Removes signals and places under rates that nobody can need any more; returns whether there may be more. */
  biteSignals(signals: SignalTable, now: number, beforeMs: number): boolean {
    const rates = new Rates(this.#store).prune(beforeMs, biteRows)
    return this.#store.transaction(() => signals.prune(now, biteRuns)) === biteRuns || rates === biteRows
  }

  /** When the first ended run, or the first signal or place under a rate, has been kept for so long. */
  nextMs(runsMs: number, signalsMs: number): number | null {
    const row = this.#store.sql<{ runs: number | null; signals: number | null; rates: number | null }>(
      `SELECT (SELECT min(ended_at) FROM dotdo_runs WHERE ended_at IS NOT NULL) AS runs,
        (SELECT at FROM dotdo_signals WHERE seq < (SELECT max(seq) FROM dotdo_signals) ORDER BY seq LIMIT 1) AS signals,
        (SELECT min(at) FROM dotdo_rates) AS rates`,
    )[0]!
    const instants = [row.runs && row.runs + runsMs, row.signals && row.signals + signalsMs, row.rates && row.rates + runsMs]
    const known = instants.filter((it) => it !== null)
    return known.length === 0 ? null : Math.min(...known)
  }

  /** Removes what a run owns, at most `budget` rows of it; returns how many. Fewer than `budget`: all of it is gone. */
  #removeRun(run: number, values: (number | null)[], budget: number): number {
    let used = 0
    for (const valueId of values) {
      if (valueId !== null) used += this.#values.remove(valueId, budget - used)
      if (used >= budget) return used
    }
    const steps = this.#store.sql<{ step_id: string; value_id: number | null; checkpoint_value: number | null }>(
      'SELECT step_id, value_id, checkpoint_value FROM dotdo_steps WHERE run = ? LIMIT (? + 0)',
      run,
      budget - used,
    )
    for (const step of steps) {
      for (const valueId of [step.value_id, step.checkpoint_value]) {
        if (valueId !== null) used += this.#values.remove(valueId, budget - used)
        if (used >= budget) return used
      }
      this.#store.sql('DELETE FROM dotdo_steps WHERE run = ? AND step_id = ?', run, step.step_id)
      used++
      if (used >= budget) return used
    }
    return used
  }
}
