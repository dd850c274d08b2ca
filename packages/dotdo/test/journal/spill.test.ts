/** Streams that are too long for rows: what of them lies in a bucket, when it is named, and when it goes. */
import { describe, expect, test } from 'vitest'
import type { JournalLimits } from '../../src/journal/ports.ts'
import { spillGraceMs } from '../../src/journal/spill.ts'
import type { StoredStream } from '../../src/journal/stored-stream.ts'
import { house, withBucket } from './fake-bucket.ts'
import { collect, settle, TestObject } from './harness.ts'

const batches = 24
/** 300 KiB a batch, 7 MiB in all: two chunks in rows, the others in one object, or in as many as there are drains. */
const batchOf = (n: number): string[] => [`${n} `.padEnd(300 * 1024, String.fromCharCode(97 + n)), 'ü']

/** An object whose run `main` stores a stream, at a bound of rows that it passes, and gives it back. */
function streaming(limits: Partial<JournalLimits> = {}, source: () => AsyncIterable<unknown> = all) {
  const object = new TestObject(
    { main: (run) => run.step(() => source(), { stepId: 'rows', retries: { limit: 3, delay: 1 } }) },
    { streamRowsBytes: 1024 * 1024, ...limits },
  )
  return withBucket(object)
}

async function* all(): AsyncGenerator<unknown> {
  for (let n = 0; n < batches; n++) yield batchOf(n)
}

const everything = Array.from({ length: batches }, (_, n) => batchOf(n)).flat()

async function read(result: unknown): Promise<unknown[]> {
  return (await collect(result as StoredStream<unknown[]>)).flat()
}

