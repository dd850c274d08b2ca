/**
 * The lanes of the test suite. `vitest run --project NAME` runs one.
 *
 *     pure     the rooms of packages/dotdo in plain Node: no platform, no clock, no network
 *     workerd  packages/dotdo/test/object inside workerd, with the Worker of its own wrangler.toml
 *     system   the whole of it from outside: test/**, Node drives workerd and Chromium, one file at a time
 *     strict   the same under production's limits: 128 MB of heap and buffers, connections, subrequests
 *     interop  foreign engines of Python, run by `npm run test:interop`
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig, type TestProjectConfiguration } from 'vitest/config'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const workerdConfig = at('packages/dotdo/test/object/wrangler.toml')

/** A lane in Node that starts processes of its own: one file at a time, since ports, memory and two cores are shared. */
function node(name: string, include: string[], exclude: string[] = []): TestProjectConfiguration {
  return {
    test: {
      name,
      include,
      exclude: ['**/node_modules/**', ...exclude],
      fileParallelism: false,
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
    testTimeout: 60_000,
  },
}

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'pure',
          include: ['packages/dotdo/test/**/*.test.ts'],
          exclude: ['packages/dotdo/test/object/**'],
        },
      },
      ...(existsSync(workerdConfig) ? [workerd] : []),
      node('system', ['test/**/*.test.ts', 'packages/create-dotdo/test/**/*.test.ts'], ['test/strict/**', 'test/interop/**']),
      node('strict', ['test/strict/**/*.test.ts']),
      node('interop', ['test/interop/**/*.test.ts']),
    ],
  },
})
