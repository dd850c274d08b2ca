/** What an object remembers of its live events, for watchers that come back. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { keepMs, LiveLog } from '../../src/events/live-log.ts'
import { ManualClock } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

function object() {
  const clock = new ManualClock()
  let store = new SqliteStore()
  const turns: (() => void)[] = []
  const open = (isWatched: boolean) => new LiveLog(store, clock, isWatched, (then) => void turns.push(then))
  let log = open(false)
  return {
    clock,
    get log() {
      return log
    },
    get store() {
      return store
    },
    /** One turn of the object: what happened in it, then what commits with it. */
    turn(events: number) {
      const texts = Array.from({ length: events }, () => log.add((seq) => `event ${seq}`))
      for (const then of turns.splice(0)) then()
      store.flush()
      return texts
    },
    evict(isWatched: boolean) {
      store.flush()
      store.crash()
      store = store.reopen()
      turns.length = 0
      log = open(isWatched)
    },
  }
}

describe('numbers', () => {
  test('have no gaps while somebody watches, over an eviction too', () => {
    const it = object()
    it.log.watched(true)
    const { seq } = it.log.since(undefined)
    expect(it.turn(2)).toEqual([`event ${seq + 1}`, `event ${seq + 2}`])
    it.clock.advance(60_000)
    it.evict(true)
    expect(it.turn(1)).toEqual([`event ${seq + 3}`])
  })

  test('have no gaps for ten minutes after the last watcher left, and jump ahead later', () => {
    const it = object()
    it.log.watched(true)
    const { seq } = it.log.since(undefined)
    it.log.watched(false)
    it.turn(1)
    it.clock.advance(keepMs - 1)
    it.evict(false)
    expect(it.log.since(seq + 1)).toEqual({ seq: seq + 1, missed: [] })
    it.turn(1)
    it.clock.advance(keepMs + 1)
    it.evict(false)
    expect(it.log.since(undefined).seq).toBeGreaterThan(seq + 2)
  })

  test('are stored only where somebody may want them, once a turn', () => {
    const it = object()
    expect(it.turn(5)).toEqual([undefined, undefined, undefined, undefined, undefined])
    expect(it.store.sql(`SELECT name FROM sqlite_master WHERE name LIKE 'dotdo%'`)).toEqual([])
    it.log.watched(true)
    const before = it.store.statements
    it.turn(100)
    expect(it.store.statements - before).toBe(1)
  })
})

describe('what was missed', () => {
  test('is handed over in its order, and nothing where nothing was', () => {
    const it = object()
    it.log.watched(true)
    const { seq } = it.log.since(undefined)
    it.turn(3)
    expect(it.log.since(seq + 1)).toEqual({ seq: seq + 1, missed: [`event ${seq + 2}`, `event ${seq + 3}`] })
    expect(it.log.since(seq + 3)).toEqual({ seq: seq + 3, missed: [] })
  })

  test('is not there after an eviction, and the watcher learns that something was', () => {
    const it = object()
    it.log.watched(true)
    const { seq } = it.log.since(undefined)
    it.turn(3)
    it.evict(false)
    expect(it.log.since(seq + 1)).toEqual({ seq: seq + 3, missed: [] })
    // Who has seen all of it has missed nothing.
    expect(it.log.since(seq + 3)).toEqual({ seq: seq + 3, missed: [] })
  })

  test.each([[NaN], [-1], [1e300], [0.5], [Number.MAX_SAFE_INTEGER]])('since %d is nothing that an object could know', (seen) => {
    const it = object()
    it.log.watched(true)
    it.turn(3)
    expect(it.log.since(seen)).toEqual({ seq: it.log.since(undefined).seq, missed: [] })
  })

  test('is bounded in number and in size, the newest stay', () => {
    const it = object()
    it.log.watched(true)
    it.turn(1000)
    const { seq } = it.log.since(undefined)
    expect(it.log.since(seq - 256).missed).toHaveLength(256)
    expect(it.log.since(seq - 257)).toEqual({ seq, missed: [] })
    for (let i = 0; i < 10; i++) it.log.add(() => 'x'.repeat(100_000))
    expect(it.log.since(seq + 5).missed).toHaveLength(5)
    expect(it.log.since(seq + 4)).toEqual({ seq: seq + 10, missed: [] })
  })
})

test('whatever happens, a watcher that comes back has seen every event, or knows that it has not', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('turn' as const), events: fc.nat(5) }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'come' as const }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'leave' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'evict' as const }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(keepMs * 2) }) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const it = object()
      let here = false
      let last: number | undefined
      /** Events that happened since the watcher has seen everything. */
      let unseen = 0
      for (const step of steps) {
        if (step.kind === 'turn') {
          it.clock.advance(1)
          const texts = it.turn(step.events)
          if (here) for (const text of texts) expect(text).toBe(`event ${++last!}`)
          else unseen += step.events
        } else if (step.kind === 'come' && !here) {
          it.log.watched(true)
          const { seq, missed } = it.log.since(last)
          const told = last !== undefined && seq === last
          if (told) expect(missed).toHaveLength(unseen)
          for (const [i, text] of missed.entries()) expect(text).toBe(`event ${seq + i + 1}`)
          last = seq + missed.length
          unseen = 0
          here = true
          it.store.flush()
        } else if (step.kind === 'leave' && here) {
          it.log.watched(false)
          it.store.flush()
          here = false
        } else if (step.kind === 'evict') it.evict(here)
        else if (step.kind === 'wait') it.clock.advance(step.ms)
      }
    }),
    { numRuns: 1000 },
  )
})
