/**
 * What `object/` takes from the runtime that it is in, and all of it: `#platform` is `workerd.js` in Workers, and in Node a place that `dotdo/testing`
 * plugs its simulation into (`node.js`). No other module of the library names the platform.
 */
export { DurableObject, WorkerEntrypoint, env, exports, waitUntil } from 'cloudflare:workers'
/** The whole module, for what is not in its types and not in every version of it. In Node it is empty. */
export declare const workers: Readonly<Record<string, unknown>>

/** Epoch milliseconds. In a Worker it stands still while code runs. */
export declare function now(): number
/** Unguessable bytes. */
export declare function randomBytes(length: number): Uint8Array
/** An unguessable UUID. */
export declare function randomUUID(): string
/** Runs `then` after `delayMs`; the result cancels it. */
export declare function timer(delayMs: number, then: () => void): () => void
/** Runs `then` when the code that runs now and every promise that is ready have run; the result cancels it. */
export declare function endOfTurn(then: () => void): () => void
/** Runs `then` some time after nothing refers to `target` any more. */
export declare function whenForgotten(target: object, then: () => void): void
/** The runtime's own `fetch`, whatever becomes of the global one. */
export declare const platformFetch: typeof fetch
/** A pipe for bytes that a native call can carry. */
export declare function bytePipe(): { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> }
/** What answers a text of a WebSocket without waking its object. */
export declare function autoResponse(request: string, response: string): WebSocketRequestResponsePair

/** In Node alone: puts a simulated platform in the place of the one before. See `plugged.d.ts`. */
export { plug } from './plugged.js'
