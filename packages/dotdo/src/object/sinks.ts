/** Sinks over the platform: a Queue, a signed request, a chat, another object, a table. */
import { createHmac } from 'node:crypto'
import { formatMs, toMs } from '../base/durations.ts'
import { DotdoError, isRetryable } from '../base/errors.ts'
import type { SentEvent } from '../events/event.ts'
import {
  isAddress,
  type ChatSink,
  type ObjectSink,
  type OpenSink,
  type QueueSink,
  type Sink,
  type TableSink,
  type WebhookSink,
} from '../events/sinks.ts'
import { jsonOf, readSecret, signedRequest } from '../events/webhook.ts'
import { clock } from './platform.ts'

/**
 * What the platform's Queues take: messages and bytes of one `sendBatch`, and bytes of one message. What the platform notes of a message, about 100 bytes, is
 * counted with it.
 */
const queueLimits = { messages: 100, batchBytes: 256_000, messageBytes: 128_000, noteBytes: 100 }
/** Rows of one commit of a table. */
const tableRows = 1000
const longestTimeoutMs = 60_000

/** A message that a {@link QueueSink} puts into its Queue, as JSON. */
export interface QueuedEvent {
  id: string
  type: string
  payload: unknown
  sentAt: number
  source: string
  key?: string
}

/** Makes an event one of another object's own: what links call `enqueue`. */
export type Hand = (noun: string, name: string, args: [type: string, payload: unknown, key: string, source: string]) => PromiseLike<unknown>

/** Opens a sink of an app. @throws `BINDING_MISSING`, `SECRET_INVALID`, `INVALID_DURATION` */
export function openSink(sink: Sink, env: unknown, hand: Hand): OpenSink {
  if ('queue' in sink) return queueSink(sink, env)
  if ('chat' in sink) return chatSink(sink, env)
  if ('object' in sink) return objectSink(sink, hand)
  return 'webhook' in sink ? webhookSink(sink, env) : tableSink(sink)
}

function queueSink({ queue: name }: QueueSink, env: unknown): OpenSink {
  const queue = bindingOf(env, name) as Queue | undefined
  if (typeof queue?.sendBatch !== 'function') throw bindingMissing(name, 'Queue')
  const put = async (events: readonly SentEvent[]) => {
    let batch: MessageSendRequest[] = []
    let size = 0
    for (const event of events) {
      const { id, type, payload, sentAt, source, key } = event
      const body: QueuedEvent = { id, type, payload, sentAt, source, ...(key !== undefined && { key }) }
      const bytes = new TextEncoder().encode(jsonOf(body, event)).length + queueLimits.noteBytes
      if (bytes > queueLimits.messageBytes) throw tooLarge(event, bytes)
      if (size + bytes > queueLimits.batchBytes) {
        await queue.sendBatch(batch)
        batch = []
        size = 0
      }
      batch.push({ body, contentType: 'json' })
      size += bytes
    }
    await queue.sendBatch(batch)
  }
  return { most: queueLimits.messages, fixed: false, put }
}

function webhookSink({ webhook, secret: name, timeout = '15s' }: WebhookSink, env: unknown): OpenSink {
  const secret = readSecret(bindingOf(env, name), name)
  const mac = (text: string) => createHmac('sha256', secret).update(text).digest()
  const put = ([event]: readonly SentEvent[]) => post(webhook, signedRequest(event!, clock.now(), mac), timeout, event!)
  return { most: 1, fixed: false, put }
}

/** Most chats cut what is longer, or refuse it. */
const chatCharacters = 3000

function chatSink({ chat: name, timeout = '15s' }: ChatSink, env: unknown): OpenSink {
  const address = bindingOf(env, name)
  if (!isAddress(address)) throw bindingMissing(name, 'address of a chat (https://…)')
  const headers = { 'content-type': 'application/json' }
  const put = ([event]: readonly SentEvent[]) =>
    post(address, { headers, body: JSON.stringify({ text: textOf(event!).slice(0, chatCharacters) }) }, timeout, event!)
  return { most: 1, fixed: false, put }
}

/** What people read of an event. */
function textOf(event: SentEvent): string {
  const { text } = (event.payload ?? {}) as { text?: unknown }
  return typeof text === 'string' ? text : `${event.type} of ${event.source}: ${jsonOf(event.payload, event) ?? 'nothing more'}`
}

