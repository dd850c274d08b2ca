import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { newId } from '../../src/base/ids.ts'
import { defaultRetention, retentionOf } from '../../src/base/retention.ts'
import { Inbox } from '../../src/events/inbox.ts'
import { Outbox } from '../../src/events/outbox.ts'
import { LiveLog } from '../../src/events/live-log.ts'
import { Subscribed } from '../../src/events/subscribed.ts'
import { defaultLimits } from '../../src/events/limits.ts'
import { housekeepingOf } from '../../src/object/housekeeping.ts'
import { CallKeys } from '../../src/rpc/call-keys.ts'
import { Grants } from '../../src/rpc/grants.ts'
import { StepCalls } from '../../src/rpc/step-calls.ts'
import { createAfter, createEvery } from '../../src/schedule/every.ts'
import { Scheduler } from '../../src/schedule/scheduler.ts'
import { settle, TestObject } from '../journal/harness.ts'
import type { ValueBucket } from '../../src/journal/spill.ts'
import { SeededRandom } from '../support/fakes.ts'
import { macOf, sha256 } from '../rpc/grants-world.ts'

const dayMs = 86_400_000

/** Tables whose rows are bounded by their number before they are by time. */
const bounded: Record<string, number> = { dotdo_partitions: 1000 }

/** An object with every room that keeps something, over one store and one clock. */
function everything() {
  const object: TestObject = new TestObject(
    {
      nightly: async (run) => {
        await run.step(() => Array.from({ length: 500 }, (_, i) => ({ i, text: 'some text of a row' })), { stepId: 'extract' })
        await run.step(() => 1, { stepId: 'limited', rateLimit: { key: `night ${run.runId}`, limit: 3, per: '1m' } })
        await run.step(() => object.here.note({ kind: 'read', target: 's3://lake/day' }), { stepId: 'noted' })
        await run.step(() => rows(), { stepId: 'spilled' })
        await run.sleep(1000, { stepId: 'rest' })
        return 'x'.repeat(20_000)
      },
      endless: (run) => run.waitFor('Never.comes', { stepId: 'wait' }),
    },
    { streamRowsBytes: 0 },
  )
  const inBucket = new Set<string>()
  const bucket: ValueBucket = {
    put: async (key) => void inBucket.add(key),
    get: async () => undefined,
    remove: async (prefix) => {
      for (const key of inBucket) if (key.startsWith(prefix)) inBucket.delete(key)
      return false
    },
  }
  object.deploy = { bucket: { of: bucket, prefix: 'results/' } }
  object.crash()
  const { store, clock } = object
  const random = new SeededRandom(3)
  /** Runs that were written and are to be launched. */
  const started: (() => Promise<void>)[] = []
  const scheduler = new Scheduler({
    store,
    clock,
    random,
    runs: {
      start: ({ runId, scheduleId, scheduledAt }) => {
        started.push(async () => {
          const ended = await Promise.allSettled([object.journal.launch(runId)])
          scheduler.ran(scheduleId, scheduledAt, runId, ended[0].status === 'fulfilled' ? 'done' : 'failed')
        })
        object.journal.start({
          runId,
          target: { kind: 'schedule', id: scheduleId, scheduledAt },
          args: ['x'.repeat(9000)],
          tags: ['nightly'],
        })
      },
      statuses: (ids) => object.journal.statuses(ids),
      cancel: (id) => void object.journal.cancel(id),
      list: () => [],
    },
    changed: () => undefined,
    observe: () => undefined,
  })
  const outbox = new Outbox({
    store,
    clock,
    random,
    source: 'Pipeline/main',
    deliver: async (event, handler) => void (await handler.fn(event.payload, event)),
    carry: () => Promise.reject(new Error('nobody answers')),
    open: () => ({ deliver: () => Promise.reject(new Error('no queue')) }) as never,
    sync: async () => store.flush(),
    observe: () => undefined,
    wake: () => undefined,
  })
  const tables = outbox.subscriptionTables
  const ended: string[] = []
  const subscribed = new Subscribed(tables, defaultLimits, {
    clock,
    random,
    ask: () => Promise.resolve(),
    // A source that is gone answers nobody any more.
    end: () => Promise.reject(Object.assign(new Error('gone'), { retryable: true })),
    ended: (id) => void ended.push(id),
  })
  const inbox = new Inbox(tables, {
    clock,
    timer: () => () => undefined,
    sync: async () => store.flush(),
    open: () => () => undefined,
    received: () => undefined,
  })
  const stepCalls = new StepCalls({
    store,
    clock,
    outcomeOf: () => undefined,
    written: () => Number(store.sql('SELECT total_changes() AS n')[0]!['n']),
    digest: (text) => createHash('sha256').update(text).digest('hex'),
  })
  const callKeys = new CallKeys(store, clock)
  const grants = new Grants({
    store,
    clock,
    random,
    sha256,
    mac: macOf('a secret of thirty-two characters'),
    issuer: { noun: 'Pipeline', name: 'main' },
    now: () => clock.now(),
    counter: () => {
      throw new Error('nothing is counted here')
    },
  } as never)
  const rooms = { store, journal: object.journal, scheduler, outbox, exchange: { inbox }, stepCalls, callKeys, issuer: { grants } }
  return {
    object,
    inBucket,
    store,
    clock,
    scheduler,
    outbox,
    subscribed,
    inbox,
    stepCalls,
    callKeys,
    grants,
    started,
    sweeper: housekeepingOf(rooms, clock, { ...defaultRetention, waitingRuns: 60 * dayMs }),
  }
}

