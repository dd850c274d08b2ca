/**
 * SIGKILL at ten random moments of the main job. Whatever was killed, and however often: the run ends, the table and the shards hold each flight
 * once, and the run's event is handled once.
 *
 * In eight of the ten the app is asked to live again, as a start does; in one nobody asks, and in one wrangler dies with its workerds.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, readdir } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventRuns, root, startDemo, temporary, until, workerdOf, workerdsBelow, type RunningApp } from '../support/app.ts'
import { chdb } from '../support/chdb.ts'
import { randomOf, seed } from '../support/random.ts'

const flights = 200_000
/** How many steps the run has: two extracts, one that joins, one for each of thirteen days. */
const steps = 16
/** Early enough that the run does not end while a kill is on its way, also on a machine that is busy. */
const surelyWithin = steps / 2
let folder: Awaited<ReturnType<typeof temporary>>
let rounds = 0

// The processes are found through /proc.
describe.skipIf(process.platform !== 'linux')(`a killed run goes on (DOTDO_SEED=${seed})`, { concurrent: true }, () => {
  beforeAll(async () => {
    folder = await temporary('kill')
    // Laid out once: each round begins with the data and nothing else.
    const running = await startDemo(join(folder.path, 'laid-out'))
    await running.stop()
  }, 120_000)
  afterAll(() => folder?.remove())

  // Most of its time is waiting for the alarm: the others have that.
  test('after a kill that nobody notices: its own alarm wakes it', { timeout: 240_000 }, async () => {
    const random = randomOf(seed + 3)
    const state = await freshState()
    await using running = await startDemo(state)
    const runId = await trigger(running)
    const at = await reach(running, runId, Math.floor(random() * surelyWithin), random)
    await killWorkerd(running)
    // Read from the file: a call would wake the object.
    const status = await until(
      'the run ends by itself',
      () => statusInFile(state, runId),
      (it) => it !== 'running',
      120_000,
    )
    console.log(`killed at ${at}`)
    expect(status).toBe('done')
    expect((await running.app.dotdo.object('Pipeline', 'main').run(runId)).attempt).toBeGreaterThan(1)
    await expectEachFlightOnce(running)
  })

  describe('by a start', () => {
    test.each([1, 2])(
      'after four kills of workerd, when the app is asked to live again: round %i',
      { timeout: 240_000, concurrent: false },
      async (round) => {
        const random = randomOf(seed + round)
        await using running = await startDemo(await freshState())
        const runId = await trigger(running)
        // The first falls into the run for certain, the last ones may fall into the run of its event.
        const moments = [Math.floor(random() * surelyWithin), ...Array.from({ length: 3 }, () => Math.floor(random() * (steps + 2)))].sort(
          (a, b) => a - b,
        )
        const killedAt: string[] = []
        for (const moment of moments) {
          killedAt.push(await reach(running, runId, moment, random))
          await killWorkerd(running)
          await wakeAgain(running)
        }
        const run = await ended(running, runId)
        console.log(`killed at ${killedAt.join(', ')}; taken up ${run.attempt - 1} times`)
        expect(run.attempt).toBeGreaterThan(1)
        await expectEachFlightOnce(running)
      },
    )

    test(
      'after wrangler and its workerds died together, when the app is started again',
      { timeout: 240_000, concurrent: false },
      async () => {
        const random = randomOf(seed + 4)
        // What is printed is behind what happens: a round whose run had ended by then is played again, and its kill comes earlier.
        let state: string
        let runId: string
        let lines = Math.floor(random() * surelyWithin)
        for (let round = 1; ; round++, lines >>= 1) {
          state = await freshState()
          runId = await killedAfter(state, lines)
          const status = await statusInFile(state, runId)
          if (status === 'running') break
          expect(round, `the run was ${status} before it was killed`).toBeLessThan(4)
        }

        await using running = await startDemo(state)
        await running.app.dotdo.wake()
        const run = await ended(running, runId)
        expect(run.attempt).toBeGreaterThan(1)
        await expectEachFlightOnce(running)

        // At the end by an engine that is not ours.
        const work = join(folder.path, 'chdb')
        await mkdir(work)
        const answers = await chdb(work, [
          'SET allow_database_iceberg = 1',
          `CREATE DATABASE lake ENGINE = DataLakeCatalog('${running.url}iceberg/v1', 'any', 'key') SETTINGS catalog_type = 'rest', warehouse = 'data-lake', auth_header = 'Authorization: Bearer ${running.token}', storage_endpoint = '${running.url}buckets/data-lake'`,
          'SELECT toInt32(count()) AS flights, toInt32(sum(delay)) AS delay FROM lake.`analytics.flights`',
        ])
        expect(answers[2]).toEqual(await running.app.Pipeline('main').query('SELECT COUNT(*) AS flights, SUM(delay) AS delay FROM flights'))
      },
    )
  })
})