async function post(
  address: string,
  request: { headers: Readonly<Record<string, string>>; body: string },
  timeout: number | string,
  event: SentEvent,
): Promise<void> {
  const timeoutMs = Math.min(toMs(timeout), longestTimeoutMs)
  const signal = AbortSignal.timeout(timeoutMs)
  const response = await fetch(address, { method: 'POST', ...request, redirect: 'manual', signal }).catch((cause: unknown) => {
    throw unreachable(address, signal.aborted ? timeoutMs : undefined, event, cause)
  })
  // What it says is of no use here, and an unread body would hold the connection. Its status has said all: how the body ends changes nothing.
  void response.body?.cancel().catch(() => undefined)
  if (!response.ok) throw refused(address, response.status, event)
}

/** An event's id is its key there: it is one event however often it is brought. */
function objectSink({ object }: ObjectSink, hand: Hand): OpenSink {
  const slash = object.indexOf('/')
  const put = async ([event]: readonly SentEvent[]) => {
    const { id, type, payload, source } = event!
    await hand(object.slice(0, slash), object.slice(slash + 1), [type, payload, id, source])
  }
  return { most: 1, fixed: false, put }
}

function tableSink({ table, row = eventRow }: TableSink): OpenSink {
  // The same events come again under the same key, and a table commits a key once.
  return {
    most: tableRows,
    fixed: true,
    put: async (events, key) =>
      void (await table.write(
        events.map((event) => rowOf(event, row)),
        { commitKey: `events ${key}` },
      )),
  }
}

/** A row of an event. @throws `SINK_ROW_FAILED` where the app's function does */
function rowOf(event: SentEvent, row: (event: SentEvent) => object): object {
  try {
    return row(event)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new DotdoError('SINK_ROW_FAILED', `The sink's row() made no row of the '${event.type}' ${event.id}: ${reason}`, {
      data: { type: event.type, eventId: event.id },
      retryable: isRetryable(cause),
      cause,
    })
  }
}

/** An event as a row of the event table. */
function eventRow({ id, type, payload, sentAt }: SentEvent): object {
  return { type, entityId: id, payload, ts: sentAt }
}

const bindingOf = (env: unknown, name: string): unknown => (env as Record<string, unknown>)[name]

function bindingMissing(name: string, kind: string): DotdoError {
  return new DotdoError(
    'BINDING_MISSING',
    `There is no ${kind} with the binding ${name} in this Worker. Declare it in wrangler.toml, deploy, and replay the dead letters.`,
    { data: { binding: name, kind }, retryable: true },
  )
}

function tooLarge({ type, id }: SentEvent, sizeBytes: number): DotdoError {
  return new DotdoError(
    'PAYLOAD_TOO_LARGE',
    `The '${type}' ${id} has ${sizeBytes} bytes as a message; a Queue takes up to ${queueLimits.messageBytes}. Store the data and send a reference to it.`,
    { data: { type, eventId: id, sizeBytes, limitBytes: queueLimits.messageBytes } },
  )
}

/** What the platform says of it may name the whole address, which may hold a secret: that stays at home, as the cause. */
function unreachable(webhook: string, timeoutMs: number | undefined, { type, id }: SentEvent, cause: unknown): DotdoError {
  const { host } = new URL(webhook)
  const what = timeoutMs === undefined ? 'could not be reached' : `gave no answer within ${formatMs(timeoutMs)}`
  return new DotdoError('WEBHOOK_UNREACHABLE', `The webhook at ${host} ${what} for the '${type}' ${id}.`, {
    data: { host, type, eventId: id, ...(timeoutMs !== undefined && { timeoutMs }) },
    retryable: true,
    cause,
  })
}

/** 410 means that the address is gone for good; everything else may pass. The address may hold a secret, so only its host is told. */
function refused(webhook: string, status: number, { type, id }: SentEvent): DotdoError {
  const { host } = new URL(webhook)
  return new DotdoError(
    'WEBHOOK_REFUSED',
    `The webhook at ${host} answered ${status} to the '${type}' ${id}. A status from 200 to 299 takes it.`,
    {
      data: { host, status, type, eventId: id },
      retryable: status !== 410,
    },
  )
}
