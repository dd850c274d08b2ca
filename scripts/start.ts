/** `npm start`: builds the packages where that is needed, and runs the template's own start script on this repository's wrangler.toml. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(fileURLToPath(import.meta.url), '..', '..')
const run = (script: string, args: string[] = []) =>
  spawnSync(process.execPath, [join(root, script), ...args], { cwd: root, stdio: 'inherit' })

console.log('Building the packages: about a minute the first time, a second after that.')
const build = run('scripts/build.ts')
if (build.status !== 0) process.exit(build.status ?? 1)
const start = run('packages/create-dotdo/template/scripts/start.ts', [
  '--config',
  'wrangler.toml',
  '--state',
  '.dotdo/state',
  ...process.argv.slice(2),
])
process.exitCode = start.status ?? 1
