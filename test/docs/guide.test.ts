/**
 * The guides are programs: their files are laid into a folder, their commands run there in the order of the page, and what they print is what
 * the page says.
 *
 * A block's info string says what it is: `file=PATH` a file, `append=PATH` lines for one, `run` commands that must succeed, `serve` where
 * the app is started (`npx dotdo dev`, or through wrangler's own interface, on a free port; each `-c PATH` in it is a Worker, and one that runs is stopped before),
 * `output` what the commands before it print. Others are only shown.
 */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { appendFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestHarness, unstable_startWorker } from 'wrangler'
import { root, temporary } from '../support/app.ts'
import { commandLine, start } from '../cli/support.ts'
import { wordsOf } from '../support/words.ts'
import { blocksOf } from './blocks.ts'

const pages = ['docs/guide.md', ...readdirSync(join(root, 'docs/guide')).map((name) => `docs/guide/${name}`)].filter((path) =>
  path.endsWith('.md'),
)
const known = /^(?:$|(?:file|append)=\S+$|(?:run|serve|output)$)/

/** The app of a page, while it runs. */
interface Served {
  url: string
  stop(): Promise<void>
}

for (const page of pages) {
  const blocks = blocksOf(await readFile(join(root, page), 'utf8'))

  describe(page, () => {
    let folder: Awaited<ReturnType<typeof temporary>>
    let served: Served | undefined

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
      await served?.stop()
      await folder?.remove()
    })

    test('has only blocks of kinds that are checked, and no file twice', () => {
      expect(blocks.filter(({ info }) => !known.test(info)).map(({ line, info }) => `line ${line}: ${info}`)).toEqual([])
      const files = blocks.filter(({ info }) => info.startsWith('file=')).map(({ info }) => info)
      expect(files).toEqual([...new Set(files)])
      expect(files.length).toBeGreaterThan(page === 'docs/guide.md' ? 10 : 2)
    })

    test('shows parts of its own files where it shows TypeScript on its own', () => {
      const files = blocks.filter(({ info }) => info.startsWith('file=')).map(({ text }) => text)
      const loose = blocks.filter(({ language, info }) => language === 'ts' && info === '')
      const strangers = loose.filter(({ text }) => !files.some((file) => file.includes(text.trim())))
      expect(strangers.map(({ line }) => `line ${line}`)).toEqual([])
    })

    // One after the other: each works on what those before it did.
    for (const [index, block] of blocks.entries()) {
      if (block.info === 'serve')
        test(`line ${block.line}: the app starts`, async () => {
          await served?.stop()
          served = await serve(folder.path, block.text)
        })
      if (block.info !== 'run') continue
      test(`line ${block.line}: ${block.text.split('\n')[0]}`, async () => {
        const printed = await runCommands(block.text, folder.path, served)
        const next = blocks[index + 1]
        if (next?.info === 'output') expect(printed).toMatch(pattern(next.text))
      })
    }
  })
}

/** Starts what a `wrangler dev` line would start, or `npx dotdo dev` itself. */
async function serve(folder: string, command: string): Promise<Served> {
  if (command.startsWith('npx dotdo dev')) return await serveByDev(folder)
  const configs = [...command.matchAll(/ -c (\S+)/g)].map((match) => match[1]!)
  return configs.length > 1 ? serveTogether(folder, configs) : serveOne(join(folder, configs[0] ?? 'wrangler.toml'), folder)
}

/** The command itself, on a free port. */
async function serveByDev(folder: string): Promise<Served> {
  const dev = start(['dev', '--port', '0'], {}, folder)
  const [, url] = await dev.said(/^App {3}(\S+)/m)
  const stop = async () => {
    process.kill(-dev.child.pid!, 'SIGINT')
    await dev.ended
  }
  return { url: url!, stop }
}

/** Several Workers in one workerd; the first is the one that listens. */
async function serveTogether(folder: string, configs: readonly string[]): Promise<Served> {
  const harness = createTestHarness({ root: folder, workers: configs.map((configPath) => ({ configPath })) })
  const { url } = await harness.listen()
  return { url: url.href, stop: () => harness.close() }
}

async function serveOne(config: string, folder: string): Promise<Served> {
  const worker = await unstable_startWorker({
    config,
    dev: {
      logLevel: 'none',
      inspector: false,
      watch: false,
      persist: join(folder, '.wrangler/state'),
      server: { hostname: '127.0.0.1', port: 0 },
    },
  })
  const failed = new Promise<never>((_, fail) => {
    worker.raw.once('error', (event: { reason?: string; cause?: unknown }) =>
      fail(new Error(`the app did not start: ${event.reason}`, { cause: event.cause })),
    )
  })
  await Promise.race([worker.ready, failed])
  return { url: (await worker.url).href, stop: () => worker.dispose() }
}

/** Runs lines of a shell block in the folder, with this repository's programs. Gives what they print. @throws for one that fails, with its output */
async function runCommands(lines: string, folder: string, served: Served | undefined): Promise<string> {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    PATH: `${join(root, 'node_modules/.bin')}${delimiter}${process.env['PATH']}`,
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_WRITE_LOGS: 'false',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    NODE_NO_WARNINGS: '1',
    NO_COLOR: '1',
    ...(served && { APP_URL: served.url }),
  }
  delete env['FORCE_COLOR']
  let printed = ''
  for (const line of lines.trim().split('\n')) {
    const words = wordsOf(line)
    // What npx would find in a project that has installed it.
    const [command = '', ...args] = line.startsWith('npx dotdo ') ? [process.execPath, commandLine, ...words.slice(2)] : words
    const { stdout } = await promisify(execFile)(command, args, { cwd: folder, env, shell: process.platform === 'win32' }).catch(
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
