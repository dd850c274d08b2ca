import { beforeEach, describe, expect, test } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import type { FleetAlert, FleetAlertQuery, FleetRunQuery, FleetTimeQuery, RunHead } from '../../src/base/fleet-views.ts'
import type { DeadLetter, ScheduleView } from '../../src/base/views.ts'
import type { AlertPayload } from '../../src/fleet/alerts.ts'
import type { Fact, FactBatch } from '../../src/fleet/facts.ts'
import { defaultFleetLimits } from '../../src/fleet/limits.ts'
import { list, merge, readQuery } from '../../src/fleet/lists.ts'
import type { AlertRule } from '../../src/fleet/rules.ts'
import { readRule, recipientOf } from '../../src/fleet/rules.ts'
import { Shard, type ShardPorts } from '../../src/fleet/shard.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

const dayMs = 86_400_000
const hourMs = 3_600_000
let store: SqliteStore
let clock: ManualClock
let told: [event: string, to: string, text: string][]
let asked: string[]
let v: number
beforeEach(() => {
  store = new SqliteStore()
  clock = new ManualClock()
  told = []
  asked = []
  v = 0
})

function open(rules: AlertRule[] = [], more: Partial<ShardPorts> = {}): Shard {
  return new Shard({
    store,
    clock,
    rules,
    ask: (object) => (asked.push(object), Promise.resolve()),
    askAll: () => Promise.resolve(),
    owe: (to, event, { text }: AlertPayload) =>
      void told.push([event, 'object' in to ? to.object : 'chat' in to ? to.chat : to.webhook, text]),
    wake: () => undefined,
    ...more,
  })
}

const tell = (shard: Shard, facts: Fact[], object = 'Load/a', more: Partial<FactBatch> = {}) =>
  shard.receive({ version: 1, object, facts, ...more }, object)
const runFact = (id: string, change: Partial<RunHead> = {}): Fact => {
  const value: RunHead = {
    runId: id,
    target: { kind: 'method', name: 'load' },
    status: 'done',
    attempt: 1,
    startedAt: clock.now(),
    ...change,
  }
  if (value.status !== 'running') value.endedAt ??= clock.now()
  return { kind: 'run', id, v: ++v, value }
}
const instantRun = (at: number, status: RunHead['status']): Fact =>
  runFact(`s@${new Date(at).toISOString()}`, { target: { kind: 'schedule', id: 's', scheduledAt: at }, status, startedAt: at })
const schedule = (next: number, change: Partial<ScheduleView> = {}): Fact => {
  const value = { scheduleId: 's', pattern: 'every hour', timeZone: 'UTC', paused: false, next: [next], ...change }
  return { kind: 'schedule', id: 's', v: ++v, value }
}
const letter = (n: number): DeadLetter => ({
  id: `evt_${n}:print`,
  eventId: `evt_${n}`,
  eventType: 'Order.paid',
  handler: 'print',
  attempts: 1,
  error: { name: 'Error', message: 'no paper', code: 'NO_PAPER' },
  sentAt: 0,
  diedAt: n,
  payload: { text: '{}', sizeBytes: 2 },
})
const letters = (...newest: DeadLetter[]): Fact => ({ kind: 'letters', id: '', v: ++v, value: { total: newest.length, newest } })
const ids = (query: FleetRunQuery = {}) => list(store, readQuery('runs', query)).map(({ item }) => item.run.runId)
const ops = { object: 'Ops/main' }