async function* rows(): AsyncGenerator<number[]> {
  yield [1, 2, 3]
}

test('a year of nights leaves what a few weeks leave, in every table that there is', { timeout: 120_000 }, async () => {
  const it = everything()
  const { object, store, clock, scheduler, outbox, subscribed, inbox, sweeper } = it
  const declare = scheduler.declare.bind(scheduler)
  createEvery(declare).day.at('2am')(() => undefined, { id: 'nightly' })
  for (let i = 0; i < 3; i++) createAfter(declare)(`${i + 1}h`)(() => undefined, { id: `once ${i}` })
  outbox.subscribe('Night.done', () => undefined)
  outbox.subscribe('Night.failed', () => Promise.reject(new Error('never')), { retries: { limit: 0 } })
  scheduler.settle()
  outbox.settle()
  subscribed.settle()
  const live = new LiveLog(store, clock, false, (then) => then())
  live.watched(true)
  live.add(() => 'told')
  sweeper.settle()
  const counts: Record<string, number[]> = {}
  let slices = 0
  let most = 0

  for (let day = 0; day < 365; day++) {
    clock.advance(dayMs)
    scheduler.due()
    object.begin('nightly', ['x'.repeat(9000)], `night ${day}`)
    if (day % 10 === 0) object.begin('endless', [], `endless ${day}`)
    if (day % 20 === 0) scheduler.handle('nightly').backfill(clock.now() - 3 * dayMs, clock.now() - dayMs)
    outbox.send('Night.done', { day }, day % 2 ? { key: `done ${day}` } : {})
    outbox.send('Night.failed', { day })
    object.receive('Some.thing', { day, text: 'x'.repeat(10_000) })
    object.receive('Other.thing', { day })
    subscribe(it, day)
    const batch = {
      version: 1,
      subscription: `sub_${day % 7}_${Math.floor(day / 40)}`,
      to: { noun: 'Pipeline', name: 'main', handler: 'h' },
      ordered: false,
      floor: day,
      events: [[day, 0, `evt ${day}`, 'A.b', 'j1', clock.now()]],
      skipped: [[day - 1, 0]],
    }
    await inbox.receive(batch as never, 'Orders/eu')
    const call = { key: `night ${day}#call`, since: clock.now(), oldest: 0, caller: 'Other/main' }
    it.stepCalls.make(
      call,
      [],
      () => void store.sql('INSERT INTO effects VALUES (?)', day),
      () => Promise.resolve(),
    )
    await it.callKeys.run(`call ${day}`, undefined, () => Promise.resolve(day))
    it.grants.issue({ path: [['report']], caveats: { until: clock.now() + dayMs } })
    // What a sink that is declared no more has left.
    store.sql(`INSERT OR REPLACE INTO dotdo_sink_batches (lane, seqs) VALUES (?, '[]')`, `gone ${day}`)
    const launched = it.started.splice(0).map((launch) => launch())
    await object.advance(20_000)
    await Promise.all(launched)
    await outbox.pump()
    await subscribed.pump()
    await settle()
    for (let slice = 0; sweeper.nextWakeMs() === null || sweeper.nextWakeMs()! <= clock.now(); slice++) {
      if (sweeper.nextWakeMs() === null) sweeper.kept()
      const before = store.statements
      sweeper.run()
      await object.journal.sweepBucket()
      most = Math.max(most, store.statements - before)
      slices++
      expect(slice).toBeLessThan(50)
    }
    store.flush()
    const names = store.sql<{ name: string }>(`SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'dotdo_%'`)
    for (const { name } of names)
      (counts[name] ??= Array.from({ length: day }, () => 0)).push(Number(store.sql(`SELECT count(*) AS n FROM ${name}`)[0]!.n))
  }

  // What the index has of all objects is bounded by its own tests: test/fleet.
  const isOther = (table: string, rule: string) => rule === 'own' || table.startsWith('dotdo_fleet_')
  const ofObjects = Object.entries(retentionOf).flatMap(([table, rule]) => (isOther(table, rule) ? [] : [table]))
  expect(Object.keys(counts).sort()).toEqual(ofObjects.sort())
  for (const [table, days] of Object.entries(counts)) {
    expect(Math.max(...days), `${table} was never used`).toBeGreaterThan(0)
    const early = bounded[table] ?? Math.max(...days.slice(90, 200)) * 1.05 + 2
    expect(Math.max(...days.slice(200)), `${table}: ${days.filter((_, day) => day % 30 === 0).join(' ')}`).toBeLessThanOrEqual(early)
  }
  // What nobody ever said a word of is over too, and says why.
  const endless = object.journal.runs({ limit: 500 }).filter(({ runId }) => runId.startsWith('endless'))
  expect(endless.map(({ status, error }) => error?.code ?? status)).toEqual([...Array(6).fill('running'), ...Array(3).fill('RUN_EXPIRED')])
  expect(slices).toBeLessThan(365 * 4)
  // From here on nobody calls: the object is woken for what is over, and then no more.
  let wakes = 0
  for (let at = sweeper.nextWakeMs(); at !== null && wakes < 1000; at = sweeper.nextWakeMs(), wakes++) {
    clock.ms = Math.max(clock.ms, at)
    sweeper.run()
    await object.journal.sweepBucket()
  }
  expect(it.inBucket.size).toBe(0)
  expect(sweeper.nextWakeMs()).toBeNull()
  for (const table of [
    'dotdo_grants',
    'dotdo_step_calls',
    'dotdo_calls',
    'dotdo_dead_letters',
    'dotdo_inbox_events',
    'dotdo_backfills',
    'dotdo_runs',
    'dotdo_steps',
  ])
    expect(store.sql(`SELECT count(*) AS n FROM ${table}`)[0], table).toEqual({ n: 0 })
  expect(most).toBeLessThan(2500)
})

/** Somebody subscribes now and then and is never heard of again; and this object subscribes elsewhere, and thinks better of it. */
function subscribe({ outbox, subscribed, store, clock }: ReturnType<typeof everything>, day: number): void {
  if (day === 0) store.sql('CREATE TABLE effects (day INTEGER)')
  if (day % 15 !== 0) return
  const retries = { limit: 0, delayMs: 1000, backoff: 'constant' } as const
  outbox.put(
    {
      version: 1,
      id: newId('sub', clock, new SeededRandom(day)),
      pattern: 'Night.done',
      to: { noun: 'Other', name: `o${day}`, method: 'take' },
      ordered: true,
      retries,
    } as never,
    'Other/main',
  )
  store.sql('UPDATE dotdo_subscriptions SET suspended_at = ? WHERE suspended_at IS NULL', clock.now())
  const { id } = subscribed.bind({ noun: 'Orders', name: `eu ${day}` }, 'Order.paid', { noun: 'Pipeline', name: 'main', method: 'take' })
  if (day > 0) subscribed.unsubscribe(id)
}
