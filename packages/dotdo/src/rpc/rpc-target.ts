/** What a capability of an app's own is an instance of. */
import { RpcTarget as Target } from 'capnweb'

/**
 * The class that a capability of your own extends: passed or returned, an instance arrives as a stub, and is called where it was made. In a Worker it is the
 * one of `cloudflare:workers`. Elsewhere it is capnweb's: so a module that takes it from here can be loaded by a test in Node, and by a browser.
 */
export const RpcTarget: typeof Target = Target
/** An instance of it. */
export type RpcTarget = Target
