/** `npm start` as a person runs it: what it prints, how it ends, and what it says when it cannot begin. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { root, temporary, until, workerdsBelow } from '../support/app.ts'

const script = join(root, 'packages/create-dotdo/template/scripts/start.ts')
const linux = process.platform === 'linux'
let folder: Awaited<ReturnType<typeof temporary>>
let state: string
const started: ChildProcess[] = []
beforeAll(async () => {
  folder = await temporary('start')
  state = join(folder.path, 'state')
})
afterAll(() => folder?.remove())
afterEach(() => {
  // Of each its whole group, by its own id: a failed test must leave no workerd behind.
  for (const child of started.splice(0)) if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL')
})

interface Started {
  child: ChildProcess
  /** What was printed so far, both streams. */
  output: () => string
  exit: Promise<{ code: number | null; output: string }>
}

function start(args: string[], config = join(root, 'wrangler.toml')): Started {
  const child = spawn(process.execPath, [script, '--config', config, '--state', state, ...args], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1' },
  })
  started.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()))
  const exit = once(child, 'close').then(([code]) => ({ code: code as number | null, output }))
  return { child, output: () => output, exit }
}

const stepIds = [
  'extract-flights',
  'extract-airports',
  'enrich-flights',
  ...Array.from({ length: 13 }, (_, i) => `load-2001-01-${String(i + 1).padStart(2, '0')}`),
]

