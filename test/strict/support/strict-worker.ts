/**
 * Runs a Worker in local workerd under the limits of production, and measures what workerd does not refuse by itself.
 *
 * Owns: one workerd (through wrangler), one connection to its inspector, one generated entry in `.dotdo/strict`.
 *
 * Invariants
 * 1. The heap of an isolate is capped by V8 at 128 MB: overflow aborts the whole workerd, as an answer to no request.
 * 2. Buffers are outside of V8's cap. They are counted through the inspector (`usedSize + backingStorageSize`), exact at each
 *    sample. A peak is over the limit only when the memory is still above it after a forced collection, since production
 *    collects before it kills.
 * 3. A sample waits for the running turn to end. Memory that is taken and given back within one synchronous turn is not seen.
 * 4. After `dispose()` no process, socket or timer of this helper is left.
 */
import { EventEmitter } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Counts } from './counts.ts'

/** Production's limits, as they stand in Cloudflare's documentation for paid plans. */
export const productionLimits = {
  memoryBytes: 128 * 1024 * 1024,
  connections: 6,
  subrequests: 10_000,
} as const

/** Memory of the Worker's isolate at one moment. */
export interface Heap {
  usedBytes: number
  bufferBytes: number
  /** `usedBytes + bufferBytes`: what production counts against its limit. */
  totalBytes: number
}

/** What a sampler saw between `start()` and `peak()`. */
export interface Peak extends Heap {
  samples: number
  /** The most that was still in use after a forced collection; equals `totalBytes` where the limit was never reached. */
  liveBytes: number
  /** True when `liveBytes` is above the limit, or the isolate was aborted while it was watched. */
  overLimit: boolean
  /** True when workerd went away under the sampler, as it does when V8's heap overflows. */
  aborted: boolean
}

/** Requests that left the Worker since the start or the last reset. See counters.ts for what is counted and how. */
export interface Usage extends Counts {
  /** `fetches + r2 + objectCalls`. */
  subrequests: number
}

/** Samples memory at a fixed interval. */
export interface Sampler {
  /** Begins a new watch and takes a first sample. */
  start(): Promise<void>
  /** Takes a last sample, ends the watch and answers what it saw. */
  peak(): Promise<Peak>
}

/** A Worker under production's limits. */
export interface StrictWorker {
  url: URL
  /** Sends a request to the Worker. `path` begins with a slash. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** Memory now; with `collect`, after a forced collection. Throws when workerd is gone. */
  heap(options?: { collect?: boolean }): Promise<Heap>
  sampler: Sampler
  usage(): Promise<Usage>
  resetUsage(): Promise<void>
  dispose(): Promise<void>
}

/** Options of {@link startStrict}. */
export interface StrictOptions {
  /** Path of the wrangler configuration. */
  config: string
  /** Where the state lies; a fresh folder under `.dotdo/strict` by default, removed by `dispose()`. */
  persist?: string
  /** Variables and secrets over those of the configuration. */
  vars?: Record<string, string>
  /** Time between two samples, 20 ms by default. */
  intervalMs?: number
  /** The limit that a peak is held against, production's by default. */
  limitBytes?: number
  /** Further settings of `unstable_startWorker`'s `dev`, for example `structuredLogsHandler`. */
  dev?: object
}

const root = fileURLToPath(new URL('../../../', import.meta.url))
const here = dirname(fileURLToPath(import.meta.url))
let started = 0

/**
 * Starts the Worker of a wrangler configuration under production's limits.
 *
 * @example
 * const worker = await startStrict({ config: 'wrangler.toml' })
 * await worker.sampler.start()
 * await worker.fetch('/run', { method: 'POST' })
 * expect((await worker.sampler.peak()).overLimit).toBe(false)
 * await worker.dispose()
 */
