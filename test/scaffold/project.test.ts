/**
 * What a user gets: both packages packed, a project made by the packed command in an empty folder, installed, checked, tested, started and called.
 * Packages other than ours come from npm's registry or its cache.
 */
import { appendFile, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { machine, type Machine, type Packed } from './support/machine.ts'

let user: Machine
let library: Packed
let command: Packed
beforeAll(async () => {
  user = await machine()
  library = await user.pack('dotdo')
  command = await user.pack('create-dotdo')
})
afterAll(() => user?.leave())

describe('the packed packages', () => {
  test('dotdo has its entries, the parser, the page and the sources that its maps point to', () => {
    for (const path of [
      'dist/index.js',
      'dist/index.d.ts',
      'dist/client.js',
      'dist/object/entry.js',
      'dist/cli/main.js',
      'dist/cli/local.js',
      'dist/rpc/tokens.js',
      'dist/console/index.html',
      'dist/console/_headers',
    ]) {
      expect(library.files.has(path), path).toBe(true)
    }
    expect([...library.files.keys()].filter((path) => path.endsWith('.wasm'))).toEqual(['dist/vendor/sqlparser/sqlparser_rs_wasm_bg.wasm'])
    expect([...library.files.keys()].some((path) => path === 'dist/vendor/sqlparser/LICENSE')).toBe(true)
    expect([...library.files.keys()].filter((path) => /^dist\/console\/assets\/.*\.(js|css)$/.test(path)).length).toBeGreaterThan(1)
    const maps = [...library.files.keys()].filter((path) => /^dist\/(?!console|vendor).*\.js$/.test(path))
    expect(maps.length).toBeGreaterThan(100)
    for (const path of maps)
      expect([path, library.files.has(`${path}.map`), library.files.has(path.replace('dist/', 'src/').replace(/\.js$/, '.ts'))]).toEqual([
        path,
        true,
        true,
      ])
  })

  test('neither has tests, build states, placeholders or anything of this machine', () => {
    for (const { files } of [library, command]) {
      expect(
        [...files.keys()].filter((path) =>
          /(^|\/)(test|bench|node_modules|\.[^/]+)\/(?!(?:flights|pipeline)\.test\.ts)|tsbuildinfo|placeholder|\.log$|package-lock/.test(
            path,
          ),
        ),
      ).toEqual([])
    }
  })

  test('they are small: below 3.25 MB, of which the SQL parser is a third, and 50 kB', () => {
    expect(library.sizeBytes).toBeLessThan(3_250_000)
    expect(command.sizeBytes).toBeLessThan(50_000)
  })
})

describe('a project', () => {
  let project: string
  const npm = (...args: string[]) => user.run(project, 'npm', ...args)

  beforeAll(async () => {
    project = join(user.folder, 'flights-of-2001')
    // A cache of its own: npm keeps what `npm exec` installs, and that would be one copy for each run of this test.
    const made = await user.run(
      user.folder,
      'npm',
      'exec',
      '--yes',
      '--cache',
      join(user.folder, 'cache'),
      `--package=${command.tarball}`,
      '--',
      'create-dotdo',
      'flights-of-2001',
    )
    if (made.code !== 0) throw new Error(made.out)
    expect(made.out).toContain('cd flights-of-2001')
    const installed = await npm('install', '--prefer-offline', library.tarball)
    if (installed.code !== 0) throw new Error(installed.out)
  }, 600_000)

  test('has the files of the template under their own names', async () => {
    const files = await readdir(project)
    expect(files).toEqual(
      expect.arrayContaining([
        '.gitignore',
        '.npmrc',
        'README.md',
        'package.json',
        'scripts',
        'src',
        'test',
        'tsconfig.json',
        'wrangler.toml',
      ]),
    )
    expect(files.filter((name) => name.startsWith('_'))).toEqual([])
  })

  test('runs on the Node that it installs, whatever the machine has', async () => {
    const { devDependencies } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8')) as { devDependencies: { node: string } }
    await writeFile(join(project, 'which.cjs'), 'console.log(process.version)')
    expect((await npm('exec', '--', 'node', 'which.cjs')).out).toContain(`v${devDependencies.node}`)
    await rm(join(project, 'which.cjs'))
  })

  test('passes its own checks and its own tests', async () => {
    expect(await npm('run', 'check')).toMatchObject({ code: 0 })
    const tested = await npm('test')
    expect(tested).toMatchObject({ code: 0, out: expect.stringMatching(/pass [1-9]/) as string })
  }, 120_000)

  test('finds a mistake in a pipeline when it is checked', async () => {
    const path = join(project, 'src/pipeline.ts')
    const before = await readFile(path, 'utf8')
    await appendFile(
      path,
      "\nDO.extend({\n  init() {\n    this.every.dya.at('2am')(() => {})\n    this.env.R2_BUCKET.gett('x')\n  },\n})\n",
    )
    const { code, out } = await npm('run', 'check')
    await writeFile(path, before)
    expect(code).not.toBe(0)
    expect(out).toContain("Property 'dya' does not exist on type 'Every'")
    expect(out).toContain("Property 'gett' does not exist on type 'R2Bucket'")
  }, 120_000)

  test('starts, answers a client of its own, serves the page, and stops at Ctrl-C', async () => {
    const started = user.start(project, 'npm', 'start', '--', '--port', '0')
    const [, url, token] = await started.said(/Page {2}(http:\/\/127\.0\.0\.1:\d+\/)#token=(\S+)/)
    // From the project's own node_modules, by the project's own Node.
    await writeFile(
      join(project, 'call.mjs'),
      `import { connect, redeem } from 'dotdo/client'
const [url, link] = process.argv.slice(2)
const { token } = await redeem(url, link)
const app = connect(url, { token })
const pipeline = app.Pipeline('main')
const [rows, table] = await Promise.all([pipeline.query('SELECT COUNT(*) AS flights FROM flights'), pipeline.table()])
console.log(JSON.stringify({ rows, table: table.table, written: table.rows, nouns: (await app.dotdo.describe()).nouns.toSorted() }))
app.close()
`,
    )
    const called = await npm('exec', '--', 'node', 'call.mjs', url!, token!)
    expect(called.code, called.out).toBe(0)
    expect(JSON.parse(called.out.split('\n').find((line) => line.startsWith('{')) ?? called.out)).toEqual({
      rows: [{ flights: 200_000 }],
      table: 'analytics.flights',
      written: 200_000,
      nouns: ['FlightShard', 'Pipeline'],
    })

    // The command line finds the app by its state, and lets itself in.
    const runs = await npm('exec', '--', 'dotdo', 'runs', '--state', 'done', '--json')
    expect(runs.code, runs.out).toBe(0)
    expect(runs.out).toMatch(/^\{"object":"Pipeline\/main","runId":"daily@/m)

    const page = await fetch(url!)
    expect(page.headers.get('content-type')).toContain('text/html')
    const [asset] = /assets\/[^"]+\.js/.exec(await page.text()) ?? []
    expect((await fetch(new URL(asset!, url))).status).toBe(200)

    // npm ends by the signal where its shell did, and with 0 where there is none in between.
    expect([0, null]).toContain(await started.interrupt())
    await expect(fetch(url!)).rejects.toThrow()
    expect(await readdir(join(project, '.dotdo/state'))).not.toContain('lock')
  }, 300_000)

  test('stops in order when npm passes on a Ctrl-C that it has got already, and starts again on the state that is there', async () => {
    const started = user.start(project, join(project, 'node_modules/.bin/node'), 'scripts/start.ts', '--port', '0')
    const [, url] = await started.said(/Page {2}(http:\/\/127\.0\.0\.1:\d+\/)#token=/)
    expect((await started.said(/in the table already/)).length).toBe(1)
    expect(await started.interrupt(2)).toBe(0)
    await expect(fetch(url!)).rejects.toThrow()
    expect(await readdir(join(project, '.dotdo/state'))).not.toContain('lock')
  }, 300_000)

  test('would be deployed under its name, with its bucket and its page', async () => {
    const { code, out } = await npm('exec', '--', 'wrangler', 'deploy', '--dry-run', '--outdir', 'out')
    expect(code, out).toBe(0)
    expect(out).toMatch(/env\.R2_BUCKET \(data-lake\)/)
    expect(out).toMatch(/env\.ASSETS/)
  }, 120_000)

  test('signs a link to a deployed app with the secret that it is given, and says what it lacks', async () => {
    const link = (...args: string[]) => npm('run', '--silent', 'link', '--', ...args)
    const lacking = await link('https://flights.example.workers.dev')
    expect([lacking.code, lacking.out]).toEqual([1, expect.stringContaining('DOTDO_SECRET is not set')])
    user.env['DOTDO_SECRET'] = 'sixteen characters'
    const nowhere = await link()
    expect([nowhere.code, nowhere.out]).toEqual([1, expect.stringContaining('npm run link -- https://flights-of-2001.')])
    expect((await link('https://flights.example.workers.dev')).out.trim()).toMatch(
      /^https:\/\/flights\.example\.workers\.dev\/#token=dotdo1\.[\w-]+\.[\w-]+$/,
    )
  })
})
