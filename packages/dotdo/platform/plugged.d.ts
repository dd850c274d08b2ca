/** What is plugged into `node.js`: the simulated platform of one app. What each does, `platform.d.ts` says. */
export interface Plugged {
  env: Record<string, unknown>
  exports: Record<string, unknown>
  waitUntil(work: Promise<unknown>): void
  now(): number
  randomBytes(length: number): Uint8Array
  randomUUID(): string
  timer(delayMs: number, then: () => void): () => void
  endOfTurn(then: () => void): () => void
  fetch: typeof fetch
  bytePipe(): { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> }
}

/** Puts a simulated platform in the place of the one before. */
export declare function plug(next: Plugged | undefined): void
