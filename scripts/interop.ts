/**
 * `npm run test:interop`: lays the foreign engines of test/interop/requirements.txt into `.dotdo/interop` (once, and again when the
 * list changes), then runs the interop lane. Tests find their Python in `DOTDO_PYTHON`; an empty value says "none", and they skip.
 *
 * Where Python 3 is missing the reason is printed and the lane counts as skipped; with CI=true that is a failure.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execute, root } from './support/parts.ts'

const requirements = join(root, 'test/interop/requirements.txt')
const venv = join(root, '.dotdo/interop')
const python = join(venv, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python')
const stamp = join(venv, 'requirements.sha256')

const reason = await prepare()
if (reason !== undefined) console.log(`interop tests: skipped, ${reason}`)
const code = await execute(['vitest', 'run', '--project', 'interop', ...process.argv.slice(2)], {
  DOTDO_PYTHON: reason === undefined ? python : '',
})
process.exitCode = reason !== undefined && process.env['CI'] === 'true' ? 1 : code

/** Makes the environment ready. Answers why it cannot be, or undefined. */
async function prepare(): Promise<string | undefined> {
  const wanted = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
  if (existsSync(stamp) && (await readFile(stamp, 'utf8')) === wanted) return undefined
  // The stamp comes last, so that a half-made environment is made anew.
  await rm(venv, { recursive: true, force: true })
  await mkdir(join(root, '.dotdo'), { recursive: true })
  const system = await findPython()
  if (system === undefined) return 'no Python 3.10 or newer was found (python3 or python on PATH)'
  console.log('interop: installing the foreign engines into .dotdo/interop (about a minute, 500 MB)')
  if ((await execute([...system, '-m', 'venv', venv])) !== 0) {
    return 'Python has no venv module (on Debian: apt-get install python3-venv)'
  }
  const install = [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements]
  if ((await execute(install)) !== 0) return 'pip could not install test/interop/requirements.txt (see above)'
  await writeFile(stamp, wanted)
  return undefined
}

async function findPython(): Promise<string[] | undefined> {
  const test = ['-c', 'import sys; sys.exit(sys.version_info < (3, 10))']
  for (const command of process.platform === 'win32' ? [['py', '-3'], ['python']] : [['python3'], ['python']]) {
    if ((await execute([...command, ...test])) === 0) return command
  }
  return undefined
}
