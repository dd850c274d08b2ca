/**
 * Objects that live without being called: an object of which no code runs has to be called once, or its schedules never begin. The Worker's cron
 * trigger asks a registry, an object of the framework's, which of them need that; the others sleep on.
 */
import { RpcTarget } from 'capnweb'
import { dayMs } from '../base/durations.ts'
import { codeOf } from '../base/errors.ts'
import { migrate, type Migrations } from '../base/migrations.ts'
import type { Clock, Store } from '../base/ports.ts'
import { appOptions, appRenames } from './app.ts'
import { detached } from './context.ts'
import { isOwnNoun, type Links } from './nouns.ts'
import { codeVersionOf } from './platform.ts'

/** How late an alarm may be before somebody looks after its object: the platform repeats one that failed for about two minutes. */
export const overdueMs = 5 * 60_000
/** Where the Worker does not know its version, each singleton is woken this often: a deploy is noticed within it. */
export const unversionedMs = 3_600_000

/** How long one is known that nobody wakes. Forgotten too early, it is woken once too often. */
const keepMs = 400 * dayMs

/** The table of what is known of singletons. Entries are never edited after a release, only added to; a test pins them. */
export const singletonMigrations: Migrations = [
  [
    `CREATE TABLE dotdo_singletons (
      object TEXT PRIMARY KEY, version TEXT NOT NULL, alarm_at INTEGER, woken_at INTEGER NOT NULL
    ) WITHOUT ROWID`,
  ],
]

/**
 * What is known of the singletons: the version of the code under which each was woken last, and when its alarm is due.
 *
 * 1. One that was never woken, or not by this version of the code, is to be woken.
 * 2. So is one whose alarm is overdue: the platform may have given it up.
 * 3. What singletons tell of their alarms is best effort. One that could not is woken once too often, and tells then.
 */
export class SingletonsTarget extends RpcTarget {
  readonly #store: Store
  readonly #clock: Clock

  constructor(store: Store, clock: Clock) {
    super()
    this.#store = store
    this.#clock = clock
    migrate(store, 'singletons', singletonMigrations)
  }

  /**
   * Which of these are to be woken now.
   * @param version of the code; empty where the Worker does not know it
   */
  toWake(objects: string[], version: string): string[] {
    const now = this.#clock.now()
    return objects.filter((object) => {
      const [row] = this.#store.sql<{ version: string; alarm_at: number | null; woken_at: number }>(
        'SELECT version, alarm_at, woken_at FROM dotdo_singletons WHERE object = ?',
        object,
      )
      if (!row || row.version !== version) return true
      if (row.alarm_at !== null && row.alarm_at < now - overdueMs) return true
      return version === '' && row.woken_at < now - unversionedMs
    })
  }

  /** One was woken by this version of the code, and its alarm is due then. */
  woken(object: string, version: string, alarmAt: number | null): void {
    const now = this.#clock.now()
    this.#store.sql('INSERT OR REPLACE INTO dotdo_singletons VALUES (?, ?, ?, ?)', object, version, alarmAt, now)
    // What the app does not declare any more is not woken any more.
    const gone = 'SELECT object FROM dotdo_singletons WHERE woken_at < ? LIMIT 100'
    this.#store.sql(`DELETE FROM dotdo_singletons WHERE object IN (${gone})`, now - keepMs)
  }

  /** The alarm of one is due then. */
  armed(object: string, alarmAt: number | null): void {
    this.#store.sql('UPDATE dotdo_singletons SET alarm_at = ? WHERE object = ?', alarmAt, object)
  }
}

/** The registry, from afar. */
interface Registry {
  toWake(objects: string[], version: string): Promise<string[]>
  woken(object: string, version: string, alarmAt: number | null): Promise<void>
  armed(object: string, alarmAt: number | null): Promise<void>
}

/** Whether the app exports the framework's own object: one from before there was a registry may not. */
const hasRegistry = (): boolean => isOwnNoun('DotdoSystem')

const registry = (links: Links) => links.user('DotdoSystem', 'singletons') as unknown as Registry

/**
 * Wakes singletons: those that need it, or all. Each does what is due. One that fails is told of, when the others were woken.
 * @throws what the one that failed threw; `AggregateError`, with the code of the first, where several did
 */
export async function wakeSingletons(links: Links, env: unknown, which: 'all' | 'needed'): Promise<void> {
  const version = codeVersionOf(env) ?? ''
  const declared = Object.entries(appOptions().singletons ?? {}).flatMap(([noun, names]) => names.map((name) => ({ noun, name })))
  if (declared.length === 0) return
  const labels = declared.map(({ noun, name }) => appRenames().firstLabel(`${noun}/${name}`))
  const needed = new Set(which === 'all' ? labels : await registry(links).toWake(labels, version))
  const outcomes = await Promise.allSettled(
    declared.map(async ({ noun, name }, index) => {
      if (!needed.has(labels[index]!)) return
      const inspector = links.inspector(noun, name) as unknown as { wake(): Promise<number | null> }
      const alarmAt = await inspector.wake()
      // Whoever asks for all wakes them without a registry too.
      if (which === 'needed' || hasRegistry()) await registry(links).woken(labels[index]!, version, alarmAt)
    }),
  )
  const errors = outcomes.flatMap((it) => (it.status === 'rejected' ? [it.reason as unknown] : []))
  if (errors.length === 1) throw errors[0]
  if (errors.length > 1) {
    const words = `${errors.length} of ${declared.length} singletons could not be woken: ${String(errors[0])}`
    throw Object.assign(new AggregateError(errors, words), { code: codeOf(errors[0]) })
  }
}

/** Alarms that are nearer than this are those of work that goes on: what comes after them is told. */
const passingMs = 60_000

/** Tells the registry when a singleton's alarm is due, each time that this is known for longer. Other objects tell nobody. */
export class AlarmReport {
  readonly #object: string
  readonly #isSingleton: boolean
  readonly #links: Links
  readonly #clock: Clock
  #told: number | null | undefined

  constructor({ noun, name, knownAs }: { noun: string; name: string; knownAs: string }, links: Links, clock: Clock) {
    this.#object = knownAs
    this.#isSingleton = appOptions().singletons?.[noun]?.includes(name) ?? false
    this.#links = links
    this.#clock = clock
  }

  /** Gives what is to be waited for, where there is something to tell. Invariant 3: that it fails is nobody's error. */
  armed(alarmAt: number | null): Promise<unknown> | undefined {
    if (!this.#isSingleton || alarmAt === this.#told) return undefined
    if (alarmAt !== null && alarmAt < this.#clock.now() + passingMs) return undefined
    this.#told = alarmAt
    // On behalf of nobody: whoever's call has moved the alarm has nothing to do with it.
    return Promise.allSettled([detached(async () => registry(this.#links).armed(this.#object, alarmAt))])
  }
}
