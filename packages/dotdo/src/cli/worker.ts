/** Starts a Worker in workerd through wrangler, or says why it does not start: wrangler itself may wait for ever. */
import { createServer } from 'node:net'
import type { unstable_startWorker } from 'wrangler'
import { DotdoError } from '../base/errors.ts'

/** What the wrangler of the app's own project offers. */
export type Wrangler = typeof import('wrangler')

type Options = NonNullable<Parameters<typeof unstable_startWorker>[0]>
type Worker = Awaited<ReturnType<typeof unstable_startWorker>>

/** A failure that the person at the terminal can do something about. */
export function notStarted(message: string, data: Record<string, unknown> = {}, cause?: unknown): DotdoError {
  return new DotdoError('APP_NOT_STARTED', message, { data, cause })
}

/** What the Worker's code, or workerd itself, has logged. */
export interface LogLine {
  level: string
  message: string
}

/** A Worker that has answered once. */
export interface LocalWorker {
  url: URL
  /** What wrangler says of it, and its handlers. */
  worker: Worker
  stop: () => Promise<void>
}

/** Within this time a Worker answers its first request, also on a machine that is busy. */
const answerMs = 60_000

/**
 * Starts the Worker and waits for its first answer: "ready" comes before its code has run.
 * @param log is told what is logged, from the start on where that succeeds
 * @param again how to start anew without the state, for the message of a Worker that does not answer
 * @throws `APP_NOT_STARTED` for a configuration or code that is wrong, and a Worker that does not answer
 */
export async function launch(options: Options, log: (line: LogLine) => void, again = 'npx dotdo dev --clean'): Promise<LocalWorker> {
  const wrangler = await loadWrangler()
  // Until it has started, what is logged is part of the reason why it has not.
  let early: LogLine[] | undefined = []
  const structuredLogsHandler = (line: LogLine): void => void (early ? early.push(line) : log(line))
  const fault = (reason: unknown) => {
    const told = deepest(reason)
    const remarks = (early ?? []).filter(({ level }) => level === 'warn' || level === 'error').map(({ message }) => plain(message))
    const more = remarks.filter((it) => !told.includes(it)).map((it) => `\n${it}`)
    return notStarted(`The app could not be started: ${told}${more.join('')}\nMend that, and start again.`, {}, reason)
  }
  const worker = await wrangler
    .unstable_startWorker({ ...options, dev: { ...options.dev, structuredLogsHandler } })
    .catch((error: unknown) => {
      throw fault(error)
    })
  // What fails after this is told by events, and by nothing else.
  const failed = new Promise<never>((_, reject) => {
    for (const event of ['error', 'buildFailed']) worker.raw.once(event, (reason: unknown) => reject(fault(reason)))
  })
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(notStarted(`The app did not answer within ${answerMs / 1000} seconds. Start it again; ${again} begins anew.`)),
      answerMs,
    )
  })
  const answered = (async () => {
    await worker.ready
    const url = await worker.url
    await (await fetch(new URL('/rpc', url))).arrayBuffer()
    return url
  })()
  try {
    const url = await Promise.race([answered, failed, late])
    // From now on a fault is the log's matter: wrangler starts workerd again by itself.
    failed.catch(() => {})
    worker.raw.on('error', () => {})
    early.forEach(log)
    early = undefined
    return { url, worker, stop: () => worker.dispose() }
  } catch (error) {
    answered.catch(() => {})
    // What did not start may not stop either, so nobody waits for it.
    void worker.dispose().catch(() => {})
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/**
 * The wrangler that the project has installed. It asks no other host, keeps no logs and prints nothing of its own.
 * @throws `APP_NOT_STARTED` where there is none
 */
export async function loadWrangler(): Promise<Wrangler> {
  Object.assign(process.env, {
    WRANGLER_LOG: 'none',
    WRANGLER_WRITE_LOGS: 'false',
    WRANGLER_SEND_METRICS: 'false',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  })
  return await import('wrangler').catch((cause: unknown) => {
    throw notStarted(
      'wrangler, which runs the app on this machine, cannot be loaded. Install it beside dotdo: npm install -D wrangler',
      {},
      cause,
    )
  })
}

/** Asked before anything is begun: wrangler waits for ever for a port that is taken. @throws `APP_NOT_STARTED` */
export function requireFree(port: number, command: string): Promise<void> {
  if (port === 0) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        notStarted(
          `Port ${port} cannot be used (${error.code ?? error.message}): another program has it, or it is not allowed. Choose another: ${command} --port 0 takes any.`,
          { port },
        ),
      ),
    )
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => void probe.close(() => resolve()))
  })
}

/** What a fault that wrangler tells of comes down to. A build that failed names the places; its message only counts them. */
export function faultText(reason: unknown): string {
  const errors = (reason as { cause?: { errors?: unknown } } | undefined)?.cause?.errors
  if (!Array.isArray(errors) || errors.length === 0) return plain(deepest(reason))
  return (errors as readonly BuildError[])
    .map(({ text, location }) => (location ? `${location.file}:${location.line}:${location.column}: ${text}` : text))
    .join('\n')
}

/** An error of the bundler. */
interface BuildError {
  text: string
  location?: { file: string; line: number; column: number } | null
}

/** The innermost cause is the one that says what is wrong; those around it say that something is. */
function deepest(reason: unknown): string {
  let at = reason as { message?: unknown; reason?: unknown; cause?: unknown } | undefined
  while (at?.cause) at = at.cause as typeof at
  const message = String(at?.message ?? at?.reason ?? reason)
  // workerd's own reasons stand as JSON in what it printed.
  const uncaught = [...message.matchAll(/"message":("(?:[^"\\]|\\.)*")/g)].map((match) => JSON.parse(match[1]!) as string)
  return (uncaught.length > 0 ? uncaught.map(plain).join('\n') : message).trim()
}

/**
 * What workerd says of a fault of its own, such as a host that cannot be found, for people: why, and the reference by which the app's error names it.
 * The places in workerd's program, and the addresses of its stack, say nothing to anybody else. Any other text stays as it is.
 */
export function ofRuntime(message: string): string {
  return message.replace(
    /^e = \S+:\d+: (?:failed: )*([^\n]*)\nstack: (?:\S+@[0-9a-f]+ ?)+(?:; sentryErrorContext = \w+)?(?:; wdErrId = (\w+))?/gm,
    (_, why: string, reference: string | undefined) => (reference === undefined ? why : `${why} (reference = ${reference})`),
  )
}

/** Without the name that workerd gives the Worker, and without lines of a stack: they count in the bundle, which nobody has seen. */
function plain(message: string): string {
  return message.replace(/^service core:user:[^:]*: (?:Uncaught )?/, '').replaceAll(/\n\s+at .*/g, '')
}
