/** `dotdo/local`: an app on this machine, in workerd with its state in one folder. What `npx dotdo dev` and a project's own scripts start. */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openState, projectSecret } from './state.ts'
import { oneTimeLink, sessionToken } from './link.ts'
import { faultText, launch, loadWrangler, requireFree, type LogLine, type Wrangler } from './worker.ts'

export { oneTimeLink } from './link.ts'
export type { LogLine } from './worker.ts'

/** How to start an app. */
export interface LocalOptions {
  /** The wrangler.toml, or .json or .jsonc, of the app. */
  configPath: string
  /** Where its state lies: objects, buckets and secret. */
  stateFolder: string
  /** 0 takes any. */
  port: number
  /** Begin anew: forget all state. */
  clean?: boolean
  /** Start it anew when its source changes. */
  watch?: boolean
  /** What starts it again, for messages: `npx dotdo dev`. */
  command?: string
  /** Runs when the state is this process's own, before the app does: lays out what the app wants to find. */
  prepare?: () => Promise<void>
  /** Is told what the app's code, or workerd itself, has logged. */
  log?: (line: LogLine) => void
  /** Is told what keeps a change of the source from being run, while `watch`. */
  fault?: (message: string) => void
}

/** An app that has answered once. */
export interface LocalApp {
  /** Its address, with a slash at its end. */
  url: string
  /** A session's token. A secret. */
  token: string
  /** A link that opens the page once, within the hour. */
  pageLink: () => Promise<string>
  /** The cron patterns of its configuration, as they stand now. */
  crons: () => string[]
  /** Calls its `scheduled` handler, as the platform does at an instant of the pattern. Epoch milliseconds. */
  scheduled: (cron: string, scheduledAt: number) => Promise<void>
  /** Ends it in order, and gives its state back. */
  stop: () => Promise<void>
}

/**
 * Starts an app and waits until it answers. One process runs a state at a time.
 * @throws `APP_NOT_STARTED` with what is wrong and what to do
 */
export async function startLocal(options: LocalOptions): Promise<LocalApp> {
  const { configPath, stateFolder, port, clean = false, watch = false, command = 'npx dotdo dev', prepare, log, fault } = options
  // First: what it is told by the environment holds for `prepare` too.
  const wrangler = await loadWrangler()
  await requireFree(port, command)
  const state = openState(stateFolder, clean, projectSecret(dirname(configPath)))
  try {
    await prepare?.()
    const { url, worker, stop } = await launch(
      {
        config: configPath,
        ...pageFor(wrangler, configPath),
        bindings: { DOTDO_SECRET: { type: 'plain_text', value: state.secret }, DOTDO_LOCAL: { type: 'plain_text', value: '1' } },
        dev: { logLevel: 'none', inspector: false, watch, persist: stateFolder, server: { hostname: '127.0.0.1', port } },
      },
      (line) => {
        if (!isNoise(line.message)) log?.(line)
      },
      `${command} --clean`,
    )
    if (fault) for (const event of ['error', 'buildFailed']) worker.raw.on(event, (reason: unknown) => fault(faultText(reason)))
    const { secret } = state
    state.serves(url.href)
    return {
      url: url.href,
      token: await sessionToken(secret),
      pageLink: () => oneTimeLink(url.href, secret),
      crons: () => ((worker.config.triggers ?? []) as readonly Trigger[]).flatMap(({ cron }) => cron ?? []),
      async scheduled(cron, scheduledAt) {
        await worker.scheduled({ cron, scheduledTime: new Date(scheduledAt) })
      },
      async stop() {
        try {
          await stop()
        } finally {
          state.close()
        }
      },
    }
  } catch (error) {
    state.close()
    throw error
  }
}

/**
 * The page, for an app whose configuration serves no files: the link that is printed leads to it. What is a file of the page is served before the Worker is asked.
 */
function pageFor(wrangler: Wrangler, configPath: string): { assets?: string } {
  const page = fileURLToPath(new URL('../console', import.meta.url))
  try {
    const { assets } = wrangler.unstable_readConfig({ config: configPath }, { hideWarnings: true })
    return assets === undefined && existsSync(page) ? { assets: page } : {}
  } catch {
    // Whoever starts the app is told what is wrong with its configuration, with its place.
    return {}
  }
}

/** npm passes on a Ctrl-C that the terminal has sent already: what comes within this time is the same one. */
export const echoMs = 500

/**
 * Ends this process in order when it is asked to: `stop` runs at the first Ctrl-C, SIGTERM or SIGHUP (a terminal that is closed), and gives the
 * exit code; a second one ends it at once, with 130. Call it after {@link startLocal}: wrangler's own listener, which it takes away, would end the
 * process with the state still open.
 */
export function endInOrder(stop: (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') => Promise<number>): void {
  let interruptedAt = 0
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.removeAllListeners(signal)
    process.on(signal, () => {
      if (interruptedAt === 0) {
        interruptedAt = Date.now()
        void stop(signal).then((code) => process.exit(code))
      } else if (Date.now() - interruptedAt > echoMs) process.exit(130)
    })
  }
}

/** A trigger of wrangler's configuration; those that are no cron have no pattern. */
interface Trigger {
  cron?: string
}

/** Remarks that workerd makes to its own authors. */
const isNoise = (message: string) => message.startsWith('NOSENTRY')
