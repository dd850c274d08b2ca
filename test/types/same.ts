/** Two types are the same. Both ways round and without distribution, so that `any` is the same as nothing but `any`. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Whether a type is `any`: an editor would show nothing of it. */
export type IsAny<T> = 0 extends 1 & T ? true : false

/** A claim that the compiler proves: `claim<Same<typeof x, number>>(true)` does not compile where it is not so. */
export function claim<Claim extends boolean>(_truth: Claim): void {}