describe('a list', () => {
  test('is the same by pages of any size, over any number of shards, as it is in one piece', () => {
    const random = new SeededRandom(5)
    const stores = [0, 1, 2].map(() => new SqliteStore())
    const all: string[] = []
    for (const [index, one] of stores.entries()) {
      store = one
      const shard = open()
      for (let i = 0; i < 20; i++) {
        // Many of one instant, with names that sort differently by units and by code points.
        const object = `Load/${['a', 'b', '😀', '\uffee'][random.below(4)]!}${index}`
        tell(shard, [runFact(`r${i}`, { startedAt: random.below(5), status: 'done' })], object)
        all.push(`${object} r${i}`)
      }
    }
    const read = (limit: number) => {
      const found: string[] = []
      for (let after: string | undefined; ;) {
        const asked = readQuery('runs', { limit, ...(after !== undefined && { after }) })
        const page = merge(
          'runs',
          limit,
          stores.map((one) => list(one, asked)),
        )
        found.push(...page.items.map(({ object, run }) => `${object} ${run.runId}`))
        if (page.next === undefined) return found
        after = page.next
      }
    }
    const whole = read(500)
    expect(whole.toSorted()).toEqual(all.toSorted())
    for (const limit of [1, 3, 7, 60]) expect(read(limit)).toEqual(whole)
  })

  test('is narrowed by state, noun, object, subject, tag and time, together', () => {
    const shard = open()
    tell(shard, [runFact('1', { startedAt: 10, tags: ['x', 'y'] }), runFact('2', { startedAt: 20, status: 'failed', tags: ['x'] })])
    tell(shard, [runFact('3', { startedAt: 30, tags: ['x'] })], 'Report/a')
    expect(ids()).toEqual(['3', '2', '1'])
    expect(ids({ tag: 'x' })).toEqual(['3', '2', '1'])
    expect(ids({ tag: 'x', noun: 'Load', limit: 1 })).toEqual(['2', '1'])
    expect(ids({ tag: 'y' })).toEqual(['1'])
    expect(ids({ state: 'failed' })).toEqual(['2'])
    expect(ids({ since: 20, until: 30 })).toEqual(['2'])
    expect(ids({ tag: 'x', since: 20, until: 31 })).toEqual(['3', '2'])
    expect(ids({ object: 'Report/a', subject: 'load', kind: 'method' })).toEqual(['3'])
  })

  test('of alerts and dead letters is narrowed by time: when they were opened, and when they died', () => {
    const shard = open([])
    const from = clock.now()
    for (const method of ['a', 'b', 'c']) {
      tell(shard, [runFact(method, { target: { kind: 'method', name: method }, status: 'failed' })])
      clock.advance(hourMs)
    }
    const opened = (query: FleetAlertQuery) => list(store, readQuery('alerts', query)).map(({ item }) => item.subject.id)
    expect(opened({ since: from + hourMs })).toEqual(['c', 'b'])
    expect(opened({ state: 'open', until: from + hourMs })).toEqual(['a'])
    tell(shard, [letters(letter(3), letter(2), letter(1))])
    const died = (query: FleetTimeQuery) => list(store, readQuery('letters', query)).map(({ item }) => item.letter.diedAt)
    expect(died({ since: 2, until: 3 })).toEqual([2])
    expect(() => readQuery('schedules', { since: 1 })).toThrow(expect.objectContaining({ code: 'FLEET_QUERY_INVALID' }))
  })
})

