/**
 * What `this.Noun(id)` is, by type, without a list that somebody keeps: nouns are read off the Worker's own module and off its bindings, as
 * `wrangler types` declares them:
 *
 * ```ts
 * declare namespace Cloudflare {
 *   interface GlobalProps { mainModule: typeof import('./src/index') }
 *   interface Env { STAGE: DurableObjectNamespace<import('../stages/src/index').Stage> }
 * }
 * ```
 *
 * These types pick by name and never by what a name stands for. The class of a noun is typed by its methods, and those call nouns: to look at
 * all classes in order to say which are nouns would make each class a part of its own type.
 */
import type { Defines, Noun, Remote } from '../rpc/remote.ts'
import type { Env } from './env.ts'

/**
 * Stubs of other objects by noun: `this.Stage('a')`. Calls on one in one turn leave in one message. A noun that nothing declares is `any`, and no
 * function, because a function from an index signature would be "possibly undefined" where the compiler checks indexed access. A noun of
 * another Worker is typed by its binding, or by a line of its own:
 * `declare module 'dotdo' { interface Nouns { readonly Stage: Noun<typeof import('../stages/src/index').Stage> } }`.
 */
export interface Nouns {
  readonly [noun: Capitalize<string>]: Untyped
}

/** Every noun of the Worker, as it stands on `this`: its own exports, then its bindings, then what else is declared. */
export type TypedNouns = ExportedNouns & BoundNouns & Nouns

/** The classes that the Worker's own module exports by a capital name. Those of the framework are not nouns of the app. */
export type ExportedNouns = {
  readonly [K in keyof Cloudflare.MainModule as K extends Capitalize<string> ? Exclude<K, `Dotdo${string}`> : never]: Noun<
    Cloudflare.MainModule[K]
  >
}

/** The classes that are bound: by the noun itself or by its capitals, `FlightShard` or `FLIGHT_SHARD`. An export of the name comes first. */
export type BoundNouns = {
  readonly [K in keyof Env as Exclude<NounOf<K>, keyof Cloudflare.MainModule>]: BoundNoun<Env[K]>
}

type BoundNoun<Binding> =
  Binding extends DurableObjectNamespace<infer Instance>
    ? Instance extends Defines<unknown>
      ? (id: string) => Remote<Instance>
      : Untyped
    : Untyped

/** The noun that a binding's name stands for. Arms in order: no name but any; capitals; the noun itself; what no noun finds. */
type NounOf<Binding> = string extends Binding
  ? never
  : Binding extends Uppercase<Binding & string>
    ? Joined<Binding>
    : Binding extends Capitalize<string>
      ? Binding
      : never

type Joined<Words extends string> = Words extends `${infer Word}_${infer Rest}`
  ? `${Capitalize<Lowercase<Word>>}${Joined<Rest>}`
  : Capitalize<Lowercase<Words>>

// oxlint-disable-next-line typescript/no-explicit-any
type Untyped = any
