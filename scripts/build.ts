/** Builds what is shipped: the library by `tsc -b`, the parser's wasm beside it, and the console's page. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root, runParts, type Part } from './support/parts.ts'
import { prune } from './support/prune.ts'

const there = (path: string) => existsSync(join(root, path))

async function stale(): Promise<boolean> {
  for (const [name, besides] of [
    ['dotdo', ['vendor', 'console']],
    ['create-dotdo', []],
  ] as const) {
    const deleted = await prune(join(root, 'packages', name, 'src'), join(root, 'packages', name, 'dist'), besides)
    if (deleted.length > 0) console.log(`${name}: ${deleted.length} files of sources that are gone were deleted`)
  }
  return true
}

const parts: Part[] = [{ name: 'library', run: ['tsc', '-b', 'packages/dotdo/src'] }]
if (there('scripts/copy-sqlparser.ts')) parts.push({ name: 'parser', run: ['node', 'scripts/copy-sqlparser.ts'] })
if (there('packages/create-dotdo/src/tsconfig.json')) parts.push({ name: 'create-dotdo', run: ['tsc', '-b', 'packages/create-dotdo/src'] })
parts.push({ name: 'stale output', run: stale })
if (there('packages/console/vite.config.ts'))
  parts.push({ name: 'console', run: ['vite', 'build', 'packages/console', '--logLevel', 'warn'] })

process.exitCode = (await runParts(parts)).every(({ ok }) => ok) ? 0 : 1
