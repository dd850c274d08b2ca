/**
 * `npm test`: builds, then runs every lane that needs only Node, npm's packages and Chromium. Arguments go on to vitest, so
 * `npm test -- --project pure journal` runs the journal's tests alone.
 */
import { findChromium } from '../test/support/chromium.ts'
import { execute } from './support/parts.ts'
import { scratch } from './support/scratch.ts'

const args = process.argv.slice(2)
const chosen = args.some((arg) => arg === '--project' || arg.startsWith('--project='))

// A red build is reported and counted, but says nothing about the lanes that read the sources: they still run.
const built = (await execute(['node', 'scripts/build.ts'])) === 0
// Looked for once and passed on, so that no two test files install it at the same time.
const chromium = await findChromium()
const folder = await scratch()
const passed =
  (await execute(['vitest', 'run', '--maxWorkers=2', ...(chosen ? [] : ['--project=!interop']), ...args], {
    DOTDO_CHROMIUM: chromium ?? '',
    ...(folder && { TMPDIR: folder.path }),
  })) === 0
await folder?.remove()
if (chromium === undefined) {
  console.log('browser tests: skipped, no Chromium was found and none could be installed (set DOTDO_CHROMIUM to the path of one)')
}
if (!built) console.error('the build failed; see above')
process.exitCode = built && passed ? 0 : 1