/** Starts the app as a user does, and kills its whole group when so many lines of the run's progress are printed. Tells the run's id. */
async function killedAfter(state: string, lines: number): Promise<string> {
  const script = join(root, 'packages/create-dotdo/template/scripts/start.ts')
  // A group of its own, as a terminal makes one.
  const child = spawn(process.execPath, [script, '--config', join(root, 'wrangler.toml'), '--state', state, '--once'], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.on('data', (text: Buffer) => (printed += text.toString()))
  const runId = await until(
    'the run begins',
    () => Promise.resolve(/^Run\s+(\S+)$/m.exec(printed)?.[1]),
    (it) => it !== undefined,
  )
  await until(
    'the moment',
    () => Promise.resolve(printed.split('\n').length - 3),
    (it) => it >= lines,
  )
  expect(workerdsBelow(child.pid)).toHaveLength(2)
  process.kill(-child.pid!, 'SIGKILL')
  await once(child, 'exit')
  return runId!
}

/** A state with the data laid out and no object yet. */
async function freshState(): Promise<string> {
  const state = join(folder.path, `round-${++rounds}`)
  await cp(join(folder.path, 'laid-out'), state, { recursive: true })
  return state
}

async function trigger(running: RunningApp): Promise<string> {
  await running.app.dotdo.wake()
  return running.app.dotdo.object('Pipeline', 'main').trigger('daily')
}

/** Kills the workerd that has the app's state open. wrangler starts another. */
async function killWorkerd(running: RunningApp): Promise<void> {
  const pid = workerdOf(running.state)
  expect(pid).toBeDefined()
  process.kill(pid!, 'SIGKILL')
  await until(
    'it is gone',
    () => Promise.resolve(workerdOf(running.state)),
    (found) => found !== pid,
    30_000,
  )
}

/** As a start does. A call that was under way when workerd died is lost, and so is one that comes too early. */
async function wakeAgain({ app }: RunningApp): Promise<void> {
  await until(
    'the app answers',
    () =>
      app.dotdo.wake().then(
        () => true,
        () => false,
      ),
    (answered) => answered,
    30_000,
  )
}

/** Waits until so many steps have begun, or the run has ended, and some milliseconds more. Tells the newest step: what a kill interrupts. */
async function reach({ app }: RunningApp, runId: string, begun: number, random: () => number): Promise<string> {
  const object = app.dotdo.object('Pipeline', 'main')
  const run = await until(
    'the moment',
    () => Promise.resolve(object.run(runId)),
    (it) => it.status !== 'running' || it.steps!.length >= begun,
  )
  await wait(random() * 60)
  return run.status === 'running' ? (run.steps!.at(-1)?.stepId ?? 'the start') : 'the event'
}

function ended({ app }: RunningApp, runId: string) {
  return until(
    'the run ends',
    () => Promise.resolve(app.dotdo.object('Pipeline', 'main').run(runId)),
    (it) => it.status !== 'running',
    120_000,
  )
}

async function expectEachFlightOnce(running: RunningApp): Promise<void> {
  const { app } = running
  const handled = await until(
    'the event is handled',
    () => eventRuns(app),
    (runs) => runs.length > 0 && runs.every((it) => it.status !== 'running'),
    120_000,
  )
  expect(handled.map((it) => it.status)).toEqual(['done'])
  expect(await app.Pipeline('main').table()).toMatchObject({ rows: flights, files: 13 })
  expect(await app.Pipeline('main').query('SELECT COUNT(*) AS flights FROM flights')).toEqual([{ flights }])
  const runs = await app.dotdo.object('Pipeline', 'main').runs({ limit: 500 })
  expect(runs.filter((it) => it.target.kind === 'schedule')).toHaveLength(1)
}

/** What the row of a run says, by a second reader of the object's SQLite. */
async function statusInFile(state: string, runId: string): Promise<string> {
  const objects = join(state, 'v3', 'do', 'dotdo-demo-Pipeline')
  const name = (await readdir(objects)).find((it) => /^[0-9a-f]{64}\.sqlite$/.test(it))!
  const database = new DatabaseSync(join(objects, name), { readOnly: true, timeout: 2000 })
  try {
    return String(database.prepare('SELECT status FROM dotdo_runs WHERE run_id = ?').get(runId)?.['status'])
  } finally {
    database.close()
  }
}
