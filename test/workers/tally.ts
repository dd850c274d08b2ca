/**
 * Counts what arrives: every native call of the framework on an object or an entrypoint of this Worker, at the receiving end, by no code of the
 * library. What a Worker has counted is its `/tally`.
 */
import type { AppHandler } from 'dotdo'

/** One native call that arrived. */
export interface Arrival {
  /** The object that sent it, as `Noun/name`; `a Worker` for a request of its own. */
  from: string
  /** The object, or `the service`. */
  to: string
  /** The native method. */
  method: string
  /** Frames in it, or calls where it is not a session's; 0 is a poll for answers. */
  frames: number
  /** Of the message and of what it was answered, both as JSON. */
  bytes: number
  /** What it says, shortened: for whoever looks at a count that is wrong. */
  what: string
}

interface Envelope {
  session?: string
  frames?: unknown[]
  ended?: string[]
  origin?: { caller?: string }
}

let arrivals: Arrival[] = []
/** Callers of sessions: only the first message of one says who. */
const callers = new Map<string, string>()

/** The same class, with its framework's methods counted. A user's class needs nothing of this. */
export function counted<Class extends abstract new (...args: never[]) => object>(noun: string, original: Class): Class {
  const Original = original as unknown as new (...args: any[]) => object
  class Counted extends Original {}
  for (let at = Original.prototype; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const method of Object.getOwnPropertyNames(at)) {
      if (!method.startsWith('dotdo') || Object.hasOwn(Counted.prototype, method)) continue
      const carry = at[method] as (...args: unknown[]) => unknown
      Object.defineProperty(Counted.prototype, method, {
        value(this: { ctx: { id?: { name?: string } } }, ...args: unknown[]) {
          const envelope = method === 'dotdoCall' ? ofCall(this.ctx.id ? args : args.slice(2)) : (args.at(-1) as Envelope)
          // Word that earlier conversations are over belongs to no call that is counted: it comes whenever what they gave is forgotten.
          if (envelope.frames?.length === 0 && envelope.ended) return carry.apply(this, args)
          const arrived = arrival(envelope, this.ctx.id ? `${noun}/${this.ctx.id.name}` : noun, method)
          arrivals.push(arrived)
          const reply = Promise.resolve(carry.apply(this, args))
          void reply.then(
            (it) => (arrived.bytes += textOf(it).length),
            () => {},
          )
          return reply
        },
      })
    }
  }
  return Counted as unknown as Class
}

/** What the arguments of a call without a session say. */
function ofCall(call: unknown[]): Envelope & { call: unknown[] } {
  const [, link, number, , caller] = call as [number, string, number, number, string | null]
  return { session: `${link}:${number}`, ...(caller !== null && { origin: { caller } }), call }
}

function arrival(envelope: Envelope, to: string, method: string): Arrival {
  const caller = envelope.origin?.caller
  if (caller !== undefined && envelope.session !== undefined) callers.set(envelope.session, caller)
  const from = caller ?? callers.get(envelope.session ?? '') ?? 'a Worker'
  const text = textOf(envelope.frames ?? envelope)
  return { from, to, method, frames: envelope.frames?.length ?? 1, bytes: text.length, what: text.slice(0, 2000) }
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? String(part) : part)) ?? ''
}

/** An app with `/tally` beside its own paths: GET reads what has arrived since the last DELETE. */
export function withTally(app: AppHandler): AppHandler {
  return {
    ...app,
    async fetch(request, env, ctx) {
      if (new URL(request.url).pathname !== '/tally') return await app.fetch(request, env, ctx)
      const counted = arrivals
      if (request.method === 'DELETE') arrivals = []
      return Response.json(counted)
    },
  }
}
