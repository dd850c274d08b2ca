/**
 * Real workerd for a bench: the Worker's sources bundled by esbuild, served by the workerd binary itself.
 *
 * wrangler would put a Worker of its own before ours and a proxy before that, and each client's call would pay for them.
 *
 * Owns the process and its folder. After `stop()` neither is left.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

/** One Worker of the process. */
export interface WorkerSource {
  /** The service's name. The first Worker is the one that the address leads to. */
  name: string
  /** Its entry. */
  entry: string
  /** Classes of Durable Objects that the entry exports. */
  classes: string[]
  /** Classes that had another name before, with that: they have its objects, as `renamed_classes` of a migration says. */
  renamed?: Record<string, string>
  /** Namespaces of other Workers, by the name of the binding. */
  foreign?: Record<string, { service: string; className: string }>
  vars?: Record<string, string>
  /** Bindings that are data. */
  json?: Record<string, unknown>
  /** An address to which all that it fetches goes, `host:port`. */
  outbound?: string
}

/** A workerd that listens. */
export interface RunningWorkerd {
  url: string
  port: number
  pid: number
  /** Where everything lies that it has stored: objects as `<worker>-<class>/<id>.sqlite`. */
  folder: string
  /** What it has written to its standard error so far, at most the last 20,000 characters. */
  log(): string
  /**
   * Kills it as it is, and starts another on the same state, at another address.
   * @param redeployed Workers of the same names and entries that take the place of those before, with other bindings, and classes of other names
   */
  killed(redeployed?: WorkerSource[]): Promise<RunningWorkerd>
  stop(): Promise<void>
}

/** What all Workers of the benches run under. */
export const compatibilityDate = '2026-11-01'

/** esbuild and workerd are those that wrangler brings: what an app of this repository is deployed and run with. */
export const fromWrangler = createRequire(createRequire(import.meta.url).resolve('wrangler'))

/** Bundles and starts Workers in one workerd. @throws when it does not listen within 60 s, with what it said */
export async function startWorkerd(workers: WorkerSource[]): Promise<RunningWorkerd> {
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-bench-rpc-'))
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  try {
    for (const { name, entry } of workers) await bundle(entry, join(folder, `${name}.js`))
    writeFileSync(join(folder, 'config.capnp'), configuration(workers, folder))
    return await serve(folder, remove)
  } catch (error) {
    remove()
    throw error
  }
}

/** Bundles a Worker's sources into one module, as wrangler would. */
export async function bundle(entry: string, outfile: string): Promise<void> {
  const { build } = fromWrangler('esbuild') as typeof import('esbuild')
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
    logLevel: 'error',
  })
}

/** The configuration in workerd's own language: text literals of Cap'n Proto are JSON's for all that stands here. */
function configuration(workers: WorkerSource[], folder: string): string {
  const text = JSON.stringify
  const services = workers.map(({ name }) => `(name = ${text(name)}, worker = .${name})`)
  const outbounds = workers.flatMap(({ name, outbound }) =>
    outbound === undefined ? [] : [`(name = ${text(`${name}-outside`)}, external = (address = ${text(outbound)}, http = ()))`],
  )
  const worker = ({ name, classes, renamed = {}, foreign = {}, vars = {}, json = {}, outbound }: WorkerSource) => {
    const namespaces = classes.map(
      (it) => `(className = ${text(it)}, uniqueKey = ${text(`${name}-${renamed[it] ?? it}`)}, enableSql = true)`,
    )
    const bindings = [
      ...classes.map((it) => `(name = ${text(`NATIVE_${it}`)}, durableObjectNamespace = ${text(it)})`),
      ...Object.entries(foreign).map(
        ([binding, { service, className }]) =>
          `(name = ${text(binding)}, durableObjectNamespace = (className = ${text(className)}, serviceName = ${text(service)}))`,
      ),
      ...Object.entries(vars).map(([binding, value]) => `(name = ${text(binding)}, text = ${text(value)})`),
      ...Object.entries(json).map(([binding, value]) => `(name = ${text(binding)}, json = ${text(text(value))})`),
    ]
    return `const ${name} :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed ${text(`${name}.js`)})],
  compatibilityDate = ${text(compatibilityDate)},
  compatibilityFlags = ["nodejs_compat"],
  durableObjectNamespaces = [${namespaces.join(', ')}],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [${bindings.join(', ')}]${outbound === undefined ? '' : `,\n  globalOutbound = ${text(`${name}-outside`)}`}
);`
  }
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [${[...services, ...outbounds].join(', ')}, (name = "disk", disk = (path = ${text(folder)}, writable = true))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = ${text(workers[0]!.name)})]
);
${workers.map(worker).join('\n')}
`
}

/** The binary itself: the package's command would be a Node process in between. */
function binary(): string {
  return createRequire(fromWrangler.resolve('workerd')).resolve(
    `@cloudflare/workerd-${process.platform}-${process.arch === 'x64' ? '64' : process.arch}/bin/workerd`,
  )
}

async function serve(folder: string, remove: () => void): Promise<RunningWorkerd> {
  const child = spawn(binary(), ['serve', '--control-fd=3', join(folder, 'config.capnp')], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  let log = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-20_000)))
  const port = await new Promise<number>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`workerd did not listen within 60 s: ${log}`)), 60_000)
    void exited.then(() => reject(new Error(`workerd ended: ${log}\n${readFileSync(join(folder, 'config.capnp'), 'utf8')}`)))
    let told = ''
    const control = child.stdio[3] as Readable
    control.setEncoding('utf8').on('data', (text: string) => {
      told += text
      const listening = /"port":\s*(\d+)/.exec(told)
      if (!listening) return
      clearTimeout(late)
      resolve(Number(listening[1]))
    })
  })
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    pid: child.pid!,
    folder,
    log: () => log,
    async killed(redeployed) {
      child.kill('SIGKILL')
      await exited
      if (redeployed) writeFileSync(join(folder, 'config.capnp'), configuration(redeployed, folder))
      return serve(folder, remove)
    },
    async stop() {
      child.kill('SIGKILL')
      await exited
      remove()
    },
  }
}
