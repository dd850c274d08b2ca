/** Large results that are no streams: in rows when they are stored, in the bucket soon after. */
import { describe, expect, test } from 'vitest'
import type { JournalLimits } from '../../src/journal/ports.ts'
import { house, withBucket } from './fake-bucket.ts'
import { settle, TestObject } from './harness.ts'

/** 6 MiB as a list; as a text, 10. */
const list = Array.from({ length: 24 }, (_, n) => ({ n, text: 'ü'.padEnd(256 * 1024, String.fromCharCode(97 + n)) }))
const text = 'ä'.repeat(5 * 1024 * 1024)

/** An object whose results are moved above 1 MiB. */
function moving(limits: Partial<JournalLimits> = {}) {
  const object = new TestObject(
    {
      main: async (run) => {
        await run.step(() => list, { stepId: 'list' })
        await run.step(() => 'small', { stepId: 'small' })
        return text
      },
    },
    { resultRowsBytes: 1024 * 1024, ...limits },
  )
  return withBucket(object)
}

const rowsOf = (object: TestObject): number => object.store.sql('SELECT id FROM dotdo_values').length

describe('a large result', () => {
  test('is in rows at once, in the bucket when it was moved, and the same for whoever reads it: its run, its replay, its caller', async () => {
    const { bucket, object } = moving()
    expect(await object.call('main', [], 'r')).toBe(text)
    expect([bucket.objects.size, rowsOf(object) > 10, object.journal.hasToMove, object.wakes > 0]).toEqual([0, true, true, true])
    const before = object.journal.run('r')
    await object.journal.sweepBucket()
    expect([rowsOf(object), object.journal.hasToMove]).toEqual([0, false])
    expect(bucket.objects.size).toBeGreaterThan(1)
    for (const bytes of bucket.objects.values()) expect(bytes.length).toBeLessThan(10 * 1024 * 1024)
    object.evict()
    expect(object.journal.run('r')).toEqual(before)
    expect(await object.journal.result('r')).toBe(text)
    expect(await object.journal.launch('r')).toBe(text)
    let seen: unknown
    object.handlers.main = async (run) => {
      seen = await run.step(() => 'not again', { stepId: 'list' })
      throw new Error('stop')
    }
    object.journal.fork('r', { from: 'small', runId: 'replay' })
    await expect(object.journal.launch('replay')).rejects.toThrow('stop')
    expect(seen).toEqual(list)
  })

  test('stays in rows where it is not so large, where there is no bucket, and where it is an argument or an event', async () => {
    const { bucket, object } = moving({ resultRowsBytes: 64 * 1024 * 1024 })
    await object.call('main', [], 'r')
    const { bucket: other, object: given } = moving()
    given.handlers.main = () => 'done'
    await given.call('main', [text], 'r')
    const bare = new TestObject(object.handlers, { resultRowsBytes: 1024 })
    await bare.call('main', [], 'r')
    for (const it of [object, given, bare]) {
      expect(it.journal.hasToMove).toBe(false)
      await it.journal.sweepBucket()
      expect(rowsOf(it)).toBeGreaterThan(2)
    }
    expect(bucket.objects.size + other.objects.size).toBe(0)
    expect(bare.journal.result('r')).toBe(text)
  })

  test('is given to what undoes its step, and read by forks and rehearsals; it goes with the last run that refers to it', async () => {
    const { bucket, object } = moving()
    const undone: unknown[] = []
    object.handlers.main = async (run) => {
      await run.step(() => list, { stepId: 'list', undo: (result) => void undone.push(result) })
      await run.waitFor('Never.comes', { stepId: 'wait' })
    }
    object.begin('main', [], 'undo')
    await settle()
    await object.journal.sweepBucket()
    expect(rowsOf(object)).toBe(0)
    object.journal.cancel('undo')
    await object.advance(100)
    expect(undone).toEqual([list])

    object.handlers.main = async (run) =>
      [await run.step(() => list, { stepId: 'list' }), await run.step(() => 1, { stepId: 'last' })].length
    await object.call('main', [], 'r')
    await object.journal.sweepBucket()
    object.journal.fork('r', { from: 'last', runId: 'fork' })
    expect(await object.journal.launch('fork')).toBe(2)
    expect(await object.journal.rehearse('r', { from: 'last' }).taken('list')?.value).toEqual(list)
    // First the fork, then what it was forked from.
    await house(object)
    await house(object)
    expect(bucket.objects.size).toBe(0)
    expect(object.store.sql('SELECT * FROM dotdo_value_objects')).toEqual([])
  })

  test('has a number that no later value gets, though it has no rows any more', async () => {
    const { object } = moving()
    await object.call('main', [], 'r')
    await object.journal.sweepBucket()
    // The incarnations of this harness draw the same numbers, so that ids differ by the time alone.
    object.clock.advance(1)
    object.evict()
    await object.call('main', [], 'later')
    expect(await object.journal.result('r')).toBe(text)
    const ids = object.store.sql('SELECT value_id FROM dotdo_value_objects').map(({ value_id: id }) => id)
    expect(new Set(ids).size).toBe(4)
  })

  test('stays where it is while the bucket refuses it, and is tried again the more rarely the longer that lasts', async () => {
    const { bucket, object } = moving()
    await object.call('main', [], 'r')
    bucket.before = () => {
      throw new Error('the bucket is busy')
    }
    await expect(object.journal.sweepBucket()).rejects.toThrow('the bucket is busy')
    expect(object.journal.result('r')).toBe(text)
    let tries = 0
    bucket.before = (operation) => {
      if (!operation.startsWith('put')) return
      tries++
      throw new Error('the bucket is busy')
    }
    for (let minute = 0; minute < 600; minute++) {
      object.clock.advance(60_000)
      await object.journal.sweepBucket().catch(() => undefined)
    }
    expect(tries).toBeGreaterThan(8)
    expect(tries).toBeLessThan(20)
    bucket.before = () => undefined
    object.clock.advance(3_600_000)
    await object.journal.sweepBucket()
    expect([rowsOf(object), await object.journal.result('r')]).toEqual([0, text])
  })

  test('whose run is removed while it is moved leaves nothing in the bucket', async () => {
    const { bucket, object } = moving()
    await object.call('main', [], 'r')
    let pruned = false
    bucket.before = () => {
      if (pruned) return
      pruned = true
      object.clock.advance(1)
      while (object.journal.prune(object.clock.now()).more);
    }
    await object.journal.sweepBucket()
    await house(object)
    expect([bucket.objects.size, object.store.sql('SELECT * FROM dotdo_value_objects')]).toEqual([0, []])
  })

  test('that is gone from the bucket, or whose bucket is not bound, is an error that names the object', async () => {
    const { bucket, object } = moving()
    await object.call('main', [], 'r')
    await object.journal.sweepBucket()
    bucket.objects.clear()
    await expect(object.journal.result('r')).rejects.toMatchObject({ code: 'VALUE_LOST' })
    object.deploy = {}
    object.evict()
    await expect(object.journal.result('r')).rejects.toMatchObject({ message: expect.stringContaining('DOTDO_RESULTS') as string })
  })
})

test('an object that dies at any point of a move has the same result, moves it in the end, and leaves nothing when its run is gone', async () => {
  let points = 1
  for (let at = 0; at < points; at++) {
    const { bucket, object } = moving()
    await object.call('main', [], 'r')
    let point = 0
    let dies = true
    bucket.before = async () => {
      if (!dies || point++ !== at) return
      dies = false
      object.clock.advance(1)
      object.crash()
      await new Promise(() => {})
    }
    void object.journal.sweepBucket()
    for (let i = 0; i < 40; i++) await settle()
    points = dies ? 0 : at + 2
    dies = false
    expect([at, await object.journal.result('r')]).toEqual([at, text])
    object.clock.advance(60_000)
    await object.journal.sweepBucket()
    expect([at, rowsOf(object), await object.journal.result('r')]).toEqual([at, 0, text])
    await house(object)
    expect([at, bucket.objects.size, object.store.sql('SELECT * FROM dotdo_value_objects')]).toEqual([at, 0, []])
  }
})
