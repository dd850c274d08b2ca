/** The seed's nouns are typed as a user's are: by the module of the Worker. */
declare namespace Cloudflare {
  interface GlobalProps {
    mainModule: typeof import('./worker.ts')
  }
}