describe('a stream that is longer than its rows may be', () => {
  test('goes on in the bucket, comes back as it was after an eviction, and is told of as any other', async () => {
    const { bucket, object } = streaming()
    const result = (await object.call('main', [], 'r')) as StoredStream
    expect(await read(result)).toEqual(everything)
    expect(result).toMatchObject({ rows: 2 * batches })
    expect([...bucket.objects.keys()]).toHaveLength(1)
    expect([...bucket.objects.keys()][0]).toMatch(/^results\/Pipeline\/1\/val_[^/]+\/0000000$/)
    const inRows = object.store.sql('SELECT id FROM dotdo_values').length
    expect(inRows).toBeGreaterThan(0)
    expect(inRows).toBeLessThan(5)
    object.evict()
    expect(await read(object.journal.result('r'))).toEqual(everything)
    expect(object.journal.run('r')).toMatchObject({ status: 'done', steps: [{ result: { rows: 2 * batches } }] })
    // Another reader begins anew, and one that stops early leaves nothing open.
    for await (const batch of object.journal.result('r') as StoredStream<unknown[]>) {
      expect(batch).toEqual(batchOf(0))
      break
    }
  })

  test('lies in as many objects as it takes, of a bounded size, also where one batch is as large', async () => {
    const large = Array.from({ length: 70 }, (_, n) => batchOf(n % 20)[0])
    const { bucket, object } = streaming({ streamRowsBytes: 0 }, async function* () {
      yield large
      yield* all()
    })
    expect(await read(await object.call('main', [], 'r'))).toEqual([...large, ...everything])
    expect(bucket.objects.size).toBeGreaterThan(2)
    for (const bytes of bucket.objects.values()) expect(bytes.length).toBeLessThan(10 * 1024 * 1024)
    expect(object.store.sql('SELECT 1 FROM dotdo_values')).toEqual([])
  })

  test('lies in rows where there is no bucket, or where it is not so long', async () => {
    const object = new TestObject({ main: (run) => run.step(() => all(), { stepId: 'rows' }) }, { streamRowsBytes: 1 })
    expect(await read(await object.call('main'))).toEqual(everything)
    const { bucket, object: other } = streaming({ streamRowsBytes: 64 * 1024 * 1024 })
    expect(await read(await other.call('main'))).toEqual(everything)
    expect(bucket.objects.size).toBe(0)
    expect(other.store.sql('SELECT 1 FROM dotdo_value_objects')).toEqual([])
  })

  test('is the only result that lies there at once: a list of the same size, and one of a run, is stored in rows, with what its function wrote', async () => {
    const { bucket, object } = streaming({ streamRowsBytes: 0, resultRowsBytes: 1024 })
    object.store.sql('CREATE TABLE written (n INTEGER)')
    object.handlers.main = (run) => run.step(() => (object.store.sql('INSERT INTO written VALUES (1)'), everything), { stepId: 'list' })
    object.evict()
    const counts = () => ['written', 'dotdo_values'].map((table) => object.store.sql(`SELECT * FROM ${table}`).length > 0)
    expect(await object.call('main', [], 'lost')).toEqual(everything)
    expect([counts(), object.syncs]).toEqual([[true, true], 0])
    object.crash()
    expect(counts()).toEqual([false, false])
    expect(await object.call('main', [], 'r')).toEqual(everything)
    object.evict()
    expect(counts()).toEqual([true, true])
    expect(object.journal.result('r')).toEqual(everything)
    expect(object.store.sql('SELECT id FROM dotdo_values').length).toBeGreaterThan(2 * 7)
    expect(bucket.objects.size).toBe(0)
  })

  test('is read by forks, retries and rehearsals, and goes with the last run that refers to it', async () => {
    const { bucket, object } = streaming()
    await object.call('main', [], 'r')
    object.handlers.main = async (run) => {
      const rows = await run.step(() => all(), { stepId: 'rows' })
      return run.step(async () => (await read(rows)).length, { stepId: 'count' })
    }
    await object.call('main', [], 'two')
    object.journal.fork('two', { from: 'count', runId: 'fork' })
    expect(await object.journal.launch('fork')).toBe(everything.length)
    const { taken } = object.journal.rehearse('two', { from: 'count' })
    expect(await read(taken('rows')?.value)).toEqual(everything)
    expect(bucket.objects.size).toBe(2)
    await house(object)
    // Once for the fork, and then for what it was forked from.
    await house(object)
    expect(bucket.objects.size).toBe(0)
    expect(object.store.sql('SELECT * FROM dotdo_value_objects')).toEqual([])
    expect(object.journal.nextSweepMs({ runsMs: 1, waitingMs: 1 })).toBeNull()
  })

  test('that is gone from the bucket, cut short or of a later form is an error that names the object', async () => {
    const { bucket, object } = streaming()
    await object.call('main', [], 'r')
    const [[key, bytes]] = [...bucket.objects] as [[string, Uint8Array]]
    const reading = () => read(object.journal.result('r'))
    bucket.objects.set(key, bytes.subarray(0, bytes.length - 1))
    await expect(reading()).rejects.toMatchObject({ code: 'VALUE_LOST', data: { key } })
    bucket.objects.set(key, Uint8Array.of(2, ...bytes.subarray(1, 100)))
    await expect(reading()).rejects.toMatchObject({ code: 'STATE_TOO_NEW' })
    bucket.objects.delete(key)
    await expect(reading()).rejects.toMatchObject({ code: 'VALUE_LOST', message: expect.stringContaining(key) })
    object.deploy = {}
    object.evict()
    await expect(reading()).rejects.toMatchObject({ code: 'VALUE_LOST', message: expect.stringContaining('DOTDO_RESULTS') })
  })

  test('whose put fails is retried as its step is, and what was put before is swept', async () => {
    const { bucket, object } = streaming()
    let fails = 1
    bucket.before = (operation) => {
      if (operation.startsWith('has') && fails-- > 0) throw new Error('the bucket is busy')
    }
    const run = object.call('main', [], 'r')
    await object.advance(5000)
    expect(await read(await run)).toEqual(everything)
    expect(bucket.objects.size).toBe(2)
    object.clock.advance(spillGraceMs)
    await object.journal.sweepBucket()
    expect(bucket.objects.size).toBe(1)
    expect(await read(object.journal.result('r'))).toEqual(everything)
  })

  test('of a run that is cancelled while it is put is no result, and is swept with the run', async () => {
    const { bucket, object } = streaming()
    const gate = Promise.withResolvers<void>()
    bucket.before = () => gate.promise
    const run = object.call('main', [], 'r')
    const ended = run.catch((thrown: { code?: string }) => thrown.code)
    for (let i = 0; i < 10; i++) await settle()
    object.journal.cancel('r')
    gate.resolve()
    expect(await ended).toBe('RUN_CANCELLED')
    await settle()
    expect(bucket.objects.size).toBe(1)
    await house(object)
    expect(bucket.objects.size).toBe(0)
  })

  test('stays where the bucket refuses to delete it, until that goes', async () => {
    const { bucket, object } = streaming({ streamRowsBytes: 0 }, async function* () {
      for (let i = 0; i < 3; i++) yield* all()
    })
    await object.call('main', [], 'r')
    expect(bucket.objects.size).toBeGreaterThan(2)
    bucket.before = () => {
      throw new Error('no')
    }
    await expect(house(object)).rejects.toThrow('no')
    expect(object.journal.nextSweepMs({ runsMs: 1, waitingMs: 1 })).not.toBeNull()
    bucket.before = () => undefined
    await object.journal.sweepBucket()
    expect(bucket.objects.size).toBe(0)
  })
})

test('an object that dies at any point of it comes to the same result, and leaves nothing in the bucket when its run is gone', async () => {
  let points = 1
  for (let at = 0; at < points; at++) {
    const { bucket, object } = streaming({ streamRowsBytes: 512 * 1024 }, async function* () {
      for (let i = 0; i < 2; i++) yield* all()
    })
    let point = 0
    let dies = true
    bucket.before = async () => {
      if (!dies || point++ !== at) return
      dies = false
      // The incarnations of this harness draw the same numbers, so that ids differ by the time alone.
      object.clock.advance(1)
      object.crash()
      await new Promise(() => {})
    }
    object.begin('main')
    // What died goes no further; where nothing did, the run is done.
    for (let i = 0; i < 40; i++) await settle()
    const hasDied = !dies
    dies = false
    if (hasDied) {
      await Promise.all(object.journal.resumeDue())
      await object.advance(100)
    } else points = 0
    expect(object.journal.status('r').status, `died at ${at}`).toBe('done')
    expect(await read(object.journal.result('r'))).toHaveLength(2 * everything.length)
    const named = object.store.sql('SELECT prefix FROM dotdo_value_objects WHERE value_id IS NOT NULL').length
    expect([at, named]).toEqual([at, 1])
    await house(object)
    expect([at, bucket.objects.size]).toEqual([at, 0])
    expect(object.store.sql('SELECT * FROM dotdo_value_objects')).toEqual([])
    if (hasDied) points = at + 2
  }
})
