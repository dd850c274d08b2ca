/**
 * Apps of several Workers, joined as their wrangler.toml files say, in one workerd.
 *
 * Owns: the workerd, one connection to the first Worker. State is in a folder of the harness's own. After `stop()` none of it is left.
 */
import { createTestHarness, type TestHarnessOptions } from 'wrangler'
import { connect, type AnyApp, type AppStub } from 'dotdo/client'
import { root, sessionToken } from './app.ts'

/** Some Workers that run together, and a client that is let in to the first. */
export interface RunningWorkers extends AsyncDisposable {
  /** The first Worker's address, with a slash at its end. */
  url: string
  /** A session's token, for any of them. */
  token: string
  app: AppStub<AnyApp>
  /** A request to one of the Workers by the name in its wrangler.toml. */
  fetch(worker: string, path: string, init?: { method?: string }): Promise<{ status: number; json(): Promise<unknown> }>
  stop(): Promise<void>
}

/** One Worker of an app. */
export interface WorkerOptions {
  /** Its wrangler.toml, from the repository's root. */
  config: string
  /** A folder that `wrangler deploy --dry-run --outdir` has filled: run instead of its source. */
  built?: string
  vars?: Record<string, string>
}

/** Starts Workers together. The first is the one that clients connect to. */
export async function startWorkers(...workers: WorkerOptions[]): Promise<RunningWorkers> {
  const secret = 'a secret for the tests of two Workers'
  const options: TestHarnessOptions = {
    root,
    workers: workers.map(({ config, built, vars }) => ({
      configPath: config,
      vars: { DOTDO_SECRET: secret, DOTDO_LOCAL: '1', ...vars },
      ...(built !== undefined && { prebuiltWorkerDir: built }),
    })),
  }
  const harness = createTestHarness(options)
  const { url } = await harness.listen()
  const token = await sessionToken(secret)
  const app = connect(url, { token })
  let ended: Promise<void> | undefined
  const stop = () =>
    (ended ??= (async () => {
      app.close()
      await harness.close()
    })())
  return {
    url: url.href,
    token,
    app,
    fetch: (worker, path, init) => harness.getWorker(worker).fetch(path, init),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
