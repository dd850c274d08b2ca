/** Handlers that are no functions: where events go as they are. */
import { DotdoError } from '../base/errors.ts'
import type { SentEvent } from './event.ts'

/** A Queue of the platform: `{ queue: 'ORDERS' }`, by the name of its binding. Each message is an event with its `id`, `type` and `payload`. */
export interface QueueSink {
  readonly queue: string
}

/**
 * An address of somebody else, which gets each event as a request, signed as https://www.standardwebhooks.com says.
 *
 * A status from 200 to 299 takes it; 410 ends it at once, and everything else is tried again. Redirects are not followed.
 */
export interface WebhookSink {
  /** `https://…`; `http://` on loopback addresses only. */
  readonly webhook: string
  /** The binding that holds the secret: a text of 24 to 64 bytes in base 64, `whsec_` before it or not. */
  readonly secret: string
  /** How long an answer may take. Default 15 seconds, at most a minute. */
  readonly timeout?: number | string
}

/**
 * A chat: the address in this binding gets each event as `{ "text": … }`, as the incoming webhooks of Slack, Mattermost, Discord (`/slack`) and others
 * take it. The text is that of the payload where it has one, else the event in words. What the chat took before an answer was lost comes twice.
 */
export interface ChatSink {
  /** The binding that holds the address, which is a secret: whoever has it can write there. `https://…`; `http://` on loopback addresses only. */
  readonly chat: string
  /** How long an answer may take. Default 15 seconds, at most a minute. */
  readonly timeout?: number | string
}

/** Another object of this app, as `Noun/name`: each event becomes one of its own, for its handlers, once. */
export interface ObjectSink {
  readonly object: string
}

/** A table: anything that writes rows under a key, so that the same rows under the same key are there once. An `IcebergWriter` does. */
export interface TableWriter {
  write(rows: readonly object[], options: { commitKey: string }): PromiseLike<unknown>
}

/** A table, one row an event: `{ type, entityId, payload, ts }` as the event table has them, or what `row` makes of it. */
export interface TableSink {
  readonly table: TableWriter
  /** What becomes of an event. Default: its id for `entityId`, and when it was sent for `ts`. */
  readonly row?: (event: SentEvent) => object
}

/** Where events go that no function takes. */
export type Sink = QueueSink | WebhookSink | ChatSink | ObjectSink | TableSink

/** A sink, ready to be given events. */
export interface OpenSink {
  /** Events of one batch at most. */
  readonly most: number
  /** Whether the same events come in the same batch again after a failure or a crash, under the same key. */
  readonly fixed: boolean
  /**
   * Takes all of the events, or throws. An error that is about one of them has its id as `data.eventId`: it alone is held to account, and the others of its
   * batch are tried again without it. One that names none is about all of them: the batch is tried again, then in halves, and none is held to account before it
   * fails alone. One that is not retryable says that nothing was taken.
   */
  put(events: readonly SentEvent[], key: string): Promise<void>
}

const known: readonly (readonly [name: string, others: readonly string[]])[] = [
  ['queue', []],
  ['webhook', ['secret', 'timeout']],
  ['chat', ['timeout']],
  ['object', []],
  ['table', ['row']],
]

/** Whether what was given in a handler's place is a sink. @throws `INVALID_HANDLER` for one that cannot be used, and for options that there are not */
export function isSink(given: unknown, pattern: string): given is Sink {
  if (typeof given !== 'object' || given === null) return false
  const kind = known.find(([name]) => Object.hasOwn(given, name))
  if (!kind) return false
  const [name, others] = kind
  const strange = Object.keys(given).filter((key) => key !== name && !others.includes(key))
  if (strange.length > 0)
    throw invalidSink(pattern, `it has no option ${JSON.stringify(strange[0])}; there are ${[name, ...others].join(', ')}`)
  const sink = given as Partial<QueueSink & WebhookSink & ChatSink & ObjectSink & TableSink>
  if (name === 'queue' && !isName(sink.queue)) throw invalidSink(pattern, 'queue is the name of a binding')
  if (name === 'webhook' && !isAddress(sink.webhook)) throw invalidSink(pattern, 'webhook is an https:// address')
  if (name === 'webhook' && !isName(sink.secret)) throw invalidSink(pattern, 'secret is the name of the binding that holds it')
  if (name === 'chat' && !isName(sink.chat)) throw invalidSink(pattern, 'chat is the name of the binding that holds its address')
  if (name === 'object' && !/^[A-Z]\w*\/./s.test(String(sink.object))) throw invalidSink(pattern, "object is one of this app: 'Noun/name'")
  if (name === 'table' && typeof sink.table?.write !== 'function') throw invalidSink(pattern, 'table is an IcebergWriter')
  if (sink.row !== undefined && typeof sink.row !== 'function') throw invalidSink(pattern, 'row is a function')
  return true
}

/** The name that a sink's default id has, in a function's place. */
export function nameOfSink(sink: Sink): string {
  return known.find(([name]) => Object.hasOwn(sink, name))![0]
}

/** The event that an error of a sink is about, where it says so. */
export function eventIdOf(thrown: unknown): string | undefined {
  const id = thrown instanceof DotdoError ? thrown.data?.['eventId'] : undefined
  return typeof id === 'string' ? id : undefined
}

const isName = (it: unknown): boolean => typeof it === 'string' && /^\w{1,100}$/.test(it)

/** Whether something is an address that events may go to: `https://`, or `http://` on a loopback address. */
export function isAddress(it: unknown): it is string {
  if (typeof it !== 'string' || it.length > 2048 || !URL.canParse(it)) return false
  const url = new URL(it)
  return url.protocol === 'https:' || (url.protocol === 'http:' && /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname))
}

function invalidSink(pattern: string, reason: string): DotdoError {
  return new DotdoError('INVALID_HANDLER', `The sink of ${pattern} cannot be used: ${reason}.`, { data: { pattern, reason } })
}