describe('what is over', () => {
  test('goes after 30 days, with its tags, and the objects of which nothing else is known; what goes on stays', async () => {
    const shard = open()
    tell(shard, [runFact('old', { tags: ['t'] }), runFact('open', { status: 'running' })])
    tell(shard, [runFact('other')], 'Load/gone')
    clock.advance(31 * dayMs)
    for (let bite = 0; bite < 3; bite++) await shard.due()
    expect(ids()).toEqual(['open'])
    expect(store.sql('SELECT * FROM dotdo_fleet_tags')).toEqual([])
    expect(list(store, readQuery('objects', {})).map(({ item }) => item.object)).toEqual(['Load/a'])
    expect(shard.nextWakeMs()).toBeGreaterThan(clock.now())
  })

  test('goes sooner where there is too much of it, the oldest that has ended first', async () => {
    const shard = open([], { limits: { runs: 3 } })
    for (let i = 0; i < 6; i++) tell(shard, [runFact(`r${i}`, { startedAt: i, status: i === 0 ? 'running' : 'done' })])
    clock.advance(2 * dayMs)
    await shard.due()
    expect(ids()).toEqual(['r5', 'r4', 'r0'])
  })

  test('makes room at once where much comes in one day, the oldest that have ended first, and then the oldest that go on', async () => {
    const shard = open([], { limits: { runs: 10 } })
    const some = (from: number, n: number, status: RunHead['status']) =>
      tell(
        shard,
        Array.from({ length: n }, (_, i) => runFact(`r${from + i}`, { startedAt: from + i, status })),
      )
    some(0, 8, 'running')
    some(8, 500, 'done')
    expect(shard.nextWakeMs()).toBeGreaterThan(clock.now())
    some(508, 4, 'done')
    expect(shard.nextWakeMs()).toBeLessThanOrEqual(clock.now())
    await shard.due()
    await shard.due()
    expect(ids({ limit: 500 })).toEqual(['r511', 'r510', 'r7', 'r6', 'r5', 'r4', 'r3', 'r2', 'r1', 'r0'])
    expect(shard.nextWakeMs()).toBeGreaterThan(clock.now())
    // The same after a start, where nothing is counted yet, and where there are too many of those that go on.
    const again = open([], { limits: { runs: 2 } })
    clock.advance(2 * dayMs)
    await again.due()
    expect(ids()).toEqual(['r7', 'r6'])
  })

  test('goes whole with an object that has moved, and nothing of another', () => {
    const shard = open([], { limits: { schedules: 2 } })
    for (const object of ['Load/a', 'Load/b']) tell(shard, [runFact('1', { tags: ['x', 'y'] }), schedule(1)], object)
    tell(shard, [], 'Load/a', { moved: true })
    expect(store.sql('SELECT count(*) AS n FROM dotdo_fleet_tags')).toEqual([{ n: 2 }])
    expect(ids({ tag: 'x' })).toEqual(['1'])
    expect(list(store, readQuery('objects', {})).map(({ item }) => item.object)).toEqual(['Load/b'])
    // Its schedule has made room for one more, and for no two.
    tell(shard, [schedule(1)], 'Load/c')
    expect(() => tell(shard, [schedule(1)], 'Load/d')).toThrow(expect.objectContaining({ code: 'FLEET_FULL' }))
    // What was refused counts for nothing.
    tell(shard, [{ kind: 'schedule', id: 's', v: ++v }], 'Load/c')
    tell(shard, [schedule(1)], 'Load/d')
  })

  test('goes with a rebuild where the app has its class no more, and stays where an object only fails', async () => {
    const askAll = (object: string) => {
      if (object === 'Load/c') return Promise.reject(new Error('no answer within 10 s'))
      return object.startsWith('Old/') ? Promise.reject(new DotdoError('NOUN_UNKNOWN', 'There is no noun "Old".')) : Promise.resolve()
    }
    const late = readRule({ on: 'late', deadline: '1h', to: ops })
    const shard = open([late], { askAll })
    for (const object of ['Load/a', 'Load/c', 'Old/b']) tell(shard, [runFact('1', { tags: ['x'] }), schedule(clock.now() + hourMs)], object)
    shard.rebuild()
    await shard.due()
    expect(shard.rebuilding).toMatchObject({ status: 'done', asked: 3, failed: 2, error: { object: 'Old/b' } })
    expect(list(store, readQuery('objects', {})).map(({ item }) => item.object)).toEqual(['Load/a', 'Load/c'])
    expect(ids({ tag: 'x' })).toEqual(['1', '1'])
    clock.advance(dayMs)
    await shard.due()
    expect(told.map(([, , text]) => text.includes('Old'))).toEqual([false, false])
  })

  test('has no place for more schedules than it takes, and says so', () => {
    const shard = open([], { limits: { schedules: 1 } })
    tell(shard, [schedule(1)])
    expect(() => tell(shard, [schedule(1)], 'Load/b')).toThrow(expect.objectContaining({ code: 'FLEET_FULL', retryable: true }))
    // The whole message is as if it had not come.
    expect(list(store, readQuery('objects', {}))).toHaveLength(1)
  })
})

