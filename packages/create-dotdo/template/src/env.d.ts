/**
 * What the compiler knows of the Worker beside its code, as `wrangler types` would write it: this.Pipeline('main') has the methods of the class
 * that src/index.ts exports by that name, and this.env the bindings of wrangler.toml. Add a line for each binding that you add there.
 */
declare namespace Cloudflare {
  interface GlobalProps {
    mainModule: typeof import('./index.ts')
  }
  interface Env {
    readonly R2_BUCKET: R2Bucket
  }
}
