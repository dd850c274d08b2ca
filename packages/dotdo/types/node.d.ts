// The three modules of Node that workerd has (`nodejs_compat`) and `object/` uses. Narrow, so that nothing else of Node can be used by accident.
declare module 'node:async_hooks' {
  export class AsyncLocalStorage<T> {
    getStore(): T | undefined
    run<R>(store: T, work: () => R): R
  }
}
declare module 'node:crypto' {
  interface Digesting {
    update(text: string): this
    digest(): Uint8Array
    digest(encoding: 'hex'): string
  }
  export function createHash(algorithm: 'sha256'): Digesting
  export function createHmac(algorithm: 'sha256', key: string | Uint8Array): Digesting
}
declare module 'node:zlib' {
  export const constants: { readonly ZSTD_c_compressionLevel: number }
  export function zstdCompressSync(bytes: Uint8Array, options?: { params?: Record<number, number> }): Uint8Array
  export function zstdDecompressSync(bytes: Uint8Array): Uint8Array
}
