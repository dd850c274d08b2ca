/** Runs Python with the foreign engines, as `npm run test:interop` laid them out. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Path of the Python that has the engines; undefined where the lane is to be skipped. */
export const python = process.env['DOTDO_PYTHON'] || undefined

/** Opens an in-memory DuckDB `con` that has its Iceberg extension and what that one needs, from their packages and with no download. */
export const openDuckDb = `
import duckdb, glob, os
con = duckdb.connect()
for name in ('avro', 'httpfs', 'iceberg'):
    package = __import__(f'duckdb_extension_{name}')
    [path] = glob.glob(os.path.join(os.path.dirname(package.__file__), 'extensions', f'v{duckdb.__version__}', '*.duckdb_extension'))
    con.load_extension(path)
`

/**
 * Runs a program and answers what it prints, read as JSON. `args` are its `sys.argv[1:]`. Rejects with Python's own traceback
 * when the program fails or takes longer than `timeoutMs`.
 */
export async function runPython<Result>(program: string, args: string[] = [], timeoutMs = 120_000): Promise<Result> {
  if (python === undefined) throw new Error('no Python with the engines: run `npm run test:interop`')
  const { stdout } = await run(python, ['-c', program, ...args], { timeout: timeoutMs, maxBuffer: 256 * 1024 * 1024 })
  return JSON.parse(stdout) as Result
}
