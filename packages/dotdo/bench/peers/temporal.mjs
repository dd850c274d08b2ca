/**
 * Temporal: its dev server as a process, on a SQLite file that is synced at each commit, and the worker and the client in
 * this process. The server is built by Go from the module of Temporal's command, since no registry of packages has the binary.
 *
 * A no-op step is a local activity, the cheapest that Temporal has, and a step with I/O an activity, which the server notes before and after it. The I/O is a
 * row in a SQLite file beside the server's, synced at each commit.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { Client, Connection } from '@temporalio/client'
import { DefaultLogger, makeTelemetryFilterString, NativeConnection, Runtime, Worker } from '@temporalio/worker'
import { freePort, untilIt } from './waiting.mjs'

const binary = fileURLToPath(new URL('node_modules/.go/temporal', import.meta.url))

/**
 * What makes it faster, and no less durable, than it comes. SQLite's default, a rollback journal, syncs several times a commit. An activity that is not asked
 * for eagerly by pollers of a fixed number waits for them: 100 ms a step where these settings have 50.
 */
const pragmas = ['journal_mode=WAL', 'synchronous=FULL'].flatMap((pragma) => ['--sqlite-pragma', pragma])
const eager = ['--dynamic-config-value', 'system.enableActivityEagerExecution=true']
const pollers = { type: 'simple-maximum', maximum: 4 }

/** Starts it. @param {string} folder for its state */
export async function start(folder) {
  await mkdir(folder)
  const port = await freePort()
  const args = [
    '--port',
    `${port}`,
    '--db-filename',
    join(folder, 'temporal.db'),
    '--headless',
    '--log-level',
    'error',
    ...pragmas,
    ...eager,
  ]
  const server = spawn(binary, ['server', 'start-dev', ...args], { stdio: 'ignore' })
  const exited = once(server, 'exit')
  const ledger = new DatabaseSync(join(folder, 'ledger.db'))
  ledger.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE written (i INTEGER)')
  const insert = ledger.prepare('INSERT INTO written VALUES (?)')

  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'ERROR' }) } },
  })
  const address = `127.0.0.1:${port}`
  const connection = await untilIt('Temporal listens', () => NativeConnection.connect({ address }))
  const worker = await untilIt('Temporal has its namespace', () =>
    Worker.create({
      connection,
      taskQueue: 'bench',
      workflowTaskPollerBehavior: pollers,
      activityTaskPollerBehavior: pollers,
      workflowsPath: fileURLToPath(new URL('temporal-workflows.mjs', import.meta.url)),
      activities: { keep: async (i) => i, write: async (i) => (insert.run(i), i) },
    }),
  )
  const running = worker.run()
  const client = new Client({ connection: await Connection.connect({ address }) })
  let runs = 0
  return {
    run: (kind, count) => client.workflow.execute(kind, { taskQueue: 'bench', workflowId: `run-${runs++}`, args: [count] }),
    wayIn: () => client.workflowService.getSystemInfo({}),
    async stop() {
      worker.shutdown()
      await running
      await client.connection.close()
      await connection.close()
      server.kill('SIGKILL')
      await exited
      ledger.close()
    },
  }
}
