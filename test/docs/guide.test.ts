/**
 * The guide is a program: its files are laid into a folder, its commands run there in the order of the page, and what they print is what
 * the page says.
 *
 * A block's info string says what it is: `file=PATH` a file, `append=PATH` lines for one, `run` commands that must succeed, `serve` where
 * the app is started (through wrangler's own interface, on a free port), `output` what the commands before it print. Others are only shown.
 */
import { execFile } from 'node:child_process'
import { appendFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unstable_startWorker } from 'wrangler'
import { root, temporary } from '../support/app.ts'
import { blocksOf } from './blocks.ts'

const guide = await readFile(join(root, 'docs/guide.md'), 'utf8')
const blocks = blocksOf(guide)
const known = /^(?:$|(?:file|append)=\S+$|(?:run|serve|output)$)/

let folder: Awaited<ReturnType<typeof temporary>>
let worker: Awaited<ReturnType<typeof unstable_startWorker>> | undefined

beforeAll(async () => {
  folder = await temporary('guide')
  await symlink(join(root, 'node_modules'), join(folder.path, 'node_modules'))
  for (const { info, text } of blocks) {
    const [kind, path] = info.split('=')
    if (path === undefined) continue
    const target = join(folder.path, path)
    await mkdir(dirname(target), { recursive: true })
    await (kind === 'append' ? appendFile(target, `\n${text}`) : writeFile(target, text))
  }
})

afterAll(async () => {
  await worker?.dispose()
  await folder?.remove()
})

describe('docs/guide.md', () => {
  test('has only blocks of kinds that are checked, and no file twice', () => {
    expect(blocks.filter(({ info }) => !known.test(info)).map(({ line, info }) => `line ${line}: ${info}`)).toEqual([])
    const files = blocks.filter(({ info }) => info.startsWith('file=')).map(({ info }) => info)
    expect(files).toEqual([...new Set(files)])
    expect(files.length).toBeGreaterThan(10)
  })

  test('shows parts of its own files where it shows TypeScript on its own', () => {
    const files = blocks.filter(({ info }) => info.startsWith('file=')).map(({ text }) => text)
    const loose = blocks.filter(({ language, info }) => language === 'ts' && info === '')
    const strangers = loose.filter(({ text }) => !files.some((file) => file.includes(text.trim())))
    expect(strangers.map(({ line }) => `line ${line}`)).toEqual([])
  })

  // One after the other: each works on what those before it did.
  for (const [index, block] of blocks.entries()) {
    if (block.info === 'serve') test(`line ${block.line}: the app starts`, startApp)
    if (block.info !== 'run') continue
    test(`line ${block.line}: ${block.text.split('\n')[0]}`, async () => {
      const printed = await runCommands(block.text)
      const next = blocks[index + 1]
      if (next?.info === 'output') expect(printed).toMatch(pattern(next.text))
    })
  }
})

async function startApp(): Promise<void> {
  worker = await unstable_startWorker({
    config: join(folder.path, 'wrangler.toml'),
    dev: {
      logLevel: 'none',
      inspector: false,
      watch: false,
      persist: join(folder.path, '.wrangler/state'),
      server: { hostname: '127.0.0.1', port: 0 },
    },
  })
  const started = worker
  const failed = new Promise<never>((_, fail) => {
    started.raw.once('error', (event: { reason?: string; cause?: unknown }) =>
      fail(new Error(`the app did not start: ${event.reason}`, { cause: event.cause })),
    )
  })
  await Promise.race([started.ready, failed])
}

/** Runs lines of a shell block in the folder, with this repository's programs. Gives what they print. @throws for one that fails, with its output */
async function runCommands(lines: string): Promise<string> {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    PATH: `${join(root, 'node_modules/.bin')}${delimiter}${process.env['PATH']}`,
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_WRITE_LOGS: 'false',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    NODE_NO_WARNINGS: '1',
    NO_COLOR: '1',
    ...(worker && { APP_URL: (await worker.url).href }),
  }
  delete env['FORCE_COLOR']
  let printed = ''
  for (const line of lines.trim().split('\n')) {
    const [command = '', ...args] = line.split(' ')
    const { stdout } = await promisify(execFile)(command, args, { cwd: folder.path, env, shell: process.platform === 'win32' }).catch(
      (error: Error & { stdout?: string; stderr?: string }) => {
        throw new Error(`${line} failed: ${error.message}\n${error.stdout ?? ''}\n${error.stderr ?? ''}`)
      },
    )
    printed += stdout
  }
  return printed
}

/** An expected output: exact, but for `…`, which stands for some text within a line. */
function pattern(expected: string): RegExp {
  const escaped = expected.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '.+')
  return new RegExp(`^${escaped}$`)
}
