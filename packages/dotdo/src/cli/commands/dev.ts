/**
 * `dotdo dev`: the app on this machine, and what happens in it.
 *
 * Owns the app, the timer of its cron triggers, and what follows its objects; all of it ends with the command.
 */
import { isAbsolute, join, resolve } from 'node:path'
import { existsSync } from 'node:fs'
import type { AnyApp, AppStub } from '../../client/connect.ts'
import { connect } from '../../client/connect.ts'
import { readNumber } from '../arguments.ts'
import type { Command, Context } from '../command.ts'
import { nextTicks } from '../crons.ts'
import { exit, usageError } from '../failure.ts'
import { errorText } from '../failure.ts'
import { follow } from '../follow.ts'
import { startLocal, type LocalApp } from '../local.ts'
import { entryLine } from '../log-entries.ts'
import { nameOf } from '../objects.ts'
import { plain } from '../text.ts'
import { ofRuntime, type LogLine } from '../worker.ts'

/** Names of wrangler's configuration, in its own order. */
const configs = ['wrangler.json', 'wrangler.jsonc', 'wrangler.toml']

/** A timer of Node's takes 24.8 days at most; what is due later is looked for again. */
const longestWaitMs = 3_600_000

/** See the head of this file. */
export const dev: Command = {
  name: 'dev',
  summary: 'runs the app on this machine and shows what happens, until Ctrl-C',
  takes: '',
  positionals: [0, 0],
  options: {
    config: { value: 'FILE', help: 'its configuration (wrangler.toml, .json or .jsonc of this folder)' },
    folder: { value: 'FOLDER', help: 'where its state lies (.dotdo/state beside the configuration)' },
    port: { value: 'N', help: 'where it answers (8787; 0 takes any)' },
    clean: { help: 'begins anew: forgets all state' },
    progress: { help: 'also shows how far running steps are' },
  },
  about:
    'Starts the code anew when it changes. Cron triggers fire when they are due. Prints a link that opens the page once, within the hour.',
  examples: [
    ['npx dotdo dev', 'on port 8787'],
    ['npx dotdo dev --port 0 --clean', 'on any port, with no state'],
  ],
  asksApp: false,
  async run({ text, has }, context) {
    const { terminal, json, signal, atEnd, cwd } = context
    const configPath = findConfig(cwd, text('config'))
    const stateFolder = resolve(cwd, text('folder') ?? join(configPath, '..', '.dotdo', 'state'))
    const port = readNumber('port', text('port'), 8787, [0, 65_535])
    const local = await startLocal({
      configPath,
      stateFolder,
      port,
      clean: has('clean'),
      watch: true,
      log: (line) => showLog(line, context),
      fault: (message) => terminal.note(terminal.paintError('red', `The change is not running: ${plain(message)}`)),
    })
    atEnd(() => local.stop())
    context.takeSignals()
    if (signal.aborted) return exit.fine
    terminal.hide(local.token)
    const app = connect(local.url, { token: local.token })
    atEnd(() => app.close())

    // Deployed, they live from the first firing of a trigger on; here nobody wants to wait for that.
    await app.dotdo.wake()
    const { nouns, singletons } = await app.dotdo.describe()
    const objects = Object.entries(singletons).flatMap(([noun, names]) => names.map((name) => ({ noun, name })))
    const link = await local.pageLink()
    if (json)
      terminal.reveal(JSON.stringify({ at: context.now(), type: 'ready', url: local.url, link, nouns, objects: objects.map(nameOf) }))
    else {
      terminal.print(`${terminal.paint('bold', 'App')}   ${local.url}  ${terminal.paint('dim', nouns.join(', '))}`)
      terminal.reveal(`${terminal.paint('bold', 'Page')}  ${terminal.paint('cyan', link)}`)
      terminal.print(
        terminal.paint(
          'dim',
          `The link opens once, within the hour. ${objects.length > 0 ? `Watching ${objects.map(nameOf).join(', ')}.` : 'No singletons to watch.'} Ctrl-C stops.`,
        ),
      )
    }
    const failed = watchObjects(app, objects, has('progress'), context)
    atEnd(keepTime(local, context))
    const stopped = new Promise<number>((end) => signal.addEventListener('abort', () => end(exit.fine)))
    return await Promise.race([stopped, failed])
  },
}

/** The configuration that was named, or that of the folder. @throws `USAGE_INVALID` where there is none */
function findConfig(cwd: string, named: string | undefined): string {
  if (named !== undefined) {
    const path = isAbsolute(named) ? named : join(cwd, named)
    if (existsSync(path)) return path
    throw usageError(`There is no ${path}. Name the app's configuration: --config=wrangler.toml`, { path })
  }
  const found = configs.map((name) => join(cwd, name)).find((path) => existsSync(path))
  if (found !== undefined) return found
  throw usageError(
    `There is no ${configs.join(', ')} in ${cwd}. Go to the app's folder, or name it: --config=FILE. A new one: npm create dotdo`,
    { cwd },
  )
}

/** Shows what happens in the objects from now on. Rejects where one cannot be watched. */
function watchObjects(
  app: AppStub<AnyApp>,
  objects: readonly { noun: string; name: string }[],
  progress: boolean,
  context: Context,
): Promise<never> {
  const { terminal, json, now, atEnd } = context
  const failed = Promise.withResolvers<never>()
  for (const object of objects) {
    const following = follow(app, object, {
      runs: 5,
      since: now(),
      entry(entry) {
        if (entry.type === 'step.progress' && !progress) return
        if (json) terminal.object(entry)
        else terminal.print(entryLine(entry, objects.length === 1, terminal))
      },
      failed: failed.reject,
    })
    atEnd(following.close)
  }
  return failed.promise
}

/** Fires the cron triggers when they are due, until what it gives is called. One firing at a time; what is due meanwhile fires next, once. */
function keepTime(local: LocalApp, { now, terminal }: Context): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let over = false
  const refused = new Set<string>()
  const plan = (after: number) => {
    if (over) return
    const ticks = nextTicks(local.crons(), after, (cron, reason) => {
      if (refused.has(cron)) return
      refused.add(cron)
      terminal.note(`The cron trigger '${cron}' cannot be read, and does not fire: ${reason}`)
    })
    const at = ticks[0]?.at ?? Infinity
    const waitMs = Math.max(0, Math.min(at - now(), longestWaitMs))
    timer = setTimeout(
      () => void (now() < at ? Promise.resolve() : fire(ticks)).then(() => plan(Math.max(after, Math.min(at, now())))),
      waitMs,
    )
  }
  const fire = async (ticks: ReturnType<typeof nextTicks>) => {
    for (const { cron, at } of ticks) {
      try {
        await local.scheduled(cron, at)
      } catch (error) {
        if (!over) terminal.note(terminal.paintError('red', `The cron trigger '${cron}' failed: ${errorText(error).message}`))
      }
    }
  }
  plan(now())
  return () => {
    over = true
    clearTimeout(timer)
  }
}

/** What the app's code prints is shown as it comes; workerd's own remarks only where they are warnings. */
function showLog({ level, message }: LogLine, { terminal, json, now }: Context): void {
  const lines = ofRuntime(message).trimEnd().split('\n').map(plain)
  if (json) terminal.object({ at: now(), type: 'log', level, message })
  else if (level === 'error') terminal.note(...lines.map((line) => terminal.paintError('red', line)))
  else if (level === 'warn') terminal.note(...lines.map((line) => terminal.paintError('yellow', line)))
  else terminal.print(...lines)
}
