/** Messages of the platform's Queues, handed to objects as events. */
import { codeOf, DotdoError, isRetryable } from '../base/errors.ts'
import { redactText } from '../base/redact.ts'
import { appOptions, type QueueOptions } from './app.ts'
import type { Links } from './nouns.ts'
import type { QueuedEvent } from './sinks.ts'

/**
 * Hands each message to its object, which stores it as an event of its own for its handlers. One that is stored is acknowledged; one that cannot be
 * is tried again, as often as the Queue says, and then is the Queue's own dead letter.
 *
 * A message is one event however often it comes: its key is the event's own id, or the message's.
 * @throws `QUEUE_UNKNOWN` for a Queue of which the app says nothing: all of its messages are tried again
 */
export async function takeMessages(batch: MessageBatch, links: Links): Promise<void> {
  const { queues = {} } = appOptions()
  const options = Object.hasOwn(queues, batch.queue) ? queues[batch.queue] : undefined
  if (!options) throw queueUnknown(batch.queue, Object.keys(queues))
  await Promise.all(batch.messages.map((message) => take(message, batch.queue, options, links)))
}

async function take(message: Message, queue: string, options: QueueOptions, links: Links): Promise<void> {
  try {
    const { body } = message
    const event = isEvent(body) ? body : undefined
    const [noun, name] = addressOf(typeof options.to === 'function' ? options.to(body) : options.to, queue)
    const given = typeof options.type === 'function' ? options.type(body) : options.type
    const type = event?.type ?? given
    if (type === undefined) throw noType(queue)
    const args = [type, event ? event.payload : body, `queue:${queue}:${event?.id ?? message.id}`, event?.source ?? `queue:${queue}`]
    await links.link(noun, name).framework('enqueue', args)
    message.ack()
  } catch (error) {
    // The Queue has no word for why: the log has it.
    console.error(redactText(`A message of the Queue ${queue} was not taken: ${codeOf(error) ?? ''} ${String(error)}`))
    // Trying again at once what has to be mended first would only use up its attempts.
    message.retry(isRetryable(error) ? {} : { delaySeconds: 60 })
  }
}

function isEvent(body: unknown): body is QueuedEvent {
  const { id, type, sentAt, source } = (body ?? {}) as Partial<QueuedEvent>
  return (
    typeof id === 'string' && id.startsWith('evt_') && typeof type === 'string' && typeof sentAt === 'number' && typeof source === 'string'
  )
}

function addressOf(address: string, queue: string): [noun: string, name: string] {
  const slash = String(address).indexOf('/')
  if (slash > 0) return [address.slice(0, slash), address.slice(slash + 1)]
  throw new DotdoError(
    'QUEUE_INVALID',
    `serve({ queues }) says of ${queue} that its messages go to ${JSON.stringify(address)}. Write 'Noun/name'.`,
    {
      data: { queue },
    },
  )
}

function noType(queue: string): DotdoError {
  return new DotdoError(
    'QUEUE_INVALID',
    `A message of the Queue ${queue} is no event of dotdo, and serve({ queues }) gives no type for such: { to, type: 'Order.received' }.`,
    { data: { queue } },
  )
}

function queueUnknown(queue: string, known: string[]): DotdoError {
  return new DotdoError(
    'QUEUE_UNKNOWN',
    `serve({ queues }) says nothing of the Queue ${JSON.stringify(queue)}. It names: ${known.join(', ') || 'none'}. Add { ${JSON.stringify(queue)}: { to: 'Noun/name' } }.`,
    { data: { queue, known } },
  )
}