describe('npm start -- --once', () => {
  test(
    'lays out the data, shows each step, the summary, an answer, the snapshot and the link, and ends',
    { timeout: 180_000 },
    async () => {
      const { code, output } = await start(['--once', '--clean']).exit
      expect(code, output).toBe(0)
      expect(output).toContain('Laid 14 objects into the local bucket data-lake.')
      expect(output).toMatch(/^Run {3}daily@/m)
      for (const stepId of stepIds) expect(output).toMatch(new RegExp(`^ {2}✓ ${stepId} +\\S+ m?s`, 'm'))
      expect(output).toMatch(/extract-flights .* 200,000 rows {2}18\.4 MB/)
      expect(output).toMatch(/^Done {2}16 steps in \S+ m?s {2}\{"records":200000\}$/m)
      expect(output).toMatch(/^Event Pipeline\.completed handled/m)
      expect(output).toMatch(/^Query SELECT originState.*\n {2}originState {2}flights {2}meanDelay\n {2}CA +24,347 +15\.70$/m)
      expect(output).toMatch(/^Table analytics\.flights {2}snapshot \d+ {2}13 files {2}200,000 rows/m)
      expect(output).toMatch(/^Page {2}http:\/\/127\.0\.0\.1:\d+\/#token=dotdo1\./m)
    },
  )

  test('works again on the state that is there, and adds no row', { timeout: 180_000 }, async () => {
    const { code, output } = await start(['--once']).exit
    expect(code, output).toBe(0)
    expect(output).not.toContain('Laid ')
    expect(output).toMatch(/^ {2}✓ load-2001-01-13 .*in the table already$/m)
    expect(output).toMatch(/^Table analytics\.flights .* 13 files {2}200,000 rows/m)
    expect(output).toMatch(/CA +24,347/)
  })
})

describe('npm start', () => {
  test('serves until Ctrl-C, refuses a second one on its state, and leaves no process behind', { timeout: 180_000 }, async () => {
    const first = start(['--port', '0'])
    await until(
      'it serves',
      async () => first.output(),
      (it) => it.includes('Ctrl-C stops.'),
      120_000,
    )
    const url = /http:\/\/127\.0\.0\.1:\d+\//.exec(first.output())![0]
    expect((await fetch(new URL('/iceberg/v1/config', url))).status).toBe(401)

    const second = await start(['--port', '0', '--clean']).exit
    expect(second.code).toBe(1)
    expect(second.output.trim()).toMatch(
      new RegExp(`^The app is running already, as process ${first.child.pid}\\. Stop that one \\(Ctrl-C\\) first\\.`),
    )
    expect((await fetch(new URL('/iceberg/v1/config', url))).status).toBe(401)

    const workerds = linux ? workerdsBelow(first.child.pid) : []
    if (linux) expect(workerds).toHaveLength(2)
    // As a terminal does: to the whole group.
    process.kill(-first.child.pid!, 'SIGINT')
    const { code, output } = await first.exit
    expect(code, output).toBe(0)
    for (const pid of workerds) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  })

  test.each(['SIGTERM', 'SIGHUP'] as const)(
    'stops as well by %s to itself alone, in the middle of its run',
    { timeout: 180_000 },
    async (signal) => {
      const { child, output, exit } = start(['--port', '0'])
      await until(
        'the run begins',
        async () => output(),
        (it) => /^Run {3}/m.test(it),
        120_000,
      )
      const workerds = linux ? workerdsBelow(child.pid) : []
      child.kill(signal)
      expect((await exit).code).toBe(0)
      for (const pid of workerds) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
    },
  )
})

describe('what cannot begin says so in one message within seconds', () => {
  /** Ends by itself, with one message and no stack. */
  async function refused(args: string[], config?: string): Promise<string> {
    const from = Date.now()
    const { code, output } = await start(args, config).exit
    expect(code, output).toBe(1)
    expect(output).not.toMatch(/^\s+at /m)
    expect(Date.now() - from).toBeLessThan(45_000)
    return output.trim()
  }

  test.each(['x', '70000', '-1', '1.5', ''])('--port %j', async (port) => {
    expect(await refused([`--port=${port}`])).toBe(`--port ${port} is no port. Give a number from 0 to 65535.`)
  })

  test('an option that is none', async () => {
    expect(await refused(['--twice'])).toMatch(/^Unknown option '--twice'[^]*--once +run the pipeline/)
  })

  test('a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    try {
      expect(await refused(['--port', String(port)])).toMatch(
        new RegExp(`^Port ${port} cannot be used \\(EADDRINUSE\\).*npm start -- --port 0`),
      )
    } finally {
      other.close()
    }
  })

  const broken: [string, Record<string, string>, RegExp][] = [
    ['a wrangler.toml that is no TOML', { 'wrangler.toml': 'name = "x"\nmain = [broken\n' }, /could not be started: .*TOML/],
    [
      'a wrangler.toml with a wrong binding',
      { 'wrangler.toml': toml('\n[[r2_buckets]]\nbinding = 7\n'), 'app.ts': 'export default {}' },
      /r2_buckets\[0\].*binding/s,
    ],
    ['no wrangler.toml', {}, /could not be started: .*wrangler\.toml/s],
    ['an entry that is not there', { 'wrangler.toml': toml('') }, /app\.ts.*was not found/],
    ['an entry with a fault of syntax', { 'wrangler.toml': toml(''), 'app.ts': 'export default {{\n' }, /app\.ts:1:16: ERROR/],
    [
      'a module with a fault of syntax',
      { 'wrangler.toml': toml(''), 'app.ts': "export { default } from './part.ts'\n", 'part.ts': 'export default this.#secret\n' },
      /part\.ts:1:20: ERROR/,
    ],
    ['an import of nothing', { 'wrangler.toml': toml(''), 'app.ts': "import './nowhere.ts'\nexport default {}\n" }, /nowhere\.ts/],
    ['code that throws when it is loaded', { 'wrangler.toml': toml(''), 'app.ts': "throw new Error('not today')\n" }, /not today/],
    [
      'a class that is not exported',
      {
        'wrangler.toml': toml('\n[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Pipeline"]\n'),
        'app.ts': 'export default { fetch: () => new Response() }\n',
      },
      /Pipeline/,
    ],
  ]
  test.each(broken)('%s', { timeout: 90_000 }, async (_, files, message) => {
    // Inside the repository, where `dotdo` and what it needs are found.
    await mkdir(join(root, '.dotdo'), { recursive: true })
    const app = await mkdtemp(join(root, '.dotdo', 'broken-'))
    try {
      for (const [name, text] of Object.entries(files)) await writeFile(join(app, name), text)
      expect(await refused(['--once'], join(app, 'wrangler.toml'))).toMatch(message)
    } finally {
      await rm(app, { recursive: true })
    }
  })

  test('a definition that is refused, with its code', { timeout: 90_000 }, async () => {
    const app = await mkdtemp(join(root, '.dotdo', 'broken-'))
    try {
      await writeFile(
        join(app, 'wrangler.toml'),
        toml('compatibility_flags = ["nodejs_compat"]\n[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Pipeline"]\n'),
      )
      await writeFile(
        join(app, 'app.ts'),
        "import { DO, serve } from 'dotdo'\nexport const Pipeline = DO.extend({ init() { this.every.day.at('25:00')(() => {}) } })\nexport default serve({ singletons: { Pipeline: ['main'] } })\n",
      )
      expect(await refused(['--once'], join(app, 'wrangler.toml'))).toMatch(
        /^INIT_FAILED: init\(\) of Pipeline\/main failed: "25:00" is no time of day\..*[^.]\. The object/,
      )
    } finally {
      await rm(app, { recursive: true })
    }
  })
})

function toml(more: string): string {
  return `name = "broken"\nmain = "app.ts"\ncompatibility_date = "2026-11-01"\n${more}`
}
