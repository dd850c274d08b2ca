/** Asks chdb, which is ClickHouse in one library: an engine that shares no code with ours. */
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'

const library = createRequire(import.meta.url).resolve('chdb')

/** chdb waits without giving way, and wrangler's proxy answers from this process: so it asks from a process of its own. */
const program = `
  const { Session } = require(${JSON.stringify(library)})
  const session = new Session()
  const answers = JSON.parse(process.argv[1]).map((statement) =>
    session.query(statement, 'JSONEachRow').split('\\n').filter(Boolean).map((line) => JSON.parse(line)))
  session.close()
  process.stdout.write(JSON.stringify(answers))
`

/** Runs statements one after another in one session and gives the rows of each. Rejects with what ClickHouse says. */
export async function chdb(folder: string, statements: readonly string[]): Promise<Record<string, unknown>[][]> {
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', program, JSON.stringify(statements)], {
    cwd: folder,
    maxBuffer: 64 * 1024 * 1024,
    timeout: 60_000,
  })
  return JSON.parse(stdout) as Record<string, unknown>[][]
}
