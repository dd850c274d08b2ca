/**
 * How things look from afar: the types of stubs, of what can be passed to them, and of what comes back.
 *
 * Nothing here names capnweb's types or a platform's: where such a name is not known to a user's compiler, `skipLibCheck` makes it `any`
 * without a word, and with it everything that is typed by it. Values of the platform are told by their shape instead.
 *
 * The conditional types look at brands before shapes, because a promise on which calls can be made is both a promise and a stub, and a stub of
 * a function can be called like one. None of them asks for the result of a method before that method is used: two classes that call each other
 * would have types that go round in a circle.
 */
declare const remote: unique symbol
declare const recorded: unique symbol
declare const defines: unique symbol

/** The mark of a stub: `T` is what stands at the far end. No value has it; it lives in types alone. */
interface IsStub<T> {
  readonly [remote]: T
}

/** The mark of what is recorded and not there yet: the result of a call, or an element that `.map` goes over. */
interface IsRecorded<T> {
  readonly [recorded]: T
}

/** The mark of a class that `DO.extend` made: `Public` holds the methods and getters that can be reached from outside. */
export interface Defines<Public> {
  readonly [defines]: Public
}

/** What every stub can do, whatever it stands for. */
export interface Stub<T> extends IsStub<T> {
  /** Another reference to the same thing: each is disposed on its own. */
  dup(): this
  /** Calls back when the thing can no longer be reached through this stub. */
  onRpcBroken(callback: (error: unknown) => void): void
  /** Lets go of it. The far end frees what nobody refers to any more. */
  [Symbol.dispose](): void
}

/**
 * An object, a capability or a function as it is seen from afar: each method answers with a promise that can be called before it is there,
 * and takes promises for its arguments. `T` is what stands at the far end, as a class or as an instance: `Remote<typeof Stage>`.
 * What nobody has typed stays free.
 */
export type Remote<T> = Stub<Shape<T>> & Callable<Shape<T>> & Members<Shape<T>>

/**
 * The result of a call: the promise of a value, on which calls can be made already and which can be an argument at once, of any call, on any
 * object. Awaited it gives {@link Received}.
 */
export type Pending<T> = Promise<Received<T>> & IsRecorded<T> & Pipelined<T>

/**
 * An element of a list that is not there yet, inside of `.map(element => …)`: the calls made on it are recorded once and made for each. `T` is
 * inferred from the mark alone: what can be done with it stands in the arms of a condition, which would each be a candidate.
 */
export type Element<T> = IsRecorded<T> & Pipelined<NoInfer<T>>

/** Which of the objects of a name is meant. */
export interface NounOptions {
  /** Where its data has to stay: `'eu'`, `'fedramp'`. Names in different jurisdictions, and in none, are different objects. */
  jurisdiction?: string
}

/** A stub, and what its reference has beside the object's own members. It has a name so that an editor shows that, and not all that it is made of. */
export type RemoteWith<Class, Beside> = Remote<Class> & Beside

/**
 * A noun, as it stands on `this`: `this.Stage('a')` is a stub of the object of that name. `Class` is what the noun is exported as, `Beside` what its
 * references have beside the object's own members.
 */
export type Noun<Class, Instance = Class, Beside = unknown> = Class extends abstract new (...args: never[]) => Defines<unknown>
  ? (id: string, options?: NounOptions) => RemoteWith<Instance, Beside>
  : Untyped

/** The names of what can be called or read on a stub. */
export type MemberOf<C> = Exclude<keyof C & string, keyof Stub<unknown> | keyof Promise<unknown>>

/** A capability of which only some members are left: what `narrow(cap, { only: ['run'] })` gives. */
export type Narrowed<C, Only extends string> = 0 extends 1 & C
  ? Untyped
  : C extends IsStub<infer T> | IsRecorded<infer T>
    ? Stub<T> & Pick<C, Only & keyof C>
    : Remote<Pick<C, Only & keyof C>>

/**
 * What the receiver of a value holds. Data is as it was; a capability or a function in it, however deep, is a stub. Data without any keeps its
 * own type, so that an editor shows its name.
 */
export type Received<T> = [Live<T>] extends [never] ? T : ReceivedLive<T>

/** What can be passed where a method takes a `T`: a value, a promise of one (of this object, of another, or local), in parts too. */
export type Argument<T> = Given<T> | PromiseLike<Given<T>> | IsRecorded<Given<T>>

/** What nobody has typed. */
// oxlint-disable-next-line typescript/no-explicit-any
type Untyped = any

/** Any function. Its result is not looked at: to ask for it here would make circles. */
type AnyFunction = (...args: never[]) => void

/** What goes by reference because its class says so, or is a stub of other make, by the marks that the platform and capnweb share. */
type Capability =
  | { __RPC_TARGET_BRAND: never }
  | { __DURABLE_OBJECT_BRAND: never }
  | { __WORKER_ENTRYPOINT_BRAND: never }
  | { __RPC_STUB_BRAND: unknown }

/** What goes by value and has nothing to be looked into. The last lines are streams, bodies (Blob, Request, Response), Headers and URL. */
type Value =
  | (string | number | boolean | bigint | symbol | null | undefined | void)
  | (Date | Error | RegExp | ArrayBuffer | ArrayBufferView)
  | (ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>)
  | { readonly locked: boolean; getReader: AnyFunction }
  | { readonly locked: boolean; getWriter: AnyFunction }
  | { arrayBuffer: AnyFunction }
  | { getSetCookie: AnyFunction }
  | { readonly href: string; readonly searchParams: object }

