/**
 * Records the state that this release writes, for every later one to open. Run by hand when a release is made, after `npm run build`:
 *
 *     node scripts/golden.ts
 *
 * It runs the golden app in local workerd and keeps its objects' SQLite and its bucket in `test/golden/<version>/`, beside what was
 * true of them in `expected.json`. A record that is there is never overwritten: that is what it is for.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startWorker, temporary, until } from '../test/support/app.ts'
import { config, copyState, golden, inspect, lake, observe, type Expected } from '../test/golden/support/record.ts'

const { version } = JSON.parse(readFileSync(new URL('../packages/dotdo/package.json', import.meta.url), 'utf8')) as { version: string }
const target = join(golden, version)
if (existsSync(target)) {
  console.error(`${target} is there already. A release's state is recorded once; raise the version first.`)
  process.exit(1)
}

const state = await temporary('golden')
try {
  const running = await startWorker(config, { GOLDEN_GATE: 'shut' }, state.path)
  const pipeline = running.app.Pipeline('main')
  const inspector = inspect(running.app)
  await pipeline.lay(lake())
  await inspector.trigger('daily')
  await inspector.pause('weekly')
  await pipeline.fail().then(
    () => Promise.reject(new Error('fail() went well')),
    () => undefined,
  )
  // Ends with the app: it waits at the gate.
  pipeline.hold({ title: 'held', at: new Date('2001-01-01T00:00:00Z') }).then(
    () => console.error('hold() came through the gate'),
    () => undefined,
  )
  const runs = await until(
    'all runs stand where they are wanted',
    async () => Promise.all((await inspector.runs({ limit: 100 })).map(({ runId }) => inspector.run(runId))),
    (all) =>
      all.some((run) => run.steps?.some((step) => step.stepId === 'gate' && step.status === 'waiting')) &&
      all.some((run) => run.target.kind === 'schedule' && run.status === 'done') &&
      all.some((run) => run.target.kind === 'event' && run.target.handler === 'share-out' && run.status === 'done') &&
      all.some((run) => run.target.kind === 'event' && run.target.handler === 'patient'),
  )
  await until(
    'a letter is dead',
    () => inspector.deadLetters(),
    (all) => all.length === 1,
  )
  const held = runs.find((run) => run.target.kind === 'method' && run.target.name === 'hold')
  if (!held) throw new Error('there is no run of hold()')
  const expected: Expected = { recordedAt: Date.now(), ...(await observe(running.app, 0)), heldRunId: held.runId }
  await running.stop()
  mkdirSync(target)
  copyState(state.path, target)
  writeFileSync(join(target, 'expected.json'), `${JSON.stringify(expected, null, 2)}\n`)
  console.log(`recorded ${target}`)
} finally {
  await state.remove()
}
process.exit(0)
