/**
 * A user's machine: a folder outside of the repository, the packed packages, and commands that see nothing of the repository's own programs.
 *
 * Owns: the folder, and the processes that it started; `leave()` ends both.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const execute = promisify(execFile)
const windows = process.platform === 'win32'

/** What a command said and how it ended. */
export interface Outcome {
  code: number
  out: string
}

/** A command that goes on running. */
export interface Running {
  /** Resolves with the first match in its output; rejects with all of it when the process ends or the time is over. */
  said(pattern: RegExp, ms?: number): Promise<RegExpExecArray>
  /** Presses Ctrl-C, and gives the exit code; null where the signal itself ended it. All below it get the signal, `times` over. */
  interrupt(times?: number): Promise<number | null>
}

/** What npm would pack of a package: paths with their sizes. */
export interface Packed {
  tarball: string
  sizeBytes: number
  files: Map<string, number>
}

export interface Machine {
  folder: string
  /** The environment of its shell: what is set here is exported. */
  env: NodeJS.ProcessEnv
  /** Packs one of the repository's packages into the folder, as it would be published. */
  pack(name: string): Promise<Packed>
  /** Runs to its end. */
  run(cwd: string, command: string, ...args: string[]): Promise<Outcome>
  start(cwd: string, command: string, ...args: string[]): Running
  leave(): Promise<void>
}

/** The environment of someone who has never seen the repository: npm's own settings for this run of the tests, and our programs, are not in it. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^(WRANGLER_|X_LOCAL_|npm_(package|lifecycle|command|execpath|node_execpath|config_local_prefix)|INIT_CWD$|NODE_ENV$|VITEST)/.test(
        name,
      ),
  )
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules') && !folder.startsWith(root))
  return {
    ...Object.fromEntries(kept),
    PATH: path.join(delimiter),
    NO_COLOR: '1',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    WRANGLER_SEND_METRICS: 'false',
  }
}

/** Gives a machine. @throws where the packages have not been built */
export async function machine(): Promise<Machine> {
  for (const built of ['dotdo/dist/index.js', 'dotdo/dist/console/index.html', 'create-dotdo/dist/main.js']) {
    if (!existsSync(join(root, 'packages', built))) throw new Error(`packages/${built} is not there: run "npm run build" first`)
  }
  const folder = await mkdtemp(join(tmpdir(), 'dotdo-machine-'))
  const env = environment()
  const running = new Set<ChildProcess>()

  const run = async (cwd: string, command: string, ...args: string[]): Promise<Outcome> => {
    try {
      const { stdout, stderr } = await execute(command, args, { cwd, env, shell: windows, maxBuffer: 64 << 20 })
      return { code: 0, out: stdout + stderr }
    } catch (error) {
      const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string }
      // A command that could not be started at all is an error of the test.
      if (typeof code !== 'number') throw error
      return { code, out: `${stdout}${stderr}` }
    }
  }

  return {
    folder,
    env,
    run,
    async pack(name) {
      const packed = await run(join(root, 'packages', name), 'npm', 'pack', '--json', '--pack-destination', folder)
      if (packed.code !== 0) throw new Error(packed.out)
      const [entry] = JSON.parse(packed.out.slice(packed.out.indexOf('[\n'), packed.out.lastIndexOf(']') + 1)) as {
        filename: string
        size: number
        files: { path: string; size: number }[]
      }[]
      return {
        tarball: join(folder, entry!.filename),
        sizeBytes: entry!.size,
        files: new Map(entry!.files.map((file) => [file.path, file.size])),
      }
    },
    start(cwd, command, ...args) {
      // A group of its own, so that what it starts ends with it.
      const child = spawn(command, args, { cwd, env, shell: windows, detached: !windows, stdio: ['ignore', 'pipe', 'pipe'] })
      running.add(child)
      let out = ''
      const listeners = new Set<() => void>()
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk: Buffer) => ((out += chunk.toString()), listeners.forEach((listen) => listen())))
      const ended = new Promise<number | null>((done) =>
        child.once('close', (code) => (running.delete(child), done(code), listeners.forEach((listen) => listen()))),
      )
      return {
        said: (pattern, ms = 120_000) =>
          new Promise((found, missed) => {
            const timer = setTimeout(() => missed(new Error(`${pattern} was not said within ${ms} ms:\n${out}`)), ms)
            const listen = () => {
              const match = pattern.exec(out)
              if (!match && running.has(child)) return
              clearTimeout(timer)
              listeners.delete(listen)
              if (match) found(match)
              else missed(new Error(`${command} ended without saying ${pattern}:\n${out}`))
            }
            listeners.add(listen)
            listen()
          }),
        interrupt: (times = 1) => {
          for (let i = 0; i < times; i++) signal(child, 'SIGINT')
          return ended
        },
      }
    },
    async leave() {
      for (const child of running) signal(child, 'SIGKILL')
      await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
    },
  }
}

/** To the whole group, as a terminal does it. */
function signal(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(windows ? child.pid : -child.pid, name)
  } catch (error) {
    // It has ended by itself.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
