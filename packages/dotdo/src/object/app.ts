/** What the app says of itself, once, when its entry is evaluated. One Worker is one app: this is the one state that a module keeps. */
import type { AppLimits } from '../rpc/limits.ts'
import type { SourceDeclarations } from '../sources/ports.ts'

/** What `serve({...})` takes, and what the file of a one-file app may export beside its default. */
export interface AppOptions {
  /** Names for data: `{ users: 's3://data-lake/users/', 'data-lake': 'R2_BUCKET' }`. */
  sources?: SourceDeclarations
  /** Objects that must live without being called, by noun: their schedules run from the first deploy on. */
  singletons?: Readonly<Record<string, readonly string[]>>
  /**
   * Nouns whose objects live in other Workers: `{ Stage: 'STAGES' }` says which service binding reaches them. That Worker exports `DotdoEntrypoint`.
   * A noun of the Worker's own, or one with a Durable Object binding, goes before.
   */
  services?: Readonly<Record<string, string>>
  /** Which of its nouns this Worker offers to others through `DotdoEntrypoint`. Default: all that it exports. */
  offers?: readonly string[]
  /** Limits other than the defaults: `{ client: { chainDepth: 50 }, link: { framesPerMessage: 1_000 } }`. */
  limits?: AppLimits
  /** Whether a token opens the app. Default: signed tokens of the app's own secret. Resolve to `false`, or throw, to refuse. */
  authenticate?: (token: string, env: unknown) => boolean | Promise<boolean>
}

let current: AppOptions = {}

/** Called by `serve` and by the one-file entry. */
export function configureApp(options: AppOptions): void {
  current = options
}

/** The options of this Worker's app. */
export const appOptions = (): AppOptions => current
