/** Every block of the seed that is a fragment, run as it stands. */
import { env, exports } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'
import { Links } from '../../packages/dotdo/src/object/nouns.ts'
import { linkPorts } from '../../packages/dotdo/src/object/platform.ts'
import { extract as extractEvents, transform } from './etl.ts'
import { fanout } from './fanout.ts'
import { iceberg } from './table.ts'

const bucket = (env as unknown as { R2_BUCKET: R2Bucket }).R2_BUCKET
const open = () => new Links(linkPorts('test', () => {}))
// oxlint-disable-next-line typescript/no-explicit-any
const stub = (noun: string, name: string, links = open()): any => links.user(noun, name)
// oxlint-disable-next-line typescript/no-explicit-any
const inspector = (noun: string, name: string): any => open().inspector(noun, name)

async function until<T>(read: () => PromiseLike<T>, done: (value: T) => boolean): Promise<T> {
  for (let i = 0; ; i++) {
    const value = await read()
    if (done(value) || i > 400) return value
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('The Solution: a schedule extracts, transforms and loads', async () => {
  await bucket.put('events/1.json', JSON.stringify([{ ts: 1_000, user: 'ANN', action: 'click' }, { ts: 2_000, action: 'nobody' }, { ts: 3_000, user: 'Bob', action: 'view', meta: { page: '/' } }]))
  const [schedule] = await inspector('Solution', 'main').schedules()
  expect(schedule.pattern).toContain('02:00')
  const runId = await inspector('Solution', 'main').trigger(schedule.scheduleId)
  const run = await until(() => inspector('Solution', 'main').run(runId) as PromiseLike<{ status: string; error?: unknown }>, (it) => it.status !== 'running')
  expect(run).toMatchObject({ status: 'done' })
  expect(await iceberg.snapshot()).toMatchObject({ table: 'seed.events', rows: 2 })
})

test('Extract-Transform-Load: fetch of a prefix is one JSON array of all below', async () => {
  await bucket.put('events/1.json', JSON.stringify([{ ts: 1_000, user: 'ANN', action: 'click' }]))
  await bucket.put('events/2.ndjson', '{"ts":2000,"user":"Bob","action":"view"}\n')
  const clean = transform(await extractEvents('s3://data-lake/events/'))
  expect(clean).toEqual([
    { timestamp: new Date(1000), userId: 'ann', action: 'click', metadata: {} },
    { timestamp: new Date(2000), userId: 'bob', action: 'view', metadata: {} },
  ])
})

test('Scheduling with this.every: four schedules, each at its own time', async () => {
  const schedules = (await inspector('Scheduling', 'main').schedules()) as { scheduleId: string; next: number[] }[]
  expect(schedules.map((it) => it.scheduleId)).toEqual(['runETL', 'generateReport', 'syncInventory', 'checkAlerts'])
  const [etl, report, inventory, alerts] = schedules.map((it) => new Date(it.next[0]!))
  expect([etl!.getUTCHours(), etl!.getUTCMinutes()]).toEqual([2, 0])
  expect([report!.getUTCDay(), report!.getUTCHours()]).toEqual([1, 9])
  expect(inventory!.getUTCMinutes()).toBe(0)
  expect(alerts!.getUTCMinutes() % 15).toBe(0)
  for (const { scheduleId } of schedules) await inspector('Scheduling', 'main').trigger(scheduleId)
  const fired = await until(() => stub('Scheduling', 'main').fired() as PromiseLike<string[]>, (it) => it.length === 4)
  expect(fired.toSorted()).toEqual(['checkAlerts', 'generateReport', 'runETL', 'syncInventory'])
})

test('Fanout: a GROUP BY over shards, and the same as a stream', async () => {
  const users = [['u1', 'u2', 'u1'], ['u2', 'u3'], ['u1']]
  for (const [i, list] of users.entries()) await stub('Shard', `s${i}`).fill(list)
  const scanners = users.map((_, i) => stub('Shard', `s${i}`).scanner())
  const streamed: unknown[] = []
  const results = await fanout(scanners, 'SELECT user_id, COUNT(*) FROM events GROUP BY user_id', async (batch) => void streamed.push(...batch))
  const byUser = (rows: unknown[]) => Object.fromEntries((rows as Record<string, unknown>[]).map((row) => [row['user_id'], row['COUNT(*)']]))
  expect(byUser(results)).toEqual({ u1: 3, u2: 2, u3: 1 })
  expect(byUser(streamed)).toEqual({ u1: 3, u2: 2, u3: 1 })
})

test('Pipeline DAG: parallel extracts, a transform, a load and a notice', async () => {
  await bucket.put('users.json', JSON.stringify([{ id: 'u1', name: 'Ann' }]))
  await bucket.put('events.ndjson', '{"id":"e1","userId":"u1","productId":"p1"}\n{"id":"e2","userId":"u9","productId":"p1"}\n')
  await bucket.put('products.csv', 'id,name\np1,Lamp\n')
  await stub('Dag', 'main').dailyPipeline()
  const [run] = ((await inspector('Dag', 'main').runs()) as { runId: string; target: { kind: string } }[]).filter((it) => it.target.kind === 'method')
  const { steps } = await inspector('Dag', 'main').run(run!.runId)
  expect(steps.map((step: { stepId: string; status: string }) => `${step.stepId} ${step.status}`)).toEqual([
    'extract-users done', 'extract-events done', 'extract-products done', 'enrich-events done', 'load done',
  ])
  expect(await until(() => stub('Dag', 'main').seen() as PromiseLike<unknown[]>, (it) => it.length > 0)).toEqual([{ records: 2 }])
})

describe("Promise Pipelining (Cap'n Web)", () => {
  const stages = ['p', 'q', 'r'].map((id) => ({ id }))
  test('each of the three lines does what its comment says', async () => {
    expect(await stub('Stages', 'main').pipelining(stages, [1], 'line', [5, 6])).toEqual([10, 12])
    for (const { id } of stages) {
      const history = await until(() => stub('Stage', id).history() as PromiseLike<unknown[]>, (it) => it.length >= 2)
      expect(history).toEqual([[1], [1]])
    }
  })
  test('N round trips, N messages that nobody waits for, and one round trip', async () => {
    const sequential = open()
    for (const { id } of stages) await stub('Stage', `n ${id}`, sequential).execute([1])
    expect(sequential.stats.messages).toBe(3)

    const forgotten = open()
    stages.forEach(({ id }) => void stub('Stage', `f ${id}`, forgotten).execute([1]))
    expect(forgotten.stats.messages).toBe(0)
    await until(async () => forgotten.stats.messages, (it) => it === 3)
    expect(forgotten.stats.messages).toBe(3)

    const chained = open()
    expect(await stub('Pipeline', 'line', chained).getStage(0).run([7])).toEqual([14])
    expect(chained.stats.messages).toBe(1)
  })
})

test('the classes are there by their nouns', () => {
  expect(Object.keys(exports)).toEqual(expect.arrayContaining(['Dag', 'Pipeline', 'Solution', 'Stage']))
})
