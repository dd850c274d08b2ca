/**
 * The main job under production's limits: 200,000 flights, from the schedule's trigger until the shards have fetched their share.
 *
 * All objects of the app share one isolate here (on Cloudflare they are spread over several), so the memory that is held against the
 * limit is the sum of Pipeline, its four shards and the catalog.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connect, type AnyApp, type AppStub } from 'dotdo/client'
import { flightCount } from '../../packages/create-dotdo/template/scripts/data.ts'
import { eventRuns, root, runPipeline, sessionToken, startDemo, temporary } from '../support/app.ts'
import { productionLimits, startStrict, type Peak, type StrictWorker, type Usage } from './support/strict-worker.ts'

const megabyte = 1024 * 1024

let state: { path: string; remove(): Promise<void> }
let worker: StrictWorker
let app: AppStub<AnyApp>
let peak: Peak
let usage: Usage

beforeAll(async () => {
  state = await temporary('strict')
  // Lays out the data. The run itself is the strict lane's.
  await (await startDemo(state.path)).stop()
  const secret = readFileSync(join(state.path, 'secret'), 'utf8')
  worker = await startStrict({
    config: join(root, 'wrangler.toml'),
    persist: state.path,
    vars: { DOTDO_SECRET: secret, DOTDO_LOCAL: '1' },
    intervalMs: 5,
    dev: { structuredLogsHandler: () => {} },
  })
  app = connect(worker.url, { token: await sessionToken(secret) })
  await worker.resetUsage()
  await worker.sampler.start()
  await runPipeline(app)
  peak = await worker.sampler.peak()
  usage = await worker.usage()
  const facts = {
    peakMegabytes: Math.round(peak.totalBytes / megabyte),
    heap: Math.round(peak.usedBytes / megabyte),
    buffers: Math.round(peak.bufferBytes / megabyte),
    liveMegabytes: Math.round(peak.liveBytes / megabyte),
    samples: peak.samples,
    ...usage,
  }
  console.log(`main job under production's limits: ${JSON.stringify(facts)}`)
})

afterAll(async () => {
  app?.close()
  await worker?.dispose()
  await state?.remove()
})

test('heap and buffers stay within 128 MB while 200,000 flights go from the data lake into the table and the shards', () => {
  expect(peak.aborted).toBe(false)
  expect(peak.liveBytes).toBeLessThanOrEqual(productionLimits.memoryBytes)
  expect(peak.overLimit).toBe(false)
  // What rises and falls within one turn is between two samples: of that, the heap is held by V8's own cap, which aborts. How many samples there
  // are is the machine's to say: it was looked at, that is all.
  expect(peak.samples).toBeGreaterThan(3)
})

test('no more than six connections are open at once, and the whole job stays below the subrequests of one invocation', () => {
  // Of the whole isolate, so an upper bound of what any one invocation did.
  expect(usage.peakConnections).toBeLessThanOrEqual(productionLimits.connections)
  expect(usage.subrequests).toBeLessThanOrEqual(productionLimits.subrequests)
  // The counters see the job: 14 objects are read twice, and each of 13 days is four objects of the table.
  expect(usage.r2).toBeGreaterThan(14 * 2 + 13 * 4)
  expect(usage.objectCalls).toBeGreaterThan(0)
})

test('every flight is in the table and in the shards, and nothing was tried twice', async () => {
  expect(await app.Pipeline('main').table()).toMatchObject({ rows: flightCount, files: 13 })
  expect(await app.Pipeline('main').query('SELECT COUNT(*) AS n FROM flights')).toEqual([{ n: flightCount }])
  const [shared] = await eventRuns(app)
  expect(shared).toMatchObject({ status: 'done', attempt: 1 })
})
