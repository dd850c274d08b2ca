/**
 * Owns: how far a rebuild of one shard is (`dotdo_fleet_state`, key `rebuild`). It asks the objects that the shard knows, in the order of their names, so
 * many at the same time; where it stands is stored after each bite, and a crash goes back by one bite at most. An object that fails is counted and passed; one whose
 * class the app has no more is forgotten, too: it would be late for ever.
 */
import { codeOf } from '../base/errors.ts'
import type { Clock, Store } from '../base/ports.ts'
import type { FleetRebuild } from '../base/fleet-views.ts'

/** What a {@link Rebuild} stands on. */
export interface RebuildPorts {
  readonly store: Store
  readonly clock: Clock
  readonly atOnce: number
  /** Asks an object to tell everything anew. Rejects where it does not. */
  ask(object: string): Promise<void>
  /** The app has no class any more that the object could be of. */
  gone(object: string): void
  wake(): void
}

interface State extends FleetRebuild {
  /** The last object that was asked. */
  cursor: string
}

/** The rebuild of one shard; see the head of this file. */
export class Rebuild {
  readonly #ports: RebuildPorts
  #state: State | undefined
  #working = false

  constructor(ports: RebuildPorts) {
    this.#ports = ports
    const [row] = ports.store.sql<{ value: string }>(`SELECT value FROM dotdo_fleet_state WHERE key = 'rebuild'`)
    this.#state = row && (JSON.parse(row.value) as State)
  }

  get view(): FleetRebuild | undefined {
    if (!this.#state) return undefined
    const { cursor: _, ...view } = this.#state
    return view
  }

  /** Begins, with these objects beside those that are known: they are known from then on. */
  begin(objects: readonly string[]): FleetRebuild {
    const { store, clock } = this.#ports
    store.transaction(() => {
      for (const object of objects)
        store.sql(
          'INSERT OR IGNORE INTO dotdo_fleet_objects (object, noun, told_at) VALUES (?, ?, 0)',
          object,
          object.slice(0, object.indexOf('/')),
        )
      this.#write({ status: 'running', startedAt: clock.now(), asked: 0, failed: 0, cursor: '' })
    })
    this.#ports.wake()
    return this.view!
  }

  nextWakeMs(): number | null {
    return this.#state?.status === 'running' && !this.#working ? this.#ports.clock.now() : null
  }

  /** Asks the next objects, until all were asked. Resolves then. */
  async goOn(): Promise<void> {
    if (this.#working) return
    this.#working = true
    try {
      while (this.#state?.status === 'running') await this.#bite(this.#state)
    } finally {
      this.#working = false
      this.#ports.wake()
    }
  }

  async #bite(state: State): Promise<void> {
    const { store, clock, atOnce } = this.#ports
    const objects = store
      .sql<{ object: string }>(
        'SELECT object FROM dotdo_fleet_objects WHERE object > ? ORDER BY object LIMIT (? + 0)',
        state.cursor,
        atOnce,
      )
      .map(({ object }) => object)
    if (objects.length === 0) return this.#write({ ...state, status: 'done', endedAt: clock.now() })
    const outcomes = await Promise.allSettled(objects.map((object) => this.#ports.ask(object)))
    // Somebody has begun another one meanwhile: that one goes its own way.
    if (this.#state !== state) return
    const next = { ...state, cursor: objects.at(-1)!, asked: state.asked + objects.length }
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') continue
      next.failed++
      if (codeOf(outcome.reason) === 'NOUN_UNKNOWN') this.#ports.gone(objects[index]!)
      next.error = {
        object: objects[index]!,
        message: String((outcome.reason as Error | undefined)?.message ?? outcome.reason).slice(0, 500),
      }
    }
    this.#write(next)
  }

  #write(state: State): void {
    this.#state = state
    this.#ports.store.sql(`INSERT OR REPLACE INTO dotdo_fleet_state (key, value) VALUES ('rebuild', ?)`, JSON.stringify(state))
  }
}
