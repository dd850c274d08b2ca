/**
 * The names and types of the bindings: those of `wrangler types`, which declares them in `Cloudflare.Env`, and those of
 * `declare module 'dotdo' { interface Env { R2_BUCKET: R2Bucket } }`. One that nobody has declared is free.
 */
export interface Env extends Cloudflare.Env {
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly [binding: string]: any
}
