/**
 * The lanes of the test suite. `vitest run --project NAME` runs one.
 *
 *     pure     the rooms of packages/dotdo in plain Node: no platform, no clock, no network
 *     workerd  packages/dotdo/test/object inside workerd, with the Worker of its own wrangler.toml
 *     seed     every block of the seed as it is written, inside workerd; `seed-app`: its Complete Example behind dotdo's entry
 *     system   the whole of it from outside: test/**, Node drives workerd and Chromium, each file an app of its own
 *     console  the page: its pure parts, and the whole of it in Chromium against a small app in Node
 *     alone    what weighs memory or watches the page of a running app: one file at a time, after the lanes above
 *     strict   the same under production's limits: 128 MB of heap and buffers, connections, subrequests
 *     interop  foreign engines of Python, run by `npm run test:interop`
 *
 * Files of the lanes down to `console` run two at once on two cores, whichever lane they are of: most of an app's time is waiting, and a core
 * that waits is one that a property test can have. So none of them may depend on how fast it is.
 */
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig, type TestProjectConfiguration } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
/** Property tests draw the cases of one seed. */
const setupFiles = [at('test/support/seeded.ts')]
const workerdConfig = at('packages/dotdo/test/object/wrangler.toml')

/** Files at once. More would have each core switch between apps that all have limits of time. */
const maxWorkers = Math.max(2, Math.min(4, availableParallelism()))

/**
 * wrangler has a page for developers and keeps a trace of each request for it, in an object of its own. Calls take twice the time with it. What people start (`test/cli`,
 * `test/scaffold`) has it in its tests too.
 */
const env = { X_LOCAL_OBSERVABILITY: 'false', X_LOCAL_EXPLORER: 'false' }

/** A lane in Node that starts processes of its own: one file at a time and nothing beside it, unless it may be one of several. */
function node(name: string, include: string[], exclude: string[] = [], isAlone = true): TestProjectConfiguration {
  return {
    test: {
      name,
      include,
      exclude: ['**/node_modules/**', ...exclude],
      ...(isAlone ? { fileParallelism: false } : { maxWorkers }),
      setupFiles,
      env,
      // Of a file whose tests are concurrent: what calls an app waits for its turn besides.
      maxConcurrency: 16,
      testTimeout: 120_000,
      hookTimeout: 120_000,
    },
  }
}

const workerd: TestProjectConfiguration = {
  plugins: [cloudflareTest({ wrangler: { configPath: workerdConfig } })],
  test: {
    name: 'workerd',
    include: ['packages/dotdo/test/object/**/*.test.ts'],
    maxWorkers,
    testTimeout: 60_000,
  },
}

/** Programs of users import the package by name; in these lanes that is its source. */
const dotdo = at('packages/dotdo/src/index.ts')

const seed: TestProjectConfiguration = {
  plugins: [cloudflareTest({ wrangler: { configPath: at('test/seed/wrangler.toml') } })],
  resolve: { alias: { dotdo } },
  test: { name: 'seed', include: ['test/seed/seed.test.ts'], maxWorkers, testTimeout: 60_000 },
}

/** The Complete Example asks `api.example.com`; in this lane that is here. */
const api: Record<string, unknown> = {
  '/events': [
    { id: 'e1', userId: 'u1' },
    { id: 'e2', userId: 'u2' },
    { id: 'e3', userId: 'u9' },
  ],
  '/users': [
    { id: 'u1', name: 'Ann' },
    { id: 'u2', name: 'Bob' },
  ],
  '/products': [],
}

const seedApp: TestProjectConfiguration = {
  plugins: [
    cloudflareTest({
      main: at('packages/dotdo/src/object/entry.ts'),
      wrangler: { configPath: at('test/seed/app/wrangler.toml') },
      miniflare: { outboundService: (request: { url: string }) => Response.json(api[new URL(request.url).pathname] ?? null) as never },
    }),
  ],
  resolve: { alias: { dotdo, 'dotdo:app': at('test/seed/complete-example.ts') } },
  test: { name: 'seed-app', include: ['test/seed/complete-example.test.ts'], maxWorkers, testTimeout: 60_000 },
}

/** Lanes whose files take long come first, so that a core is not left alone with a long one at the end. */
class LongLanesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ project }: TestSpecification) => ['workerd', 'system'].indexOf(project.name)
    return (await super.sort(files)).sort((a, b) => rank(b) - rank(a))
  }
}

/** What would say something else beside another app. */
const alone = ['test/hostile/**/*.test.ts', 'test/browser/page.test.ts', 'test/client/browser.test.ts']

export default defineConfig({
  test: {
    sequence: { sequencer: LongLanesFirst },
    projects: [
      {
        test: {
          name: 'pure',
          include: ['packages/dotdo/test/**/*.test.ts'],
          exclude: ['packages/dotdo/test/object/**'],
          maxWorkers,
          // A property test may run on a loaded machine: the end is for what hangs, not for what is slow.
          testTimeout: 60_000,
          setupFiles,
        },
      },
      workerd,
      seed,
      seedApp,
      node(
        'system',
        ['test/**/*.test.ts', 'packages/create-dotdo/test/**/*.test.ts'],
        ['test/strict/**', 'test/interop/**', 'test/seed/**', ...alone],
        false,
      ),
      node('alone', alone),
      node('console', ['packages/console/test/**/*.test.ts'], [], false),
      node('strict', ['test/strict/**/*.test.ts']),
      node('interop', ['test/interop/**/*.test.ts']),
    ],
  },
})
