/**
 * "One message, one round trip", counted: what arrives natively at each object (see `tally.ts`), and how often a client waits, for the same
 * program in each layout.
 */
import { newHttpBatchRpcSession } from 'capnweb'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connect } from 'dotdo/client'
import { recordSockets, type Recorder } from '../support/sockets.ts'
import { hops, layouts, startCounted, type CountedApp } from './apps.ts'

describe.each(Object.entries(layouts))('%s', (layout, workers) => {
  let counted: CountedApp
  let sockets: Recorder
  let pipeline: any
  beforeAll(async () => {
    sockets = recordSockets()
    counted = await startCounted(workers)
    pipeline = counted.running.app.Pipeline('main')
    await pipeline.add(1, 1)
  })
  afterAll(async () => {
    await counted?.[Symbol.asyncDispose]()
    sockets?.[Symbol.dispose]()
  })

  /** Runs one method of the pipeline; gives its answer, the hops, and the client's round trips. */
  async function count(method: string, ...args: unknown[]) {
    sockets.clear()
    const { answer, arrivals } = await counted.during(() => pipeline[method](...args) as Promise<any>)
    const services = arrivals.filter(({ to }) => to === 'the service').length
    const toStages = arrivals.filter(({ to }) => /^(?:Source|Stage|Shard)\//.test(to)).length
    // A service is passed through, and adds no message of its own. An object that another one has named is reached without it.
    const byService = method === 'walk' ? 1 : toStages
    expect(services).toBe(layout === 'two, by service' ? byService : 0)
    const { 'a Worker > Pipeline/main': started, ...rest } = hops(arrivals)
    // capnweb says a call and that its answer is wanted one after the other, and waits for nothing in between.
    expect([sockets.trips('/rpc'), sockets.sent('/rpc'), started]).toEqual([1, 2, 1])
    return { answer, arrivals, hops: rest }
  }

  test.each([1, 3, 10, 100])('a chain of %i calls is one message', async (depth) => {
    expect(await count('chain', depth)).toMatchObject({ answer: depth === 1 ? 2 : depth, hops: { 'Pipeline/main > Stage/chain': 1 } })
  })

  test.each([1, 3, 10, 100])('%i calls, each with the answer of the one before as an argument, are one message', async (depth) => {
    expect(await count('nested', depth)).toMatchObject({ answer: depth + 1, hops: { 'Pipeline/main > Stage/nested': 1 } })
  })

  test('a walk from object to object is one message to each, however long it is', async () => {
    const steps = Array.from({ length: 12 }, (_, i) => [`Pipeline/main > Stage/walk ${i}`, 1])
    const { answer, hops: counts } = await count('walk', 12)
    expect([answer, counts]).toEqual([42, Object.fromEntries(steps)])
  })

  test('a graph with shared results is one message', async () => {
    expect(await count('shared')).toMatchObject({ answer: [2, 4, 6, 10], hops: { 'Pipeline/main > Stage/shared': 1 } })
  })

  test('a map over 1,000 capabilities is one message', async () => {
    expect(await count('mapped', 1000)).toMatchObject({ answer: 499_500, hops: { 'Pipeline/main > Stage/mapped': 1 } })
  })

  test('a map over 1,000 values, each with a call of the object, is one message', async () => {
    expect(await count('mappedBack', 1000)).toMatchObject({ answer: 999_000, hops: { 'Pipeline/main > Stage/mapped': 1 } })
  })

  test('100 calls that nobody awaits and one that somebody does are one message', async () => {
    expect((await count('ordered', 100)).hops).toEqual({ 'Pipeline/main > Stage/ordered 100': 1 })
  })

  test('calls with bytes leave together, and one with very many while it is made: each with the bytes of that moment', async () => {
    const small = await count('refilled', 3, 1000)
    const bulk = await count('refilled', 3, 1024 * 1024)
    for (const { answer } of [small, bulk])
      expect(answer).toEqual([
        [1, 1],
        [2, 2],
        [3, 3],
      ])
    // The last message asks for the answers.
    expect([small.hops, bulk.hops]).toEqual([{ 'Pipeline/main > Stage/refilled': 1 }, { 'Pipeline/main > Stage/refilled': 4 }])
  })

  test('a hand-off is one message to each of the two, and one between them, which alone has the rows', async () => {
    const { answer, arrivals, hops: counts } = await count('handed', 1000)
    expect(answer).toBe(1000)
    expect(counts).toEqual({ 'Pipeline/main > Source/handed': 1, 'Pipeline/main > Stage/handed': 1, 'Source/handed > Stage/handed': 1 })
    const bytes = (from: string) =>
      arrivals.filter((it) => it.from === from && it.to !== 'the service').reduce((sum, it) => sum + it.bytes, 0)
    expect(bytes('Source/handed')).toBeGreaterThan(40_000)
    expect(bytes('Pipeline/main')).toBeLessThan(4096)
  })

  /** What the whole product sends for a table that is not there yet: see `everything` in `pipeline/nouns.ts`. */
  const everything = (table: string) => ({
    'Pipeline/main > Source/events': 1,
    'Pipeline/main > Stage/clean': 1,
    'Pipeline/main > Stage/enrich': 1,
    [`Pipeline/main > Warehouse/${table}`]: 1,
    // Filled; then asked for a scanner, the first one for its tables too; then scanned.
    'Pipeline/main > Shard/a': 3,
    // The others are asked for theirs by calls that nobody awaits: where the first answers before the turn is over, they leave with the scan.
    'Pipeline/main > Shard/b': expect.toBeOneOf([2, 3]) as number,
    'Pipeline/main > Shard/c': expect.toBeOneOf([2, 3]) as number,
    // The rows go from each to the next, and never through the pipeline.
    'Source/events > Stage/clean': 1,
    'Stage/clean > Stage/enrich': 1,
    [`Stage/enrich > Warehouse/${table}`]: 1,
    'Stage/enrich > Shard/a': 1,
    'Stage/enrich > Shard/b': 1,
    'Stage/enrich > Shard/c': 1,
    // Looked for, made, begun, committed.
    [`Warehouse/${table} > DotdoSystem/catalog R2_BUCKET`]: 4,
  })

  test('the whole product: a source, two stages, a table and a query, by one round trip of a client', async () => {
    const { answer, hops: counts } = await count('everything', 'by_socket')
    expect(answer).toMatchObject({ rows: 6, filled: [2, 2, 2], stages: ['clean', 'enrich'] })
    expect(counts).toEqual(everything('by_socket'))
  })

  test.each([
    ['this client', 'by_batch', (app: CountedApp) => connect(app.running.url, { token: app.running.token, transport: 'batch' })],
    [
      'a client that is capnweb alone',
      'by_capnweb',
      (app: CountedApp) => {
        const door: any = newHttpBatchRpcSession(new URL('/rpc', app.running.url).href)
        return door.authenticate(app.running.token)
      },
    ],
  ] as const)('the same by one request of %s', async (_name, table, open) => {
    const original = globalThis.fetch
    let posted = 0
    globalThis.fetch = (input, init) => {
      const request = new Request(input, init)
      if (request.method === 'POST' && new URL(request.url).pathname === '/rpc') posted++
      return original(request)
    }
    try {
      const { answer, arrivals } = await counted.during(() => open(counted).Pipeline('main').everything(table) as Promise<unknown>)
      expect(answer).toMatchObject({ rows: 6, filled: [2, 2, 2] })
      expect(posted).toBe(1)
      expect(hops(arrivals)).toEqual({ 'a Worker > Pipeline/main': 1, ...everything(table) })
    } finally {
      globalThis.fetch = original
    }
  })
})
