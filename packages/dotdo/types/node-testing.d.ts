// What the simulated platform uses of Node beside what workerd has of it.
declare module 'node:sqlite' {
  export class StatementSync {
    all(...parameters: unknown[]): Record<string, unknown>[]
    get(...parameters: unknown[]): Record<string, unknown> | undefined
    run(...parameters: unknown[]): unknown
    columns(): { name: string }[]
    setReadBigInts(enabled: boolean): void
    setReturnArrays(enabled: boolean): void
  }
  export class DatabaseSync {
    constructor(location: string)
    exec(statements: string): void
    prepare(statement: string): StatementSync
    close(): void
  }
}
declare module 'node:v8' {
  export function serialize(value: unknown): Uint8Array
  export function deserialize(bytes: Uint8Array): unknown
}
declare module 'node:async_hooks' {
  export class AsyncLocalStorage<T> {
    getStore(): T | undefined
    run<R>(store: T, work: () => R): R
    static snapshot(): <R>(work: () => R) => R
  }
}
declare module 'node:crypto' {
  interface Digesting {
    update(text: string | Uint8Array): this
    digest(encoding: 'hex'): string
  }
  export function createHash(algorithm: 'sha256' | 'md5'): Digesting
}
declare function setImmediate(then: () => void): unknown
declare const process: {
  nextTick(then: () => void): void
  getActiveResourcesInfo(): string[]
  emitWarning(warning: string, options: { type: string; code: string }): void
  readonly env: Record<string, string | undefined>
}
