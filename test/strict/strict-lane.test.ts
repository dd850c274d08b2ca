import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { productionLimits, startStrict, type StrictWorker } from './support/strict-worker.ts'

const megabyte = 1024 * 1024
const config = new URL('./support/fixture/wrangler.toml', import.meta.url).pathname

describe('memory under production’s limit', () => {
  let worker: StrictWorker
  beforeAll(async () => {
    worker = await startStrict({ config })
  })
  afterAll(() => worker.dispose())
  afterEach(async () => {
    await (await worker.fetch('/free')).text()
    await worker.heap({ collect: true })
  })

  test('60 MB of buffers and 40 MB of heap are both in the reading', async () => {
    const before = await worker.heap({ collect: true })
    await (await worker.fetch('/buffers?count=60')).text()
    await (await worker.fetch('/heap?count=40')).text()
    const after = await worker.heap({ collect: true })
    expect((after.bufferBytes - before.bufferBytes) / megabyte).toBeGreaterThanOrEqual(60)
    expect((after.bufferBytes - before.bufferBytes) / megabyte).toBeLessThan(62)
    expect((after.usedBytes - before.usedBytes) / megabyte).toBeGreaterThan(39)
    expect((after.usedBytes - before.usedBytes) / megabyte).toBeLessThan(46)
    expect(after.totalBytes).toBe(after.usedBytes + after.bufferBytes)
  })

  test('a peak within the limit is not reported', async () => {
    await worker.sampler.start()
    await (await worker.fetch('/buffers?count=60')).text()
    const peak = await worker.sampler.peak()
    expect(peak).toMatchObject({ overLimit: false, aborted: false })
    expect(peak.bufferBytes).toBeGreaterThan(60 * megabyte)
  })

  test('200 MB of buffers that are held are over the limit, though workerd lets them pass', async () => {
    await worker.sampler.start()
    expect((await worker.fetch('/buffers?count=200')).status).toBe(200)
    const peak = await worker.sampler.peak()
    expect(peak).toMatchObject({ overLimit: true, aborted: false })
    expect(peak.liveBytes).toBeGreaterThan(200 * megabyte)
    expect(peak.liveBytes).toBeGreaterThan(productionLimits.memoryBytes)
  })

  test('garbage that a collection takes away is not over the limit', async () => {
    await worker.sampler.start()
    await (await worker.fetch('/garbage?count=400')).text()
    const peak = await worker.sampler.peak()
    expect(peak.overLimit).toBe(false)
    expect(peak.samples).toBeGreaterThan(1)
  })

  test('a second start without a peak is refused', async () => {
    await worker.sampler.start()
    await expect(worker.sampler.start()).rejects.toThrow(/peak\(\) before the next start/)
    await worker.sampler.peak()
  })
})

describe('heap above V8’s cap', () => {
  test('200 MB of heap abort workerd, and the sampler says so', async () => {
    const worker = await startStrict({ config })
    try {
      await worker.sampler.start()
      const answer = await worker.fetch('/heap?count=200', { method: 'POST' }).then(
        (response) => response.status,
        () => 0,
      )
      expect(answer).not.toBe(200)
      expect(await worker.sampler.peak()).toMatchObject({ overLimit: true, aborted: true })
    } finally {
      await worker.dispose()
    }
  })
})

describe('requests that leave the Worker', () => {
  let worker: StrictWorker
  let server: Server
  let target: string
  beforeAll(async () => {
    worker = await startStrict({ config })
    server = createServer((_, response) => setTimeout(() => response.end('here'), 30)).listen(0, '127.0.0.1')
    await new Promise((listening) => server.once('listening', listening))
    target = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  })
  afterAll(async () => {
    server.close()
    await worker.dispose()
  })

  test('fetches, R2 operations and calls of objects are counted, and the connections open at once', async () => {
    await worker.resetUsage()
    const response = await worker.fetch(`/requests?count=5&target=${encodeURIComponent(target)}`)
    expect(response.status).toBe(200)
    expect(await worker.usage()).toEqual({
      fetches: 5,
      r2: 4,
      objectCalls: 2,
      subrequests: 11,
      peakConnections: 5,
      openConnections: 0,
    })
  })

  test('a reset begins a new count', async () => {
    await worker.resetUsage()
    expect(await worker.usage()).toMatchObject({ subrequests: 0, peakConnections: 0 })
  })

  test('a fetch that fails gives its connection back', async () => {
    await worker.resetUsage()
    const response = await worker.fetch(`/requests?count=1&target=${encodeURIComponent('http://127.0.0.1:1/')}`)
    expect(response.status).toBe(500)
    expect(await worker.usage()).toMatchObject({ fetches: 1, openConnections: 0 })
  })
})

test('a configuration without an entry is refused by name', async () => {
  const empty = new URL('./support/fixture/no-entry.toml', import.meta.url).pathname
  await expect(startStrict({ config: empty })).rejects.toThrow(/no-entry\.toml names no "main"/)
})
