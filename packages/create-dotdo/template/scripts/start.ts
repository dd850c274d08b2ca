/**
 * `npm start`: runs the pipeline on real data with nothing else installed, shows it, and keeps serving.
 *
 *     npm start               run the pipeline now, then serve until Ctrl-C
 *     npm start -- --once     run the pipeline now, then end
 *     npm start -- --clean    begin anew: forget all state
 *     npm start -- --port N   another port (8787; 0 takes any)
 */
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { codeOf, type LiveEvent, type RunView } from 'dotdo/client'
import { formatBytes, formatCount, formatMs } from 'dotdo/words'
import { endInOrder } from 'dotdo/local'
import { startDemo } from './local.ts'
import { bold, cyan, dim, green, LiveSteps, red, table } from './terminal.ts'

const sql =
  'SELECT originState, COUNT(*) AS flights, AVG(delay) AS meanDelay FROM flights GROUP BY originState ORDER BY flights DESC LIMIT 10'

/** Singletons are looked after this often: what the cron trigger does on Cloudflare. */
const tickMs = 60_000

/** The shards are filled within this time, also on a machine that is busy and after some attempts. */
const handledMs = 5 * 60_000

/** A failure that the person at the terminal can do something about. */
class StartError extends Error {}

const usage = `npm start -- [options]
  --once      run the pipeline now, then end
  --clean     begin anew: forget all state
  --port N    another port than 8787; 0 takes any
  --config F  another wrangler.toml
  --state D   another folder for the state`