describe('an alert', () => {
  test('is told once while it goes on, again after a day, and its end once', () => {
    const shard = open([readRule({ on: 'failed', to: ops }), readRule({ on: 'recovered', to: ops })])
    for (let i = 0; i < 3; i++) tell(shard, [runFact(`r${i}`, { status: 'failed', error: { name: 'E', message: 'gone' } })])
    clock.advance(dayMs)
    tell(shard, [runFact('r4', { status: 'failed' })])
    clock.advance(hourMs)
    tell(shard, [runFact('r5')])
    tell(shard, [runFact('r6')])
    expect(told.map(([event, , text]) => [event, text])).toEqual([
      ['failed', 'load() of Load/a failed. gone'],
      ['failed', 'load() of Load/a failed, 4 times since 2026-01-01T00:00Z. It failed.'],
      ['recovered', 'load() of Load/a is well again, 1 d 1 h after it failed.'],
    ])
  })

  test('goes to those whose rules mean it: of the app, of the object, of one noun, of one schedule', () => {
    const shard = open([
      readRule({ on: 'failed', to: { chat: 'ALL' } }),
      readRule({ on: 'failed', to: { chat: 'REPORTS' }, noun: 'Report' }),
    ])
    const own: AlertRule[] = [{ on: 'failed', to: { chat: 'S' }, schedule: 's' }]
    tell(shard, [{ kind: 'alerts', id: '', v: ++v, value: own }, instantRun(clock.now(), 'failed')])
    expect(told.map(([, to]) => to).sort()).toEqual(['ALL', 'S'])
    tell(shard, [runFact('m', { status: 'failed' })])
    expect(told.slice(2).map(([, to]) => to)).toEqual(['ALL'])
    tell(shard, [runFact('m', { status: 'failed' })], 'Report/a')
    expect(
      told
        .slice(3)
        .map(([, to]) => to)
        .sort(),
    ).toEqual(['ALL', 'REPORTS'])
  })

  test('has whom nobody could tell, by its host alone, until it goes itself; an alert that is gone takes nothing more', () => {
    const to = { webhook: 'https://hooks.example.com:8443/secret?key=1', secret: 'HOOK' }
    const shard = open([readRule({ on: 'failed', to })])
    tell(shard, [runFact('1', { status: 'failed', error: { name: 'Error', message: 'no' } })])
    const alerts = (): FleetAlert[] => list(store, readQuery('alerts', {})).map(({ item }) => item)
    const before = alerts()[0]!
    clock.advance(1000)
    shard.untold(before.alertId, to, { code: 'WEBHOOK_REFUSED', message: 'x'.repeat(1000) })
    const untold = { to: 'webhook hooks.example.com:8443', at: clock.now(), error: { code: 'WEBHOOK_REFUSED', message: 'x'.repeat(500) } }
    expect(alerts()).toEqual([{ ...before, untold }])
    shard.untold(before.alertId + 1, to, { message: 'no such alert' })
    // Nobody is told of it: it is no news of the object.
    expect(told).toHaveLength(1)
    expect([recipientOf({ chat: 'OPS' }), recipientOf(ops)]).toEqual(['chat OPS', 'object Ops/main'])
  })

  test('of events is for dead letters, not for attempts, and is over when none of the handler is left', () => {
    const shard = open([readRule({ on: 'failed', to: ops }), readRule({ on: 'recovered', to: ops })])
    tell(shard, [runFact('e', { target: { kind: 'event', type: 'Order.paid', handler: 'print' }, status: 'failed' })])
    expect(told).toEqual([])
    tell(shard, [letters(letter(2), letter(1))])
    tell(shard, [letters(letter(2))])
    expect(told.map(([event]) => event)).toEqual(['failed'])
    tell(shard, [letters()])
    expect(told.map(([event]) => event)).toEqual(['failed', 'recovered'])
  })

  test('of a handler whose letters are more than are told is not over, as long as nobody knows whose the others are', () => {
    const shard = open([readRule({ on: 'recovered', to: ops })])
    tell(shard, [letters(letter(1))])
    const others = Array.from({ length: 50 }, (_, i) => ({ ...letter(i + 2), id: `evt_${i + 2}:post`, handler: 'post' }))
    tell(shard, [{ kind: 'letters', id: '', v: ++v, value: { total: 51, newest: others } }])
    expect(told).toEqual([])
    tell(shard, [{ kind: 'letters', id: '', v: ++v, value: { total: 50, newest: others } }])
    expect(told).toEqual([['recovered', 'Ops/main', expect.stringContaining("'print' of Load/a is well again")]])
  })

  test('is told of a run that a deploy holds, once, until one of the same goes well', () => {
    const shard = open([readRule({ on: 'failed', to: ops }), readRule({ on: 'recovered', to: ops })])
    const error = { name: 'DotdoError', code: 'RUN_HELD', message: "Run 'm' is in flight." }
    tell(shard, [runFact('m', { status: 'running' })])
    for (let i = 0; i < 2; i++) tell(shard, [runFact('m', { status: 'held', error })])
    expect(told.map(([event, , text]) => [event, text])).toEqual([
      ['failed', "load() of Load/a is held, and waits for an answer. RUN_HELD: Run 'm' is in flight."],
    ])
    clock.ms += 3_600_000
    tell(shard, [runFact('m', { status: 'running' }), runFact('m', { status: 'done', endedAt: clock.now() })])
    expect(told.map(([event]) => event)).toEqual(['failed', 'recovered'])
    // Told anew, it wakes nobody.
    tell(shard, [{ ...runFact('old', { status: 'held', error }), retold: true } as Fact])
    expect(told).toHaveLength(2)
  })

  test('of a schedule is not over by another window that a backfill covers, but by the window that failed', () => {
    const shard = open([readRule({ on: 'failed', to: ops }), readRule({ on: 'recovered', to: ops })])
    const day = (n: number) => clock.now() - n * dayMs
    const [fifth, first, second, third] = [day(5), day(3), day(2), day(1)]
    const again = (at: number, status: RunHead['status'], nth: number) =>
      runFact(`s@${new Date(at).toISOString()}#${nth}`, { target: { kind: 'schedule', id: 's', scheduledAt: at }, status })
    const ended = (at: number, status: RunHead['status']) =>
      runFact(`s@${new Date(at).toISOString()}`, { target: { kind: 'schedule', id: 's', scheduledAt: at }, status })
    const after = (...facts: Fact[]) => {
      tell(shard, facts)
      clock.ms += 1000
      return told.map(([event]) => event).join()
    }
    expect(after(ended(first, 'done'), ended(second, 'failed'), ended(third, 'done'))).toBe('failed')
    expect(after(again(first, 'failed', 2))).toBe('failed')
    expect(after(again(third, 'done', 2))).toBe('failed')
    // Of two windows that failed, one is done.
    expect(after(again(second, 'done', 2))).toBe('failed')
    expect(after(again(first, 'done', 3))).toBe('failed,recovered')
    // The same, where the one whose own run is done comes last.
    expect(after(ended(fifth, 'failed'), again(first, 'failed', 4), again(first, 'done', 5))).toBe('failed,recovered,failed')
    expect(after(again(third, 'done', 3))).toBe('failed,recovered,failed')
    expect(after(again(fifth, 'done', 2))).toBe('failed,recovered,failed,recovered')
  })

  test('of a schedule is over when an instant that came after the failure has gone well, by itself or by hand', () => {
    const shard = open([readRule({ on: 'recovered', to: ops })])
    const byHand = (status: RunHead['status']) =>
      runFact(`s@${new Date(clock.now()).toISOString()}!manual_${v}`, {
        target: { kind: 'schedule', id: 's', scheduledAt: clock.now() },
        status,
      })
    for (const [failing, well] of [
      [() => instantRun(clock.now(), 'failed'), () => instantRun(clock.now(), 'done')],
      [() => byHand('failed'), () => byHand('done')],
      [() => byHand('failed'), () => instantRun(clock.now(), 'done')],
      [() => instantRun(clock.now(), 'held'), () => byHand('done')],
    ] as const) {
      const before = told.length
      tell(shard, [failing()])
      clock.ms += 60_000
      // An earlier instant that a backfill covers is none of those.
      tell(shard, [{ ...instantRun(clock.now() - hourMs, 'done') }])
      expect(told).toHaveLength(before)
      tell(shard, [well()])
      expect(told).toHaveLength(before + 1)
      clock.ms += 60_000
    }
  })

  test('of a run that is held is for handlers, methods and schedules alike, and over when none of the same is held any more', () => {
    const shard = open([readRule({ on: 'failed', to: ops }), readRule({ on: 'recovered', to: ops })])
    const error = { name: 'DotdoError', code: 'RUN_HELD', message: 'In flight.' }
    const event = { kind: 'event', type: 'Order.paid', handler: 'print' } as const
    const of = (id: string, target: RunHead['target'], status: RunHead['status']) =>
      tell(shard, [runFact(id, { target, status, ...(status === 'held' && { error }) })])
    for (const target of [event, { kind: 'method', name: 'load' }, { kind: 'schedule', id: 's', scheduledAt: 0 }] as const) {
      told.length = 0
      for (const id of ['1', '2']) of(`${target.kind}${id}`, target, 'held')
      // The handler has no letters: that says nothing of its runs.
      tell(shard, [letters()])
      of(`${target.kind}1`, target, 'running')
      expect(told.map(([name]) => name)).toEqual(['failed'])
      of(`${target.kind}2`, target, target.kind === 'event' ? 'failed' : 'cancelled')
      expect(told.map(([name]) => name)).toEqual(['failed', 'recovered'])
      expect(told[1]![2]).toMatch(/ of Load\/a is held no more, 0 s after it was\.$/)
    }
  })

  test('of what has failed is not over because a run of the same was held, and is held no more', () => {
    const shard = open([readRule({ on: 'recovered', to: ops })])
    const error = { name: 'DotdoError', code: 'RUN_HELD', message: 'In flight.' }
    tell(shard, [runFact('a', { status: 'failed' }), runFact('b', { status: 'held', error })])
    tell(shard, [runFact('b', { status: 'running' })])
    expect(told).toEqual([])
    tell(shard, [runFact('b')])
    expect(told.map(([name]) => name)).toEqual(['recovered'])
  })

  test('is nobody told of because of a fork, or because everything is told anew', () => {
    const shard = open([readRule({ on: 'failed', to: ops })])
    tell(shard, [runFact('fork', { status: 'failed', forkedFrom: { runId: 'r' } })])
    tell(shard, [{ ...runFact('old', { status: 'failed' }), retold: true } as Fact])
    expect(told).toEqual([])
  })
})

