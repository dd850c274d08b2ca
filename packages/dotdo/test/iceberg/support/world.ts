import { Catalog } from '../../../src/iceberg/catalog.ts'
import type { CatalogClient } from '../../../src/iceberg/ports.ts'
import { scanTable } from '../../../src/iceberg/scan.ts'
import { IcebergWriter, type WriteReceipt } from '../../../src/iceberg/writer.ts'
import { ManualClock, SeededRandom } from '../../support/fakes.ts'
import { SqliteStore } from '../../support/sqlite-store.ts'
import { compress, decompress } from './lake.ts'
import { MemoryBucket } from './memory-bucket.ts'

/** A load that is repeated until it succeeds, as a step is: its own key, its own rows. */
export interface Job {
  key: string
  rows: { id: number; job: string; day: string }[]
  receipts: WriteReceipt[]
  attempts: number
}

/**
 * A catalog's object, a bucket and several loading objects in one seeded order of events. Every effect waits for its turn, and around each one, while
 * faults are left, something may break:
 *
 * - a put fails before it has an effect, or after it (the object is there, the writer sees an error);
 * - a request to the catalog is lost before it arrives, or its reply is lost, or it arrives after the caller gave up;
 * - the catalog's object is reset: what it did not flush is gone, and requests in it fail without a code;
 * - a loading object dies: nothing of its attempt goes on, and the job begins again in a new one.
 */
export class World {
  readonly bucket = new MemoryBucket()
  readonly random: SeededRandom
  readonly clock = new ManualClock()
  readonly #waiting: (() => void)[] = []
  #store = new SqliteStore()
  #catalog: Catalog
  faults: number
  readonly happened: string[] = []

