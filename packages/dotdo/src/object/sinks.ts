/** Sinks over the platform: a Queue, a signed request, a table. */
import { createHmac } from 'node:crypto'
import { toMs } from '../base/durations.ts'
import { DotdoError } from '../base/errors.ts'
import type { SentEvent } from '../events/event.ts'
import type { OpenSink, QueueSink, Sink, TableSink, WebhookSink } from '../events/sinks.ts'
import { jsonOf, readSecret, signedRequest } from '../events/webhook.ts'
import { clock } from './platform.ts'

/** What the platform's Queues take: messages and bytes of one `sendBatch`, and bytes of one message. */
const queueLimits = { messages: 100, batchBytes: 256_000, messageBytes: 128_000 }
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

/** Opens a sink of an app. @throws `BINDING_MISSING`, `SECRET_INVALID`, `INVALID_DURATION` */
export function openSink(sink: Sink, env: unknown): OpenSink {
  if ('queue' in sink) return queueSink(sink, env)
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
      const bytes = new TextEncoder().encode(jsonOf(body, event)).length
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
  const timeoutMs = Math.min(toMs(timeout), longestTimeoutMs)
  const mac = (text: string) => createHmac('sha256', secret).update(text).digest()
  const put = async ([event]: readonly SentEvent[]) => {
    const request = signedRequest(event!, clock.now(), mac)
    const response = await fetch(webhook, { method: 'POST', ...request, redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) })
    // What it says is of no use here, and an unread body would hold the connection.
    await response.body?.cancel()
    if (!response.ok) throw refused(webhook, response.status, event!)
  }
  return { most: 1, fixed: false, put }
}

function tableSink({ table, row = eventRow }: TableSink): OpenSink {
  // The same events come again under the same key, and a table commits a key once.
  return {
    most: tableRows,
    fixed: true,
    put: async (events, key) => void (await table.write(events.map(row), { commitKey: `events ${key}` })),
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
    { data: { type, sizeBytes, limitBytes: queueLimits.messageBytes } },
  )
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
