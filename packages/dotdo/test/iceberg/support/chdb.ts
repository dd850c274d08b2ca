import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'

const module = createRequire(import.meta.url).resolve('chdb')

/**
 * Runs statements in chdb (embedded ClickHouse) and gives the rows of each that answers. In a process of its own: it reads local files only below its
 * working directory, and a native engine must not take the tests with it.
 */
export async function chdb(folder: string, statements: readonly string[]): Promise<Record<string, unknown>[][]> {
  const script = `
    const { Session } = require(${JSON.stringify(module)})
    const session = new Session()
    const out = []
    for (const statement of JSON.parse(process.argv[1])) {
      const text = session.query(statement, 'JSONEachRow')
      out.push(text.split('\\n').filter(Boolean).map((line) => JSON.parse(line)))
    }
    session.close()
    process.stdout.write(JSON.stringify(out))
  `
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script, JSON.stringify(statements)], {
    cwd: folder,
    maxBuffer: 64 * 1024 * 1024,
  })
  return JSON.parse(stdout) as Record<string, unknown>[][]
}
