/** What `wrangler types` writes for this Worker. */
declare namespace Cloudflare {
  interface GlobalProps {
    mainModule: typeof import('./app.ts')
  }
  interface Env {
    readonly R2_BUCKET: R2Bucket
    readonly GREETING: string
    /** A stateless Worker's own entrypoint. */
    readonly RATES: Service<typeof import('./app.ts').Rates>
    /** Objects of another Worker, by the noun in capitals and by the noun itself. */
    readonly COLD_STORE: DurableObjectNamespace<InstanceType<typeof import('./elsewhere.ts').ColdStore>>
    readonly Archive: DurableObjectNamespace<import('./elsewhere.ts').Archive>
    /** Bound as well as exported: the export comes first. */
    readonly STAGE: DurableObjectNamespace<InstanceType<typeof import('./elsewhere.ts').ColdStore>>
    /** A class of which nobody has said what it is. */
    readonly MYSTERY: DurableObjectNamespace
  }
}