  constructor(seed: number, faults: number) {
    this.random = new SeededRandom(seed)
    this.faults = faults
    this.bucket.before = async (operation) => {
      await this.#turn()
      if (operation === 'put' && this.#strikes('put fails', 0.06)) throw new Error('put: internal error (10001)')
      if (operation === 'delete' && this.#strikes('delete fails', 0.2)) throw new Error('delete: internal error (10001)')
    }
    this.bucket.after = () => {
      if (this.#strikes('put answers an error', 0.04)) throw new Error('put: timed out')
    }
    this.#catalog = this.#open()
  }

  /** Repeats every job until it is done; all at once. Ends in bounded steps, or says what hangs. */
  async run(jobs: readonly Job[]): Promise<void> {
    let open = jobs.length
    const failures: unknown[] = []
    for (const job of jobs) {
      void this.#repeat(job).then(
        () => open--,
        (thrown: unknown) => failures.push(thrown),
      )
    }
    for (let step = 0; open > 0; step++) {
      if (failures.length > 0) throw failures[0]
      if (step > 20_000) throw new Error(`still ${open} jobs open after 20,000 steps: ${this.happened.join(', ')}`)
      // All that can go on by itself has gone on; then one effect gets its turn.
      await new Promise(setImmediate)
      if (this.#strikes('the catalog is reset', 0.01)) this.#reset()
      const index = this.random.below(this.#waiting.length || 1)
      this.#waiting.splice(index, 1)[0]?.()
      this.clock.advance(1)
    }
    this.#store.flush()
    // Requests that came late may still be on their way.
    while (this.#waiting.length > 0) {
      this.#waiting.shift()!()
      await new Promise(setImmediate)
    }
  }

  /** All rows of the table, by our own reader. Every file that it names must be there. */
  async rows(): Promise<Record<string, unknown>[]> {
    this.bucket.before = () => {}
    this.bucket.after = () => {}
    const table = await this.#catalog.loadTable({ namespace: ['sim'], name: 'loads' })
    const rows: Record<string, unknown>[] = []
    if (table) for await (const batch of scanTable(this.bucket, table.metadata, { decompress })) rows.push(...batch)
    return rows
  }

  get catalog(): Catalog {
    return this.#catalog
  }

  async #repeat(job: Job): Promise<void> {
    // The second success asks again for what is done already, as a step does whose result was lost.
    while (job.receipts.length < 2) {
      if (++job.attempts > 200) throw new Error(`${job.key} was tried 200 times`)
      const life = { dead: false, die: (): void => {} }
      const died = new Promise<'died'>((resolve) => {
        life.die = () => {
          life.dead = true
          resolve('died')
        }
      })
      const writer = new IcebergWriter(
        {
          bucket: this.#mortal(this.bucket, life),
          namespace: 'sim',
          tableName: 'loads',
          schema: { id: { type: 'long', required: true }, job: 'string', day: 'date' },
          partitionBy: ['day'],
        },
        { catalog: this.#link(life), clock: this.clock, random: this.random, compress, commitKey: () => job.key },
      )
      const outcome = await Promise.race([writer.write(job.rows).catch((thrown: unknown) => thrown as Error), died])
      if (outcome === 'died') continue
      if (!(outcome instanceof Error)) job.receipts.push(outcome)
      else if ((outcome as { retryable?: boolean }).retryable === false) throw outcome
    }
  }

  /** A bucket as one incarnation holds it: a dead one's calls never come back. */
  #mortal(bucket: MemoryBucket, life: { dead: boolean; die(): void }): MemoryBucket {
    return new Proxy(bucket, {
      get: (target, name) => {
        const method = Reflect.get(target, name, target) as unknown
        if (typeof method !== 'function') return method
        return async (...args: unknown[]) => {
          if (this.#strikes('a writer dies', 0.02)) life.die()
          if (life.dead) return new Promise(() => {})
          const result: unknown = await (method as (...args: unknown[]) => Promise<unknown>).apply(target, args)
          return life.dead ? new Promise(() => {}) : result
        }
      },
    })
  }

  /** The catalog as a caller far away has it. Replies leave after a flush: the platform's output gate. */
  #link(life: { dead: boolean; die(): void }): CatalogClient {
    const call = async (name: string, args: unknown[]): Promise<unknown> => {
      await this.#turn()
      if (life.dead) return new Promise(() => {})
      if (this.#strikes('a request is lost', 0.03)) throw new Error('Network connection lost.')
      if (this.#strikes('a request comes late', 0.05)) {
        void this.#turn()
          .then(() => this.#turn())
          .then(() => this.#arrive(name, args))
          .catch(() => {})
        throw new Error('Network connection lost.')
      }
      const result = await this.#arrive(name, args)
      await this.#turn()
      if (this.#strikes('a writer dies', 0.02)) life.die()
      if (life.dead) return new Promise(() => {})
      if (this.#strikes('a reply is lost', 0.05)) throw new Error('Network connection lost.')
      return result
    }
    return new Proxy({} as CatalogClient, {
      get:
        (_, name: string) =>
        (...args: unknown[]) =>
          call(name, args),
    })
  }

  async #arrive(name: string, args: unknown[]): Promise<unknown> {
    const catalog = this.#catalog as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
    const store = this.#store
    const settled = await catalog[name]!(...structuredClone(args)).then(
      (value) => ({ value }),
      (thrown: unknown) => ({ thrown }),
    )
    await this.#turn()
    if (store !== this.#store) throw new Error('Durable Object was reset.')
    store.flush()
    if ('thrown' in settled) throw settled.thrown
    return structuredClone(settled.value)
  }

  #reset(): void {
    this.#store.crash()
    this.#store = this.#store.reopen()
    this.#catalog = this.#open()
  }

  #open(): Catalog {
    return new Catalog({ store: this.#store, bucket: this.bucket, clock: this.clock, random: this.random, warehouse: 's3://lake/sim' })
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #strikes(what: string, chance: number): boolean {
    if (this.faults <= 0 || this.random.next() >= chance) return false
    this.faults--
    this.happened.push(what)
    return true
  }
}
