/**
 * An object as it is seen from afar: each method answers with a promise that can be called before it is there, and takes promises for
 * its arguments. What nobody has typed stays free: mapped over `any`, no member could be called.
 */
// oxlint-disable-next-line typescript/no-explicit-any
export type Remote<T> = 0 extends 1 & T ? any : { readonly [K in keyof T as K extends string ? K : never]: RemoteMember<T[K]> }

type RemoteMember<M> = M extends (...args: infer Args) => infer Result
  ? (...args: { [I in keyof Args]: Args[I] | PromiseLike<Args[I]> }) => Pending<Awaited<Result>>
  : Pending<M>

/** The promise of a value, on which calls can be made already. Arms in order: lists and plain values have nothing to call. */
export type Pending<T> = Promise<T> &
  (T extends readonly unknown[] | string | number | boolean | bigint | Date | Uint8Array | null | undefined
    ? unknown
    : T extends object
      ? Remote<T>
      : unknown)
