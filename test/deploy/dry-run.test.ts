/** What `wrangler deploy` would upload: each app is bundled as it is deployed, and what it needs is in the bundle or bound to it. */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root, temporary } from '../support/app.ts'

const wrangler = join(dirname(createRequire(import.meta.url).resolve('wrangler/package.json')), 'bin', 'wrangler.js')
/** What Cloudflare takes of a Worker on a free plan, compressed. */
const limitBytes = 3 * 1024 * 1024

let folder: Awaited<ReturnType<typeof temporary>>
let scaffolded: string
beforeAll(async () => {
  folder = await temporary('deploy')
  // As `npm create dotdo` lays it out, in a place where its dependencies are found.
  await mkdir(join(root, '.dotdo'), { recursive: true })
  scaffolded = await mkdtemp(join(root, '.dotdo', 'scaffolded-'))
  await cp(join(root, 'packages/create-dotdo/template'), scaffolded, {
    recursive: true,
    filter: (path) => !/node_modules|\.dotdo|\.wrangler/.test(path.slice(root.length)),
  })
  await mkdir(join(scaffolded, 'node_modules'))
  await symlink(join(root, 'packages/dotdo'), join(scaffolded, 'node_modules/dotdo'))
})
afterAll(async () => {
  await folder?.remove()
  await rm(scaffolded, { recursive: true, force: true })
})

/** Each app: its name, its wrangler.toml, its bindings, and a class that it exports. */
const apps: [string, () => string, RegExp[], string?][] = [
  ['the demo of this repository', () => join(root, 'wrangler.toml'), [/env\.R2_BUCKET \(data-lake\)/, /env\.ASSETS/]],
  ['a new project', () => join(scaffolded, 'wrangler.toml'), [/env\.R2_BUCKET \(data-lake\)/, /env\.ASSETS/]],
  [
    'the seed’s Complete Example, an app of one file behind dotdo’s entry',
    () => join(root, 'test/seed/app/wrangler.toml'),
    [/env\.R2_BUCKET \(lake\)/],
  ],
  ['the stages of two Workers', () => join(root, 'test/workers/stages/wrangler.toml'), [/No bindings found/], 'DotdoEntrypoint'],
  [
    'the pipeline of two Workers, joined by service',
    () => join(root, 'test/workers/pipeline/wrangler.toml'),
    [/env\.STAGES \(stages#DotdoEntrypoint\)/],
  ],
  [
    'the pipeline of two Workers, joined by binding',
    () => join(root, 'test/workers/pipeline/binding.toml'),
    [/env\.SOURCE \(Source, defined in stages\)/, /env\.STAGE \(Stage, defined in stages\)/],
  ],
]

test.each(apps)('%s is bundled for a deploy', async (name, config, bindings, exported = 'Pipeline') => {
  const out = join(folder.path, name.replaceAll(/\W+/g, '-'))
  const { stdout } = await promisify(execFile)(process.execPath, [wrangler, 'deploy', '--dry-run', '--config', config(), '--outdir', out], {
    cwd: root,
    env: { ...process.env, WRANGLER_LOG: 'log', WRANGLER_WRITE_LOGS: 'false', WRANGLER_SEND_METRICS: 'false', CI: '1', NO_COLOR: '1' },
    timeout: 100_000,
  })
  expect(stdout).toContain('--dry-run: exiting now.')
  expect(stdout).not.toMatch(/warning|error/i)
  for (const binding of bindings) expect(stdout).toMatch(binding)

  const files = await readdir(out, { recursive: true })
  const entry = await readFile(
    join(
      out,
      files.find((it) => it.endsWith('.js'))!,
    ),
    'utf8',
  )
  // Its objects by name, and the framework's own; the parser's wasm beside it, since none may be compiled at run time.
  expect(entry).toMatch(/export \{[^}]*\bDotdoSystem\b[^}]*\}/s)
  expect(entry).toMatch(new RegExp(`export \\{[^}]*\\b${exported}\\b[^}]*\\}`, 's'))
  expect(files.some((it) => it.endsWith('.wasm'))).toBe(true)
  expect(entry).not.toMatch(/\bnew Function\(|[^.\w]eval\(/)
  // Only what the platform has is left to import.
  const imported = [...entry.matchAll(/^import .* from "([^"]+)";$/gm)].map(([, from]) => from!)
  expect(imported.filter((from) => !/^(?:cloudflare:|node:|\.\/)/.test(from) && !from.endsWith('.wasm'))).toEqual([])

  let bytes = 0
  for (const file of files) {
    if (!/\.(?:js|wasm)$/.test(file) || !(await stat(join(out, file))).isFile()) continue
    bytes += gzipSync(await readFile(join(out, file))).byteLength
  }
  expect(bytes).toBeLessThan(limitBytes)
})
