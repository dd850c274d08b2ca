/** The demo's app on this machine: its data laid out, and a client that is let in. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { R2Bucket } from '@cloudflare/workers-types'
import { connect } from 'dotdo/client'
import { startLocal, type LocalOptions } from 'dotdo/local'
import { getPlatformProxy } from 'wrangler'
import { layOutData } from './data.ts'
import { dim, yellow } from './terminal.ts'

/** The app's own interface, as its client sees it. */
export interface DemoApp {
  Pipeline: {
    query(sql: string): Promise<Record<string, unknown>[]>
    table(): Promise<{ table: string; snapshotId: number | null; files: number; rows: number; bytes: number } | null>
  }
}

/** Starts the app on its data and gives what is needed to work with it. @throws `APP_NOT_STARTED` */
export async function startDemo(options: Pick<LocalOptions, 'configPath' | 'stateFolder' | 'port' | 'clean'>) {
  let written = 0
  const local = await startLocal({
    ...options,
    command: 'npm start --',
    prepare: async () => void (written = await fillBucket(options.stateFolder)),
    log({ level, message }) {
      if (level === 'warn' || level === 'error') console.error(`${yellow(level)} ${dim(message)}`)
    },
  })
  const app = connect<DemoApp>(local.url, { token: local.token })
  return {
    url: local.url,
    app,
    /** How many objects were laid into the bucket; 0 where they were there. */
    written,
    pageLink: local.pageLink,
    async stop() {
      app.close()
      await local.stop()
    },
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