export async function startStrict(options: StrictOptions): Promise<StrictWorker> {
  Object.assign(process.env, {
    MINIFLARE_WORKERD_V8_FLAGS: '--max-old-space-size=128 --expose-gc',
    WRANGLER_LOG: 'none',
    WRANGLER_WRITE_LOGS: 'false',
    WRANGLER_SEND_METRICS: 'false',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  })
  const wrangler = await import('wrangler')
  const config = resolve(options.config)
  const folder = join(root, '.dotdo', 'strict', `${process.pid}-${++started}`)
  await mkdir(folder, { recursive: true })
  const { rawConfig } = wrangler.experimental_readRawConfig({ config })
  if (rawConfig.main === undefined) throw new Error(`${config} names no "main": the strict lane needs a Worker with an entry`)
  const entry = join(folder, 'entry.ts')
  await writeFile(entry, entrySource(folder, resolve(dirname(config), rawConfig.main)))

  const worker = await wrangler.unstable_startWorker({
    config,
    entrypoint: entry,
    bindings: Object.fromEntries(Object.entries(options.vars ?? {}).map(([name, value]) => [name, { type: 'plain_text' as const, value }])),
    dev: {
      logLevel: 'none',
      inspector: { port: 0 },
      persist: options.persist ?? join(folder, 'state'),
      server: { hostname: '127.0.0.1', port: 0 },
      watch: false,
      ...options.dev,
    },
  })
  // Without this a Worker that cannot be built leaves `ready` pending for ever.
  const failure = new Promise<never>((_, fail) => {
    worker.raw.once('error', (event: { cause?: unknown; reason?: string }) =>
      fail(new Error(`the Worker of ${config} did not start: ${event.reason ?? 'unknown reason'}`, { cause: event.cause })),
    )
  })
  failure.catch(() => undefined)
  // workerd serves one session at a time and wrangler's proxy holds it, so commands go through the proxy. The proxy outlives an
  // aborted workerd without a word, and a new workerd takes the old one's port; so a second socket, to an isolate of miniflare's
  // own in the same process, tells the end by closing.
  const loaded = new Promise<URL>((found, fail) => {
    worker.raw.once('reloadComplete', (event: { proxyData: { userWorkerInspectorUrl?: Record<'hostname' | 'port', string> } }) => {
      const at = event.proxyData.userWorkerInspectorUrl
      if (at === undefined) fail(new Error('wrangler opened no inspector; unset VSCODE_INSPECTOR_OPTIONS'))
      else found(new URL(`ws://${at.hostname}:${at.port}/core:entry`))
    })
  })
  loaded.catch(() => undefined)
  try {
    await Promise.race([worker.ready, failure])
    const alive = await Promise.race([loaded, failure])
    const inspectorUrl = await worker.inspectorUrl
    if (inspectorUrl === undefined) throw new Error('wrangler opened no inspector; unset VSCODE_INSPECTOR_OPTIONS')
    const url = await worker.url
    // "Ready" precedes the isolate: a first request makes it, and any answer will do.
    await (await worker.fetch(new URL('/__strict_first_request', url).href)).arrayBuffer()
    const inspector = await connectInspector(inspectorUrl, alive)
    const heap = (collect = false) => readHeap(inspector, collect)
    return {
      url,
      fetch: (path, init) => fetch(new URL(path, url), init),
      heap: ({ collect = false } = {}) => heap(collect),
      sampler: createSampler(heap, options.intervalMs ?? 20, options.limitBytes ?? productionLimits.memoryBytes),
      usage: async () => {
        const counts = JSON.parse(await inspector.evaluate('JSON.stringify(dotdoStrictCounts)')) as Counts
        return { ...counts, subrequests: counts.fetches + counts.r2 + counts.objectCalls }
      },
      resetUsage: async () => {
        await inspector.evaluate(
          'Object.assign(dotdoStrictCounts, { fetches: 0, r2: 0, objectCalls: 0, peakConnections: dotdoStrictCounts.openConnections }) && ""',
        )
      },
      dispose: async () => {
        inspector.close()
        await worker.dispose()
        await rm(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await worker.dispose()
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** The Worker's own entry with the counters in front. Paths are relative, so that the file reads well in a stack trace. */
function entrySource(folder: string, main: string): string {
  const from = (path: string) => JSON.stringify(relative(folder, path).replaceAll('\\', '/'))
  return [
    `import { countObjects } from ${from(join(here, 'counters.ts'))}`,
    `import * as app from ${from(main)}`,
    `export * from ${from(main)}`,
    `export { default } from ${from(main)}`,
    'countObjects(app)',
    '',
  ].join('\n')
}

async function readHeap(inspector: Inspector, collect: boolean): Promise<Heap> {
  // By --expose-gc: HeapProfiler.collectGarbage is never answered by workerd.
  if (collect) await inspector.evaluate('gc(), ""')
  const usage = await inspector.send<{ usedSize: number; backingStorageSize: number }>('Runtime.getHeapUsage')
  return { usedBytes: usage.usedSize, bufferBytes: usage.backingStorageSize, totalBytes: usage.usedSize + usage.backingStorageSize }
}

function createSampler(heap: (collect?: boolean) => Promise<Heap>, intervalMs: number, limitBytes: number): Sampler {
  const nothing = (): Peak => ({
    usedBytes: 0,
    bufferBytes: 0,
    totalBytes: 0,
    samples: 0,
    liveBytes: 0,
    overLimit: false,
    aborted: false,
  })
  let seen = nothing()
  let watching = false
  let loop: Promise<void> = Promise.resolve()

  async function sample(): Promise<void> {
    const now = await heap()
    seen.samples++
    if (now.totalBytes > seen.totalBytes) Object.assign(seen, now)
    const live = now.totalBytes > limitBytes ? (await heap(true)).totalBytes : now.totalBytes
    seen.liveBytes = Math.max(seen.liveBytes, live)
    seen.overLimit = seen.liveBytes > limitBytes
  }

  async function watch(): Promise<void> {
    while (watching) {
      try {
        await sample()
      } catch {
        // The inspector is gone: workerd was aborted, which is the strongest reading there is.
        Object.assign(seen, { aborted: true, overLimit: true })
        return
      }
      await new Promise((wake) => setTimeout(wake, intervalMs))
    }
  }

  return {
    async start() {
      if (watching) throw new Error('the sampler is running; read peak() before the next start()')
      seen = nothing()
      await sample()
      watching = true
      loop = watch()
    },
    async peak() {
      watching = false
      await loop
      if (!seen.aborted) await sample().catch(() => Object.assign(seen, { aborted: true, overLimit: true }))
      return { ...seen }
    },
  }
}

interface Inspector {
  send<Result>(method: string, params?: object): Promise<Result>
  evaluate(expression: string): Promise<string>
  close(): void
}

/** A connection to the isolate's inspector. workerd answers 403 without a local origin. */
async function connectInspector(url: URL, alive: URL): Promise<Inspector> {
  const address = new URL('/ws', url)
  address.protocol = 'ws:'
  const socket = await openSocket(address)
  const sentinel = await openSocket(alive)
  const answers = new EventEmitter().setMaxListeners(0)
  const waiting = new Set<(reason: Error) => void>()
  let last = 0
  let lost: Error | undefined
  let context: number | undefined
  const lose = (reason: string) => {
    lost ??= new Error(reason)
    for (const fail of waiting) fail(lost)
    waiting.clear()
  }
  sentinel.addEventListener('close', () => lose('workerd is gone: it was aborted, or killed'))
  socket.addEventListener('close', () => lose('workerd closed the inspector: the isolate is gone'))
  socket.addEventListener('message', (event) => {
    const message = JSON.parse(String(event.data)) as { id?: number; method?: string; params?: { context?: { id: number } } }
    if (message.method === 'Runtime.executionContextCreated') context = message.params?.context?.id
    if (message.id !== undefined) answers.emit(String(message.id), message)
  })

  async function send<Result>(method: string, params: object = {}): Promise<Result> {
    if (lost) throw lost
    const id = String(++last)
    const message = await new Promise<{ result?: Result; error?: { message: string } }>((answer, fail) => {
      // A turn may hold the isolate for long, so the wait is generous; a dead workerd is told by the closed socket.
      const timer = setTimeout(() => fail(new Error(`the inspector did not answer ${method} within 60 s`)), 60_000)
      const end = (reason: Error) => {
        clearTimeout(timer)
        fail(reason)
      }
      waiting.add(end)
      answers.once(id, (message) => {
        clearTimeout(timer)
        waiting.delete(end)
        answer(message)
      })
      socket.send(JSON.stringify({ id: Number(id), method, params }))
    })
    if (message.error) throw new Error(`inspector: ${method}: ${message.error.message}`)
    return message.result as Result
  }

  // workerd has no default context, so an expression must name one. Left enabled, the domain would hold on to logged values.
  // The context is told in an event of its own, which may come after the answer.
  for (let tries = 0; context === undefined && tries < 50; tries++) {
    await send('Runtime.enable')
    if (context === undefined) await new Promise((wake) => setTimeout(wake, 100))
    await send('Runtime.disable')
  }
  if (context === undefined) throw new Error('the inspector told of no execution context within 5 s')
  return {
    send,
    async evaluate(expression) {
      const answer = await send<{ result: { value?: unknown }; exceptionDetails?: { text: string; exception?: { description?: string } } }>(
        'Runtime.evaluate',
        { expression, contextId: context, returnByValue: true },
      )
      const fault = answer.exceptionDetails
      if (fault) throw new Error(`inspector: ${expression}: ${fault.exception?.description ?? fault.text}`)
      return String(answer.result.value)
    },
    close: () => {
      socket.close()
      sentinel.close()
    },
  }
}

/** Opens a session with an inspector. Node's WebSocket takes headers, which the DOM's type of it does not say. */
async function openSocket(address: URL): Promise<WebSocket> {
  const socket = new WebSocket(address, { headers: { Origin: 'http://localhost' } } as never)
  await new Promise<void>((opened, fail) => {
    socket.addEventListener('open', () => opened())
    socket.addEventListener('error', () => fail(new Error(`no inspector at ${address.href}`)))
  })
  return socket
}