describe('what is late', () => {
  const rules = () => [
    readRule({ on: 'late', deadline: '10m', to: { chat: 'TEAM' } }),
    readRule({ on: 'late', deadline: '1h', to: { chat: 'BOSS' } }),
    readRule({ on: 'recovered', to: { chat: 'TEAM' } }),
  ]
  const pass = async (shard: Shard, ms: number) => {
    for (const end = clock.now() + ms; clock.now() < end; clock.advance(60_000))
      if ((shard.nextWakeMs() ?? Infinity) <= clock.now()) await shard.due()
  }

  test('is told at each deadline, to those who asked for it, once for all instants that follow, and its end once', async () => {
    const shard = open(rules())
    const grace = defaultFleetLimits.graceMs
    const instant = clock.now() + hourMs
    tell(shard, [schedule(instant)])
    await pass(shard, 1.5 * hourMs)
    // Nobody looks again before the next deadline, and behind the last one for no deadline at all.
    expect([told.length, shard.nextWakeMs()]).toEqual([1, instant + hourMs + grace])
    await pass(shard, 3.5 * hourMs)
    expect(shard.nextWakeMs()).toBeGreaterThan(clock.now() + 10 * hourMs)
    expect(told.map(([event, to]) => `${event} ${to}`)).toEqual(['late TEAM', 'late BOSS'])
    expect(asked).toContain('Load/a')
    expect(told[0]![2]).toBe("The schedule 's' of Load/a is late: its run of 2026-01-01T01:00Z is not done 10 min later. No run has begun.")
    // One run for the last of the instants that were missed.
    tell(shard, [instantRun(clock.now() - hourMs, 'done'), schedule(clock.now() + hourMs)])
    expect(told.slice(2).map(([event, to]) => `${event} ${to}`)).toEqual(['recovered TEAM'])
    await pass(shard, hourMs)
    expect(told).toHaveLength(3)
  })

  test('is a run that still runs, and one that has failed; not what was done, cancelled, paused or begun by hand', async () => {
    const shard = open(rules())
    const now = clock.now()
    tell(shard, [schedule(now + 10 * hourMs), instantRun(now, 'running')])
    tell(shard, [schedule(now + 10 * hourMs), instantRun(now, 'failed')], 'Load/b')
    tell(shard, [schedule(now + 10 * hourMs), instantRun(now, 'done')], 'Load/c')
    tell(shard, [schedule(now + 10 * hourMs), instantRun(now, 'cancelled')], 'Load/d')
    tell(shard, [schedule(now, { paused: true })], 'Load/e')
    tell(
      shard,
      [schedule(now + 10 * hourMs), runFact('s@hand!1', { target: { kind: 'schedule', id: 's', scheduledAt: now }, status: 'running' })],
      'Load/f',
    )
    await pass(shard, 20 * 60_000)
    expect(told.map(([, , text]) => /of (\S+) is late/.exec(text)![1]!).sort()).toEqual(['Load/a', 'Load/b'])
  })

  test('is over where the schedule is no more, and nobody is told', async () => {
    const shard = open(rules())
    tell(shard, [schedule(clock.now())])
    await pass(shard, 20 * 60_000)
    tell(shard, [{ kind: 'schedule', id: 's', v: ++v }])
    await pass(shard, 5 * hourMs)
    expect(told.map(([event]) => event)).toEqual(['late'])
    expect(list(store, readQuery('alerts', { state: 'open' }))).toEqual([])
  })

  test('is looked for anew when the rules of the app change with its code', async () => {
    tell(open(), [schedule(clock.now())])
    expect(open().nextWakeMs()).toBe(clock.now() + dayMs)
    expect(open(rules()).nextWakeMs()).toBe(clock.now() + 600_000 + 15_000)
  })
})

test.each([
  [{ on: 'late', to: ops }, 'a deadline belongs'],
  [{ on: 'failed', deadline: '1h', to: ops }, 'a deadline belongs'],
  [{ on: 'broken', to: ops }, "on is 'failed'"],
  [{ on: 'failed', to: { object: 'ops' } }, 'it goes to'],
  [{ on: 'failed', to: { chat: 'A', object: 'Ops/main' } }, 'it goes to'],
  [{ on: 'failed', to: ops, shedule: 's' }, 'there is no option "shedule"'],
])('the rule %j is refused: %s', (rule, reason) => {
  expect(() => readRule(rule as never)).toThrow(
    expect.objectContaining({ code: 'ALERT_INVALID', message: expect.stringContaining(reason) as string }),
  )
})

test('a rule whose target may take a time that is none is refused where it is written', () => {
  const rule = (timeout: unknown) => ({ on: 'failed', to: { chat: 'OPS', timeout } }) as never
  for (const timeout of ['soon', '-1s', null])
    expect(() => readRule(rule(timeout))).toThrow(expect.objectContaining({ code: 'INVALID_DURATION' }))
  expect(readRule(rule('5s'))).toMatchObject({ to: { chat: 'OPS', timeout: '5s' } })
})
