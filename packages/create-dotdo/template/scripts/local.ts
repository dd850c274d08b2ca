/** The app on this machine: workerd with its state in one folder, and a client that is let in. */
import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { R2Bucket } from '@cloudflare/workers-types'
import { connect } from 'dotdo/client'
import { signToken } from 'dotdo/tokens'
import { getPlatformProxy } from 'wrangler'
import { layOutData } from './data.ts'
import { oneTimeLink } from './link.ts'
import { dim, yellow } from './terminal.ts'
import { launch, requireFree, StartError } from './worker.ts'

// wrangler asks no other host, keeps no logs and prints nothing of its own.
Object.assign(process.env, {
  WRANGLER_LOG: 'none',
  WRANGLER_WRITE_LOGS: 'false',
  WRANGLER_SEND_METRICS: 'false',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
})

export interface LocalOptions {
  /** The wrangler.toml of the app. */
  configPath: string
  /** Where its state lives: objects, bucket and secret. */
  stateFolder: string
  port: number
  /** Begin anew. */
  clean: boolean
}

/** The app's own interface, as its client sees it. */
export interface DemoApp {
  Pipeline: {
    query(sql: string): Promise<Record<string, unknown>[]>
    table(): Promise<{ table: string; snapshotId: number | null; files: number; rows: number; bytes: number } | null>
  }
}

/** Starts the app and gives what is needed to work with it. @throws StartError */
export async function startLocal({ configPath, stateFolder, port, clean }: LocalOptions) {
  await requireFree(port)
  const unlock = lockState(stateFolder, clean)
  try {
    const written = await fillBucket(stateFolder)
    const secret = readSecret(stateFolder)
    const worker = await launch(
      {
        config: configPath,
        bindings: { DOTDO_SECRET: { type: 'plain_text', value: secret }, DOTDO_LOCAL: { type: 'plain_text', value: '1' } },
        dev: {
          logLevel: 'none',
          inspector: false,
          watch: false,
          persist: stateFolder,
          server: { hostname: '127.0.0.1', port },
        },
      },
      ({ level, message }) => {
        if ((level === 'warn' || level === 'error') && !isNoise(message)) console.error(`${yellow(level)} ${dim(message)}`)
      },
    )
    const { url } = worker
    const token = await signToken({ kind: 'session', expiresAt: Date.now() + 12 * 3_600_000 }, secret)
    const app = connect<DemoApp>(url, { token })
    return {
      url: url.href,
      app,
      written,
      /** A link that opens the page once, within the hour. */
      pageLink: () => oneTimeLink(url.href, secret),
      async stop() {
        app.close()
        await worker.stop()
        unlock()
      },
    }
  } catch (error) {
    unlock()
    throw error
  }
}

/** Puts the data into the local bucket, through a Worker of its own that has nothing but the bucket. Tells how many objects were written. */
async function fillBucket(stateFolder: string): Promise<number> {
  const configPath = join(stateFolder, 'bucket.json')
  writeFileSync(
    configPath,
    JSON.stringify({ name: 'bucket', compatibility_date: '2026-11-01', r2_buckets: [{ binding: 'R2_BUCKET', bucket_name: 'data-lake' }] }),
  )
  const proxy = await getPlatformProxy<{ R2_BUCKET: R2Bucket }>({
    configPath,
    persist: { path: join(stateFolder, 'v3') },
    remoteBindings: false,
  })
  try {
    return await layOutData(proxy.env.R2_BUCKET)
  } finally {
    await proxy.dispose()
  }
}

/** Two processes on one state would each run its schedules and overwrite the other's files. */
function lockState(folder: string, clean: boolean): () => void {
  mkdirSync(folder, { recursive: true })
  const lock = join(folder, 'lock')
  if (existsSync(lock)) {
    const pid = Number(readFileSync(lock, 'utf8'))
    if (isAlive(pid))
      throw new StartError(
        `The app is running already, as process ${pid}. Stop that one (Ctrl-C) first. If it is another program, delete ${lock}.`,
      )
    rmSync(lock)
  }
  if (clean) rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const file = openSync(lock, 'wx')
  writeSync(file, String(process.pid))
  closeSync(file)
  return () => rmSync(lock, { force: true })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return pid !== process.pid
  } catch (error) {
    // A process of another user may not be asked, but it is there.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The secret that tokens are signed with: made once, so that a session outlives a restart. */
function readSecret(folder: string): string {
  const path = join(folder, 'secret')
  if (!existsSync(path)) writeFileSync(path, randomBytes(32).toString('hex'), { mode: 0o600 })
  return readFileSync(path, 'utf8')
}

/** Remarks that workerd makes to its own authors. */
const isNoise = (message: string) => message.startsWith('NOSENTRY')
