import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { run } from '../../packages/create-dotdo/src/cli.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const template = join(root, 'packages/create-dotdo/template')
let cwd: string
beforeEach(async () => void (cwd = await mkdtemp(join(tmpdir(), 'dotdo-create-'))))
afterEach(() => rm(cwd, { recursive: true, force: true }))

interface Options {
  /** What a person types, line by line; null closes the input, as Ctrl-D does. Undefined: nobody is there. */
  typed?: (string | null)[]
  env?: Record<string, string>
  from?: string
}

/** Runs the command and gives all that it said. */
async function create(args: string[], { typed, env = {}, from = cwd }: Options = {}) {
  const [input, output, error] = [new PassThrough(), new PassThrough(), new PassThrough()]
  let out = ''
  // One line for one question: what is typed before it is asked for would answer the question before.
  const lines = [...(typed ?? [])]
  output.on('data', (chunk: Buffer) => {
    out += chunk.toString()
    if (!chunk.toString().includes('Name of the project')) return
    const line = lines.shift()
    if (line === null || line === undefined) input.end()
    else input.write(`${line}\n`)
  })
  const code = await run(args, { input, output, error, isInteractive: typed !== undefined, cwd: from, env }, template)
  await new Promise((resolve) => setImmediate(resolve))
  return { code, out, err: (error.read() as Buffer | null)?.toString() ?? '' }
}

const manifest = async (folder: string) =>
  JSON.parse(await readFile(join(cwd, folder, 'package.json'), 'utf8')) as { name: string; dependencies: Record<string, string> }
const version = async () =>
  (JSON.parse(await readFile(join(root, 'packages/create-dotdo/package.json'), 'utf8')) as { version: string }).version

test('with a name nothing is asked: the project is there, and three lines say what comes next', async () => {
  const { code, out, err } = await create(['flights'])
  expect([code, err]).toEqual([0, ''])
  expect(out).toMatch(/^Made flights: \d+ files in .*flights\n\n {2}cd flights\n {2}npm install\n {2}npm start\n\n$/)
  expect(await manifest('flights')).toMatchObject({ name: 'flights', dependencies: { dotdo: `^${await version()}` } })
})

test('a path makes the project in that folder, and its last part is the name', async () => {
  const { code, out } = await create([join(cwd, 'deep')])
  expect([code, out.includes('cd deep')]).toEqual([0, true])
  expect((await create(['deep/../other'])).code).toBe(0)
  expect((await manifest('other')).name).toBe('other')
})

test('a dot makes it in this folder, and there is nowhere to go', async () => {
  expect((await create(['here'])).code).toBe(0)
  await rm(join(cwd, 'here'), { recursive: true })
  await cp(template, join(cwd, 'keep'), { recursive: true, filter: (path) => path === template })
  const { code, out } = await create(['.'], { from: join(cwd, 'keep') })
  expect([code, out.includes('cd ')]).toEqual([0, false])
  expect((await manifest('keep')).name).toBe('keep')
})

test.each([
  [
    ['My Pipeline'],
    "'My Pipeline' is no name for a project: a package and a Worker's host name have small letters, digits and dashes only. This one is: npm create dotdo my-pipeline",
  ],
  [[''], "'' is no name for a project: it is empty. This one is: npm create dotdo my-pipeline"],
  [['wrangler'], 'npm create dotdo my-wrangler'],
  [['日本'], 'npm create dotdo my-pipeline'],
  [['one', 'two'], 'One folder makes one project, and 2 were given: one, two.'],
  [['--force'], "Unknown option '--force'. See: npm create dotdo -- --help"],
  [['a/b'], 'is not there. Make it first'],
  [[], 'No folder was given, and there is no terminal to ask at. Give one: npm create dotdo my-pipeline'],
])('%j makes nothing, exits with 1, and says what to do in one line', async (args, message) => {
  const { code, out, err } = await create(args)
  expect([code, out]).toEqual([1, ''])
  expect(err).toContain(message)
  expect(err.trimEnd().split('\n')).toHaveLength(1)
  expect(await readdir(cwd)).toEqual([])
})

test('a second project of the same name is refused, and the first stays as it was', async () => {
  await create(['flights'])
  await writeFile(join(cwd, 'flights/src/pipeline.ts'), 'mine')
  const { code, err } = await create(['flights'])
  expect(code).toBe(1)
  expect(err).toContain('is not empty')
  expect(await readFile(join(cwd, 'flights/src/pipeline.ts'), 'utf8')).toBe('mine')
})

test('without a name a person is asked, and asked again until the name will do', async () => {
  const { code, out } = await create([], { typed: ['My Pipeline', 'dotdo', 'flights'] })
  expect(code).toBe(0)
  expect(out.match(/Name of the project \(my-pipeline\): /g)).toHaveLength(3)
  expect(out).toContain("'My Pipeline' is no name")
  expect(out).toContain("'dotdo' is no name")
  expect(await readdir(cwd)).toEqual(['flights'])
})

test('an empty answer takes the name that was proposed', async () => {
  expect((await create([], { typed: [''] })).code).toBe(0)
  expect(await readdir(cwd)).toEqual(['my-pipeline'])
})

test('a question that is left makes nothing', async () => {
  const { code, err } = await create([], { typed: [null] })
  expect([code, err]).toEqual([1, expect.stringContaining('Nothing was made.')])
  expect(await readdir(cwd)).toEqual([])
})

test('colours are for people, and not where NO_COLOR says something', async () => {
  const escape = '\u001b['
  expect((await create(['a'], { typed: [] })).out).toContain(escape)
  expect((await create(['b'])).out).not.toContain(escape)
  expect((await create(['c'], { typed: [], env: { NO_COLOR: '1' } })).out).not.toContain(escape)
  // An empty value says nothing (no-color.org).
  expect((await create(['d'], { typed: [], env: { NO_COLOR: '' } })).out).toContain(escape)
  expect((await create(['a'], { typed: [] })).err).toContain(escape)
})

test('--help and --version answer and make nothing', async () => {
  for (const option of ['--help', '-h'])
    expect(await create([option])).toMatchObject({
      code: 0,
      out: expect.stringContaining('npm create dotdo my-pipeline') as string,
      err: '',
    })
  for (const option of ['--version', '-v'])
    expect(await create([option, 'flights'])).toEqual({ code: 0, out: `${await version()}\n`, err: '' })
  expect(await readdir(cwd)).toEqual([])
})

test('a failure that nobody foresaw keeps its stack', async () => {
  const [input, output, error] = [new PassThrough(), new PassThrough(), new PassThrough()]
  output.write = () => {
    throw new RangeError('the pipe is gone')
  }
  expect(await run(['--version'], { input, output, error, isInteractive: false, cwd, env: {} }, template)).toBe(1)
  expect(String(error.read())).toMatch(/the pipe is gone\nRangeError: the pipe is gone\n +at /)
})