/** What `T` offers to a stub: of a class, what its instances do; of a class of `DO.extend`, what the definition lets out; of a stub, the far end. */
export type Shape<T> = T extends abstract new (...args: never[]) => infer Instance
  ? Shape<Instance>
  : T extends Defines<infer Public>
    ? Public
    : T extends { __RPC_STUB_BRAND: infer Far }
      ? Far
      : T

/** The members of a stub. Names are told apart by name alone; what begins with `_`, and what a stub has of its own, is out of reach. */
type Members<S> = { readonly [K in keyof S as K extends string ? Exclude<K, `_${string}` | OwnNames> : never]: Member<S[K]> }

type OwnNames = 'constructor' | 'dup' | 'map' | 'onRpcBroken' | 'then' | 'catch' | 'finally'

/** Arms in order: `any` would match both of the others; a method; a property or getter, which is read when it is awaited. */
type Member<M> = 0 extends 1 & M ? Untyped : M extends AnyFunction ? Call<M> : Pending<M>

type Call<M> = M extends (...args: infer Args) => infer Result ? (...args: Arguments<Args>) => Pending<Awaited<Result>> : never

type Arguments<Args> = { [I in keyof Args]: Argument<Args[I]> }

/** Makes a stub of a function a function, and a stub of `any` all of `any`. */
type Callable<T> = 0 extends 1 & T ? Untyped : T extends AnyFunction ? Call<T> : unknown

/**
 * What can be done with a value before it is there. Arms in order: `any`; what never comes; a stub, which is the same from afar; what becomes
 * one; values with nothing to call; lists, which have `.map`; and records, each member of which is a promise. What may be absent offers nothing.
 */
type Pipelined<T> = 0 extends 1 & T
  ? Untyped
  : [T] extends [never]
    ? unknown
    : [T] extends [IsStub<unknown>]
      ? T
      : [T] extends [AnyFunction | Capability]
        ? Remote<T>
        : [T] extends [Value]
          ? unknown
          : [T] extends [readonly (infer Item)[] | null | undefined]
            ? PendingList<Item, Extract<T, null | undefined>>
            : [T] extends [object]
              ? Members<T>
              : unknown

/** A list that is not there yet. `None` is what it may be instead of one; then nothing is mapped. */
interface PendingList<Item, None> {
  /** One element by its place; what is not there is `undefined`, when it is awaited. */
  readonly [place: number]: Pending<Item>
  /**
   * Does for each element what `each` does for one, at the far end: `each` runs once, here, to record its calls. It may make calls on the
   * element and on anything else and use their results as arguments, but not wait, branch or compute.
   */
  map<Result>(each: (element: Element<Item>) => Recordable<Result>): Pending<Settled<Result>[] | None>
}

/**
 * What a recording may give, of `.map(element => …)` and of `graph(() => …)`: results that are not there yet, in lists and records too, and
 * data. An `async` function has no place in one: it would run here, and once.
 */
export type Recordable<Result> = Result extends IsRecorded<unknown> ? Result : Result extends PromiseLike<unknown> ? never : Result

/** What a recording gives when it has run: each result in it, settled. `graph<R>(record: () => Recordable<R>)` is a graph of `Settled<R>`. */
export type Settled<T> = 0 extends 1 & T
  ? T
  : T extends IsRecorded<infer Result>
    ? Result
    : T extends IsStub<unknown> | AnyFunction | Capability | Value
      ? T
      : T extends object
        ? { [K in keyof T]: Settled<T[K]> }
        : T

/** Arms in order: promises, which may be stubs as well; stubs, which may be functions; what becomes a stub; values; lists and records. */
type ReceivedLive<T> =
  T extends PromiseLike<infer Result>
    ? Received<Result>
    : T extends IsStub<unknown>
      ? T
      : T extends AnyFunction | Capability
        ? Remote<T>
        : T extends Value
          ? T
          : T extends object
            ? { [K in keyof T]: Received<T[K]> }
            : T

/** `true` where something in `T` does not go by value, `never` otherwise. `Seen` holds the types that it is inside of: a tree ends there. */
type Live<T, Seen = never> = 0 extends 1 & T
  ? never
  : T extends PromiseLike<unknown> | IsStub<unknown> | AnyFunction | Capability
    ? true
    : T extends Value
      ? never
      : T extends readonly (infer Item)[]
        ? Live<Item, Seen>
        : T extends object
          ? ((same: T) => T) extends Seen
            ? never
            : { [K in keyof T]-?: Live<T[K], Seen | ((same: T) => T)> }[keyof T]
          : never

/** Arms as in {@link ReceivedLive}. A stub may be given for the thing itself, and the thing itself, where it is here, for a stub. */
type Given<T> =
  T extends PromiseLike<infer Result>
    ? Given<Result>
    : T extends IsStub<infer Far>
      ? T | Far
      : T extends AnyFunction
        ? Callback<T>
        : T extends Capability
          ? T | Remote<T>
          : T extends Value
            ? T
            : T extends object
              ? { [K in keyof T]: Argument<T[K]> }
              : T

/** A function that is passed along runs here, when the far end calls it: it gets what a receiver gets, and may answer with a promise. */
type Callback<F> = F extends (...args: infer Args) => infer Result
  ? (...args: { [I in keyof Args]: Received<Args[I]> }) => Answer<Awaited<Result>>
  : never

/** What a callback may answer with: anything, where nobody looks at it. */
type Answer<Result> = [Result] extends [void] ? unknown : Argument<Result>