/** What was typed. @throws `StartError` for what is no option */
function readArguments() {
  try {
    return parseArgs({
      options: {
        once: { type: 'boolean' },
        clean: { type: 'boolean' },
        port: { type: 'string' },
        config: { type: 'string' },
        state: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new StartError(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
  }
}

async function main(): Promise<void> {
  const { values } = readArguments()
  if (values.help) return console.log(usage)
  const project = join(dirname(fileURLToPath(import.meta.url)), '..')
  const port = Number(values.port ?? (values.once ? 0 : 8787))
  if (!/^\d+$/.test(values.port ?? '0') || port > 65_535)
    throw new StartError(`--port ${values.port} is no port. Give a number from 0 to 65535.`)

  const local = await startDemo({
    configPath: resolve(values.config ?? join(project, 'wrangler.toml')),
    stateFolder: resolve(values.state ?? join(project, '.dotdo', 'state')),
    port,
    clean: values.clean ?? false,
  })
  let stopping: Promise<void> | undefined
  const stop = () => (stopping ??= local.stop())
  endInOrder(async () => {
    await stop()
    return 0
  })
  try {
    if (local.written > 0) console.log(dim(`Laid ${local.written} objects into the local bucket data-lake.`))
    await local.app.dotdo.wake()
    await runPipeline(local.app)
    await showAnswers(local.app)
    console.log(`\n${bold('Page')}  ${cyan(await local.pageLink())}${values.once ? dim('  (npm start serves it; --once ends here)') : ''}`)
  } catch (error) {
    await stop()
    throw error
  }
  if (values.once) return stop()
  console.log(dim('The link opens once, within the hour. Serving; the pipeline runs every day at 02:00 UTC. Ctrl-C stops.'))
  tellFailures(local.app)
  setInterval(
    () => void local.app.dotdo.wake().catch((error: unknown) => console.error(red(`The app did not answer: ${String(error)}`))),
    tickMs,
  ).unref()
}

type App = Awaited<ReturnType<typeof startDemo>>['app']

/** Says when a later run of the pipeline fails: the page has the rest. */
function tellFailures(app: App): void {
  app.watch('Pipeline', 'main', {
    event(event) {
      if (event.type !== 'run.failed') return
      const { code, name, message } = event.run.error ?? { name: 'failed', message: 'no reason was given' }
      console.error(red(`The run ${event.run.runId} failed: ${code ?? name}: ${message}`))
    },
  })
}

/** Triggers the schedule and shows the run until it has ended. */
async function runPipeline(app: App): Promise<void> {
  const pipeline = app.dotdo.object('Pipeline', 'main')
  const ended = Promise.withResolvers<void>()
  const dead = Promise.withResolvers<never>()
  // Where nobody waits for it yet, it is told later or never.
  dead.promise.catch(() => {})
  const steps = new LiveSteps()
  let runId: string | undefined
  // What happens before the run is read as a whole is in what is read.
  let isRead = false
  const refresh = async () => {
    if (runId === undefined) return
    const run = await pipeline.run(runId)
    isRead = true
    steps.updateAll(run)
    if (run.status !== 'running') ended.resolve()
  }
  const watching = Promise.withResolvers<void>()
  const subscription = app.watch('Pipeline', 'main', {
    refresh: () => (watching.resolve(), void refresh().catch(ended.reject)),
    event(event: LiveEvent) {
      if (isRead && 'step' in event && event.runId === runId) steps.update(event.step)
      if ('run' in event && event.run.runId === runId && event.run.status !== 'running') ended.resolve()
      if (event.type === 'event.dead')
        dead.reject(new StartError(`No shard was filled: ${event.error?.message ?? 'the event was not handled'}`))
    },
  })
  await watching.promise
  runId = await pipeline.trigger('daily')
  console.log(`${bold('Run')}   ${runId}`)
  // Whatever happened between the trigger and its answer is read once.
  await refresh()
  await ended.promise
  const run = await pipeline.run(runId)
  steps.updateAll(run)
  steps.end()
  summarise(run)

  // The run's event lets the shards fetch their share, in a run of its own.
  const handling = await Promise.race([eventRun(pipeline, run), dead.promise])
  subscription.close()
  console.log(`${green('Event')} Pipeline.completed handled: shards filled in ${formatMs(handling.endedAt! - handling.startedAt)}`)
}

/** The run that handled the event which this run has sent, when it has ended. Looked for, since a live event may be missed. */
async function eventRun(pipeline: ReturnType<App['dotdo']['object']>, run: RunView): Promise<RunView> {
  // An event that an earlier start has left behind is handled before it.
  const sentAfter = run.steps?.at(-1)?.endedAt ?? run.startedAt
  const giveUpAt = Date.now() + handledMs
  for (;;) {
    const runs = await pipeline.runs({ limit: 20 })
    const found = runs.find(
      ({ target, startedAt, status }) =>
        target.kind === 'event' && target.type === 'Pipeline.completed' && startedAt >= sentAfter && status === 'done',
    )
    if (found) return found
    if (Date.now() > giveUpAt)
      throw new StartError(
        `Pipeline.completed was not handled within ${handledMs / 60_000} minutes. Start again; npm start -- --clean begins anew.`,
      )
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function summarise(run: RunView): void {
  const took = formatMs((run.endedAt ?? Date.now()) - run.startedAt)
  if (run.status === 'done') {
    const again = run.attempt > 1 ? `, taken up ${run.attempt - 1} times` : ''
    console.log(`${green('Done')}  ${run.steps?.length ?? 0} steps in ${took}${again}  ${dim(run.result?.text ?? '')}`)
    return
  }
  const { code, name, message } = run.error ?? { name: run.status, message: 'no reason was given' }
  throw new StartError(
    `The run ${run.runId} ended as ${run.status} after ${took}: ${code ?? name}: ${message}\nMend what it names and start again; npm start -- --clean begins anew.`,
  )
}

/** A query over all shards, and the table as it stands. */
async function showAnswers(app: App): Promise<void> {
  const started = performance.now()
  const [rows, status] = await Promise.all([app.Pipeline('main').query(sql), app.Pipeline('main').table()])
  console.log(`\n${bold('Query')} ${sql}\n${table(rows)}\n  ${dim(`over 4 objects in ${formatMs(performance.now() - started)}`)}`)
  if (status)
    console.log(
      `\n${bold('Table')} ${status.table}  snapshot ${status.snapshotId}  ${formatCount(status.files)} files  ${formatCount(status.rows)} rows  ${formatBytes(status.bytes)}`,
    )
}

main().catch((error: unknown) => {
  const code = codeOf(error)
  const message = error instanceof Error ? error.message : String(error)
  const isPlain = error instanceof StartError || code === 'APP_NOT_STARTED'
  console.error(red(isPlain || code === undefined ? message : `${code}: ${message}`))
  if (!isPlain && code === undefined && error instanceof Error) console.error(dim(error.stack ?? ''))
  process.exit(1)
})
