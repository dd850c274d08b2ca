import type {} from 'dotdo'

/** The bindings of wrangler.toml, so that `this.env` knows their types. Add a line for each binding that you add there. */
declare module 'dotdo' {
  interface Env {
    readonly R2_BUCKET: R2Bucket
  }
}
