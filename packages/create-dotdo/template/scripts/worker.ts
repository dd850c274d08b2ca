/** Starts a Worker in workerd through wrangler, or says why it does not start: wrangler itself may wait for ever. */
import { createServer } from 'node:net'
import { unstable_startWorker } from 'wrangler'

/** A failure that the person at the terminal can do something about. */
export class StartError extends Error {}

type Options = NonNullable<Parameters<typeof unstable_startWorker>[0]>

/** What the Worker's code, or workerd itself, has logged. */
export interface LogLine {
  level: string
  message: string
}

/** A Worker that has answered once. */
export interface LocalWorker {
  url: URL
  stop(): Promise<void>
}

/** Within this time a Worker answers its first request, also on a machine that is busy. */
const answerMs = 60_000

/**
 * Starts the Worker and waits for its first answer: "ready" comes before its code has run.
 * @param log is told what is logged, from the start on where that succeeds
 * @throws StartError for a configuration or code that is wrong, and a Worker that does not answer
 */
export async function launch(options: Options, log: (line: LogLine) => void): Promise<LocalWorker> {
  // Until it has started, what is logged is part of the reason why it has not.
  let early: LogLine[] | undefined = []
  const structuredLogsHandler = (line: LogLine): void => void (early ? early.push(line) : log(line))
  const notStarted = (reason: unknown) => {
    const told = deepest(reason)
    const remarks = (early ?? []).filter(({ level }) => level === 'warn' || level === 'error').map(({ message }) => plain(message))
    const more = remarks.filter((it) => !told.includes(it)).map((it) => `\n${it}`)
    return new StartError(`The app could not be started: ${told}${more.join('')}\nMend that, and start again.`, { cause: reason })
  }
  const worker = await unstable_startWorker({ ...options, dev: { ...options.dev, structuredLogsHandler } }).catch((error: unknown) => {
    throw notStarted(error)
  })
  // What fails after this is told by events, and by nothing else.
  const failed = new Promise<never>((_, reject) => {
    for (const event of ['error', 'buildFailed']) worker.raw.once(event, (reason: unknown) => reject(notStarted(reason)))
  })
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new StartError(`The app did not answer within ${answerMs / 1000} seconds. Start it again; npm start -- --clean begins anew.`),
        ),
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
    return { url, stop: () => worker.dispose() }
  } catch (error) {
    answered.catch(() => {})
    // What did not start may not stop either, so nobody waits for it.
    void worker.dispose().catch(() => {})
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** Asked before anything is begun: wrangler waits for ever for a port that is taken. @throws StartError */
export function requireFree(port: number): Promise<void> {
  if (port === 0) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new StartError(
          `Port ${port} cannot be used (${error.code ?? error.message}): another program has it, or it is not allowed. Choose another: npm start -- --port 0 takes any.`,
        ),
      ),
    )
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => void probe.close(() => resolve()))
  })
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

/** Without the name that workerd gives the Worker, and without lines of a stack: they count in the bundle, which nobody has seen. */
function plain(message: string): string {
  return message.replace(/^service core:user:[^:]*: (?:Uncaught )?/, '').replaceAll(/\n\s+at .*/g, '')
}
