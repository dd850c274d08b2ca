/** `dotdo logs`: what happened in an object, and what happens. */
import { readNumber } from '../arguments.ts'
import type { Command } from '../command.ts'
import { exit } from '../failure.ts'
import { follow, history } from '../follow.ts'
import { entryLine, type LogEntry } from '../log-entries.ts'
import { objectsOf } from '../objects.ts'

/** See the head of this file. */
export const logs: Command = {
  name: 'logs',
  summary: 'what happened in an object: runs, steps, events; with --follow, what happens',
  takes: '[NOUN/ID]',
  positionals: [0, 1],
  options: {
    follow: { help: 'goes on until Ctrl-C' },
    progress: { help: 'with --follow: also how far running steps are' },
    limit: { value: 'N', help: 'of so many runs, the newest (5)' },
  },
  about: 'Without NOUN/ID: of all objects that the app declares as singletons.',
  examples: [
    ['npx dotdo logs Pipeline/main', 'what its newest runs did'],
    ['npx dotdo logs Pipeline/main --follow', 'and what they do, until Ctrl-C'],
  ],
  asksApp: true,
  async run({ positionals, text, has }, { connect, terminal, json, signal, atEnd }) {
    const runs = readNumber('limit', text('limit'), 5, [1, 100])
    const app = await connect()
    const objects = await objectsOf(app, positionals[0])
    const show = (entry: LogEntry) => {
      if (entry.type === 'step.progress' && !has('progress')) return
      if (json) terminal.object(entry)
      else terminal.print(entryLine(entry, objects.length === 1, terminal))
    }
    if (!has('follow')) {
      const all = await Promise.all(objects.map((object) => history(app, object, runs)))
      const entries = all.flat().sort((a, b) => a.at - b.at)
      for (const entry of entries) show(entry)
      if (entries.length === 0 && !json) terminal.note('Nothing has happened there yet.')
      return exit.fine
    }
    const failed = Promise.withResolvers<never>()
    for (const object of objects) {
      const following = follow(app, object, {
        runs,
        since: 0,
        entry: show,
        lost: (reason, retryMs) => terminal.note(`The connection was lost (${reason}); tried again in ${Math.ceil(retryMs / 1000)} s.`),
        resumed: () => terminal.note('The connection stands again.'),
        failed: failed.reject,
      })
      atEnd(following.close)
    }
    const stopped = new Promise<number>((resolve) => signal.addEventListener('abort', () => resolve(exit.fine)))
    return await Promise.race([failed.promise, stopped])
  },
}
