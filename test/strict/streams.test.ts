/** Streams between objects under production's limits: what is far larger than an isolate goes through one, in either direction and handed off. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connect, type AnyApp, type AppStub } from 'dotdo/client'
import { root, sessionToken } from '../support/app.ts'
import { productionLimits, startStrict, type StrictWorker } from './support/strict-worker.ts'

const megabyte = 1024 * 1024
const secret = 'a secret for tests alone, 32 characters'

/** What of the app is called here. */
interface Streamer {
  /** Reads a stream of chunks from another object, to its end. */
  drain(from: string, count: number, size: number): Promise<number>
  /** Has one object read streams of another, each `count` chunks: chunks of bytes, rows, and a stream of bytes. */
  between(from: string, to: string, count: number, size: number): Promise<[bytes: number, rows: number, bytes: number]>
}

let worker: StrictWorker
let app: AppStub<AnyApp>

beforeAll(async () => {
  worker = await startStrict({
    config: join(root, 'packages/dotdo/test/object/wrangler.toml'),
    vars: { DOTDO_SECRET: secret },
    intervalMs: 5,
    dev: { structuredLogsHandler: () => {} },
  })
  app = connect(worker.url, { token: await sessionToken(secret) })
})
afterAll(async () => {
  app?.close()
  await worker?.dispose()
})

const streamer = (name: string) => (app as unknown as { Streamer(name: string): Streamer }).Streamer(name)

test('256 MiB go from one object to another within the memory of an isolate, though both share one here', async () => {
  await worker.sampler.start()
  expect(await streamer('reader').drain('source', 4096, 65_536)).toBe(256 * megabyte)
  const peak = await worker.sampler.peak()
  expect(peak).toMatchObject({ overLimit: false, aborted: false })
  expect(peak.liveBytes).toBeLessThan(productionLimits.memoryBytes)
  expect(peak.samples).toBeGreaterThan(3)
})

test('streams of 64 MiB that are handed off do too', async () => {
  await worker.sampler.start()
  expect(await streamer('caller').between('provider', 'consumer', 1024, 65_536)).toEqual([64 * megabyte, 1024, 64 * megabyte])
  const peak = await worker.sampler.peak()
  expect(peak).toMatchObject({ overLimit: false, aborted: false })
})
