/** `dotdo events`: what an object has sent, what nobody took of it or of all objects, and giving that to its handlers again. */
import { formatRelative } from '../../base/words.ts'
import type { FleetLetter } from '../../base/fleet-views.ts'
import type { EventView } from '../../base/views.ts'
import { readNumber } from '../arguments.ts'
import type { Command } from '../command.ts'
import { exit, usageError } from '../failure.ts'
import { inspect, nameOf, pages, requireObject } from '../objects.ts'
import { errorInWords } from '../run-view.ts'
import { leastObject, table, type Look } from '../table.ts'

/** So many letters one `--replay all` gives back, at most. */
const mostReplayed = 500

/** See the head of this file. */
export const events: Command = {
  name: 'events',
  summary: 'events that an object has sent, and its dead letters',
  takes: '[NOUN/ID]',
  positionals: [0, 1],
  options: {
    dead: { help: 'only what its handlers never took' },
    replay: { value: 'LETTER', help: 'gives a dead letter to its handler again; all: each of them' },
    limit: { value: 'N', help: 'so many of each, the newest (20)' },
  },
  about: 'Without NOUN/ID: the dead letters of all objects, as they have told the index of the app, the newest 50 of each.',
  examples: [
    ['npx dotdo events', 'what nobody took, in all objects'],
    ['npx dotdo events Pipeline/main', 'what it has sent'],
    ['npx dotdo events Pipeline/main --dead', 'what nobody took, and why'],
    ['npx dotdo events Pipeline/main --replay all', 'when the reason is mended'],
  ],
  asksApp: true,
  async run({ positionals, text, has }, { connect, terminal, json, now }) {
    const limit = readNumber('limit', text('limit'), 20, [1, 500])
    const letter = text('replay')
    const named = positionals[0]
    if (named === undefined && letter !== undefined)
      throw usageError('Say of which object: npx dotdo events NOUN/ID --replay LETTER, or --replay all.')
    const app = await connect()
    if (named === undefined) {
      const { fleet } = app.dotdo
      await fleet.settle()
      const { items } = await pages(limit, (size, after) => fleet.deadLetters({ limit: size, ...(after !== undefined && { after }) }))
      if (json) for (const { object, letter: dead } of items) terminal.object({ object, kind: 'deadLetter', ...dead })
      else if (items.length > 0) terminal.print(...deadTable(items, now(), terminal))
      else terminal.note('No dead letters of any object.')
      return exit.fine
    }
    const object = await requireObject(app, named)
    if (letter !== undefined) {
      const replayed = await inspect(app, object, async (inspector) => {
        const ids = letter === 'all' ? (await inspector.deadLetters({ limit: mostReplayed })).map(({ id }) => id) : [letter]
        await Promise.all(ids.map((id) => inspector.replay(id)))
        return ids
      })
      if (json) for (const id of replayed) terminal.object({ object: nameOf(object), replayed: id })
      else terminal.print(`Given to their handlers again: ${replayed.length}.`)
      return exit.fine
    }
    const [sent, dead] = await inspect(app, object, (inspector) =>
      Promise.all([has('dead') ? [] : inspector.events({ limit }), inspector.deadLetters({ limit })]),
    )
    if (json) {
      for (const event of sent) terminal.object({ object: nameOf(object), kind: 'event', ...event })
      for (const event of dead) terminal.object({ object: nameOf(object), kind: 'deadLetter', ...event })
      return exit.fine
    }
    if (sent.length > 0) terminal.print(...eventTable(sent, now(), terminal))
    if (sent.length > 0 && dead.length > 0) terminal.print('', terminal.paint('red', 'Dead letters'))
    if (dead.length > 0)
      terminal.print(
        ...deadTable(
          dead.map((it) => ({ object: nameOf(object), letter: it })),
          now(),
          terminal,
        ),
      )
    if (sent.length + dead.length === 0)
      terminal.note(has('dead') ? 'No dead letters.' : `${nameOf(object)} has sent no events that are still kept.`)
    return exit.fine
  },
}

function eventTable(sent: readonly EventView[], now: number, look: Look): string[] {
  return table(
    [
      { title: 'EVENT', least: 10, drop: 1 },
      { title: 'TYPE', least: 10 },
      { title: 'SENT', right: true },
      { title: 'WAITING', right: true },
      { title: 'DEAD', right: true },
      { title: 'PAYLOAD', least: 12, drop: 2 },
    ],
    sent.map(({ eventId, eventType, sentAt, waiting, dead, payload }) => [
      eventId,
      eventType,
      formatRelative(sentAt, now),
      waiting > 0 ? { text: String(waiting), color: 'yellow' } : '0',
      dead > 0 ? { text: String(dead), color: 'red' } : '0',
      payload.text,
    ]),
    look,
  )
}

function deadTable(dead: readonly FleetLetter[], now: number, look: Look): string[] {
  const isOne = new Set(dead.map(({ object }) => object)).size < 2
  return table(
    [
      { title: 'OBJECT', least: leastObject },
      // What --replay takes stays whole.
      { title: 'LETTER' },
      { title: 'TYPE', least: 10, drop: 3 },
      { title: 'ATTEMPTS', right: true, drop: 2 },
      { title: 'DIED', right: true, drop: 1 },
      { title: 'ERROR', least: 12, drop: 4 },
    ],
    dead.map(({ object, letter: { id, eventType, attempts, error, diedAt } }) => [
      isOne ? '' : object,
      id,
      eventType,
      String(attempts),
      formatRelative(diedAt, now),
      { text: errorInWords(error), color: 'red' },
    ]),
    look,
  )
}
