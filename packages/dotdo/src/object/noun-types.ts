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
import type { Defines, Noun, NounOptions, RemoteWith, Shape } from '../rpc/remote.ts'
import type { Env } from './env.ts'
import type { HasEvents } from '../events/on.ts'

/**
 * Nouns that are declared by hand. What a service of another Worker offers is one line:
 * `declare module 'dotdo' { interface Nouns extends NounsOf<typeof import('../stages/src/index')> {} }`.
 */
// oxlint-disable-next-line typescript/no-empty-object-type -- filled by those who declare nouns
export interface Nouns {}

/**
 * Every noun of the Worker, as it stands on `this`: its own exports, then its bindings, then what else is declared. `this.Stage('a')` is a stub;
 * calls on one in one turn leave in one message. Once the compiler knows the Worker's module, a noun that is none of these is an error.
 */
export type TypedNouns = NounsOf<Cloudflare.MainModule> & BoundNouns & Nouns & Undeclared

/**
 * Where nobody has said what the Worker's module is, every noun is `any`: and no function, because a function from an index signature would be "possibly
 * undefined" where the compiler checks indexed access. Only the names of the module are looked at.
 */
type Undeclared = [keyof Cloudflare.MainModule] extends [never] ? { readonly [noun: Capitalize<string>]: Untyped } : unknown

/** The classes that a module exports by a capital name, as nouns. Those of the framework are not nouns of the app. */
export type NounsOf<Module> = {
  readonly [K in keyof Module as K extends Capitalize<string> ? Exclude<K, `Dotdo${string}`> : never]: Noun<
    Module[K],
    Exported<K, Module>,
    HasEvents
  >
}

/** An object of the class that a module exports by a name. An interface, so that an editor shows that name and not the whole definition. */
export interface Exported<Name extends keyof Module, Module> extends Defines<Shape<Module[Name]>> {}

/** The classes that are bound: by the noun itself or by its capitals, `FlightShard` or `FLIGHT_SHARD`. An export of the name comes first. */
export type BoundNouns = {
  readonly [K in keyof Env as Exclude<NounOf<K>, keyof Cloudflare.MainModule>]: BoundNoun<Env[K]>
}

type BoundNoun<Binding> =
  Binding extends DurableObjectNamespace<infer Instance>
    ? Instance extends Defines<unknown>
      ? (id: string, options?: NounOptions) => RemoteWith<Instance, HasEvents>
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
