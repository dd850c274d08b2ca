/**
 * State outlives code: what each release wrote is opened by today's. Every folder here that is named by a version holds the storage of
 * the golden app as that release left it (see scripts/golden.ts), with one run at a closed gate.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunView } from 'dotdo/client'
import { startWorker, temporary, until, type RunningApp } from '../support/app.ts'
import { chdb } from '../support/chdb.ts'
import { byOrigin, config, copyState, golden, inspect, observe, shiftTimes, type Expected } from './support/record.ts'

const versions = readdirSync(golden).filter((name) => /^\d+\.\d+\.\d+$/.test(name))

test('this release, or one before it, has left its state', () => {
  expect(versions).toContain('0.1.0')
})

test.each(versions)('the state of %s tells nothing of the machine that wrote it', (version) => {
  const folder = join(golden, version)
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  expect(files.length).toBeGreaterThan(10)
  let size = 0
  for (const file of files) {
    const bytes = readFileSync(join(file.parentPath, file.name))
    size += bytes.length
    // The secret that tokens are signed with, and paths of a home, a temporary folder or this checkout.
    expect(bytes.toString('latin1'), file.name).not.toMatch(/a secret for the tests|\/home\/|\/Users\/|\/root\/|\/tmp\/|\/work\/|node_modules/)
  }
  expect(size).toBeLessThan(500_000)
})

describe.each(versions)('the state of %s, opened by this code', (version) => {
  const expected = JSON.parse(readFileSync(join(golden, version, 'expected.json'), 'utf8')) as Expected
  let folder: Awaited<ReturnType<typeof temporary>>
  let running: RunningApp
  let shiftMs: number
  let seen: Awaited<ReturnType<typeof observe>>

  beforeAll(async () => {
    folder = await temporary('golden')
    copyState(join(golden, version), folder.path)
    shiftMs = Date.now() - expected.recordedAt
    shiftTimes(folder.path, shiftMs)
    running = await startWorker(config, { GOLDEN_GATE: 'open' }, folder.path)
    seen = await observe(running.app, shiftMs)
  })
  afterAll(async () => {
    await running?.stop()
    await folder?.remove()
  })

  const ended = (runs: unknown[]): RunView[] => (runs as RunView[]).filter((run) => run.status === 'done' || run.status === 'failed')
  const pipeline = () => running.app.Pipeline('main')

  test('shows the runs that had ended, with steps, results, errors and times', () => {
    const known = new Set(ended(expected.runs).map((run) => run.runId))
    expect(known.size).toBeGreaterThanOrEqual(3)
    // What had failed at the gate is tried again now, and is looked at below.
    const gate = (run: RunView) => run.target.kind === 'event' && run.target.handler === 'patient'
    expect(ended(seen.runs).filter((run) => known.has(run.runId) && !gate(run))).toEqual(ended(expected.runs).filter((run) => !gate(run)))
  })

  test('has its schedules, one of them paused', () => {
    expect(seen.schedules).toEqual(expected.schedules)
    expect(seen.schedules.find((it) => it.scheduleId === 'weekly')).toMatchObject({ paused: true })
  })

  test('has the event that was sent, and its dead letter', () => {
    const stable = (events: Expected['events']) => events.map(({ waiting: _waiting, ...event }) => event)
    expect(stable(seen.events)).toEqual(stable(expected.events))
    expect(expected.events[0]).toMatchObject({ waiting: 1, dead: 1 })
    expect(seen.deadLetters).toEqual(expected.deadLetters)
    expect(seen.deadLetters).toMatchObject([{ handler: 'refuse', attempts: 1, error: { message: 'the gate is shut' } }])
  })

  test('has its table, and rows in shards that answer as they did', () => {
    expect(seen.table).toEqual(expected.table)
    expect(seen.byOrigin).toEqual(expected.byOrigin)
    expect(seen.byOrigin.length).toBeGreaterThan(50)
  })

  test('has a table that a foreign engine reads', async () => {
    const rows = await chdb(folder.path, [
      'SET allow_database_iceberg = 1',
      `CREATE DATABASE lake ENGINE = DataLakeCatalog('${running.url}iceberg/v1', 'any', 'key') SETTINGS catalog_type = 'rest', warehouse = 'data-lake', auth_header = 'Authorization: Bearer ${running.token}', storage_endpoint = '${running.url}buckets/data-lake'`,
      `SELECT origin, toInt32(count()) AS flights, toInt32(sum(delay)) AS delay FROM lake.\`analytics.flights\` GROUP BY origin ORDER BY origin`,
      `SELECT toInt32(count()) AS n FROM lake.\`analytics.flights\` WHERE originState IS NULL`,
    ])
    expect(rows[2]).toEqual(expected.byOrigin)
    const unknown = (expected.byOrigin as { origin: string; flights: number }[]).find((it) => it.origin === 'LAS')
    expect(rows[3]).toEqual([{ n: unknown?.flights }])
  })

  test('goes on with the run that waited, from results that are stored in every form', async () => {
    const run = await until('the held run ends', () => Promise.resolve(inspect(running.app).run(expected.heldRunId)), (it) => it.status !== 'running')
    expect(run).toMatchObject({ status: 'done', attempt: 2 })
    const before = (expected.runs as RunView[]).find((it) => it.runId === expected.heldRunId)
    // Done is done: only the step at the gate has run again.
    const done = (it: RunView | undefined) => it?.steps?.filter((step) => step.stepId !== 'gate').map(({ stepId, attempt, result }) => ({ stepId, attempt, result }))
    expect(done(run)).toEqual(done(before))
    expect(JSON.parse(run.result!.text)).toEqual({
      note: 'held 2001-01-01T00:00:00.000Z',
      rows: 500,
      last: { date: expect.stringMatching(/^2001-01-03T/), delay: expect.any(Number), distance: expect.any(Number), origin: expect.any(String), destination: expect.any(String) },
      streamed: 500,
      delay: (expected.byOrigin as { delay: number }[]).reduce((sum, it) => sum + it.delay, 0),
      text: 30_000,
      values: ['2001-01-01T00:00:00.000Z', '12345678901234567890', true, true, [1, 2], [0, 127, 255], 'too far', true, 'Zürich'],
    })
  })

  test('delivers the event that waited, and the dead letter when it is replayed', async () => {
    const notices = () => pipeline().notices() as Promise<string[]>
    await until('the waiting event is delivered', notices, (all) => all.includes('patient'))
    expect(await notices()).not.toContain('refused')
    await inspect(running.app).replay(String(expected.deadLetters[0]?.['id']))
    await until('the dead letter is delivered', notices, (all) => all.includes('refused'))
    await until('it is no dead letter any more', () => inspect(running.app).deadLetters(), (all) => all.length === 0)
  })

  test('runs its pipeline again: what was loaded is not loaded twice, and a new day is', async () => {
    const inspector = inspect(running.app)
    const day = { date: '2001-01-04T08:00:00', delay: 7, distance: 100, origin: 'SFO', destination: 'LAX' }
    await pipeline().lay({ 'flights/2001-01-04.ndjson': `${JSON.stringify(day)}\n` })
    const runId = await inspector.trigger('daily')
    const run = await until('the run ends', () => Promise.resolve(inspector.run(runId)), (it) => it.status !== 'running')
    expect(run).toMatchObject({ status: 'done', result: { text: '{"records":501}' } })
    const loads = run.steps?.filter((step) => step.stepId.startsWith('load-')).map((step) => [step.stepId, step.result?.text.includes('"duplicate":true')])
    expect(loads).toEqual([['load-2001-01-01', true], ['load-2001-01-02', true], ['load-2001-01-03', true], ['load-2001-01-04', false]])
    expect(await pipeline().table()).toMatchObject({ rows: 501, files: 4 })
    // The key of its event is kept: the same event is not sent again, so the shards are as they were.
    expect(await pipeline().query(byOrigin)).toEqual(expected.byOrigin)
  })
})
