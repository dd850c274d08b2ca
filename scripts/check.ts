/**
 * Everything that can be said about the code without running it: types and walls, lint, format, lock, and the packed packages.
 * `npm run check -- types lint` runs the named parts only.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { execute, root, runParts, type Part } from './support/parts.ts'

// The root refers to what always exists. The others have a configuration of their own because their platform differs, and some
// compile against the built library without a reference to it: so they come after it, in a build of their own.
const others = [
  'packages/dotdo/test/object',
  'packages/dotdo/test/testing',
  'packages/dotdo/bench',
  'packages/dotdo/bench/rpc/worker',
  'packages/dotdo/bench/events/worker',
  'packages/dotdo/bench/schedules/worker',
  'packages/dotdo/bench/hostile/worker',
  'packages/dotdo/bench/runs/worker',
  'packages/create-dotdo/src',
  'packages/create-dotdo/template',
  'packages/console',
  'test',
  'test/seed',
  'test/golden/app',
  'test/types',
  'test/types/bare',
  'test/workers',
  'test/strict/support/fixture',
  'docs',
].filter((folder) => existsSync(join(root, folder, 'tsconfig.json')))

async function types(): Promise<boolean> {
  const library = await execute(['tsc', '-b'])
  const rest = await execute(['tsc', '-b', ...others])
  return library === 0 && rest === 0
}

const parts: Part[] = [
  { name: 'types', run: types },
  { name: 'lint', run: ['oxlint', '--deny-warnings'] },
  { name: 'format', run: ['oxfmt', '--check'] },
  { name: 'lock', run: ['node', 'scripts/complete-lock.ts', '--check'] },
  { name: 'package', run: ['node', 'scripts/check-package.ts'] },
]

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !parts.some((part) => part.name === name))
if (unknown.length > 0) throw new Error(`no such part: ${unknown.join(', ')}; there are ${parts.map(({ name }) => name).join(', ')}`)
const results = await runParts(parts.filter(({ name }) => wanted.length === 0 || wanted.includes(name)))
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1
