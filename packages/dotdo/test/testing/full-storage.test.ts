/** Storage that is full, in whole lives: whatever was being written then, nothing that was answered is lost, and everything goes on by itself when there is room. */
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { everything } from '../support/scenario.ts'
import { DO, serve } from '../../src/index.ts'
import { testApp, type TestApp } from '../../src/testing.ts'
import type { Databases } from './databases.ts'
import { live } from './lives.ts'
import { beginnings, calm } from './simulation.ts'

/** Every so many writes of the scenario is one from which on there is no room; `DOTDO_EVERY_WRITE=1` takes each. */
const stride = process.env.DOTDO_EVERY_WRITE === undefined ? 11 : 1

let databases: Databases

beforeAll(async () => {
  // What is lost, and what has no room, is told in the log, as it should be.
  for (const how of ['warn', 'error'] as const) vi.spyOn(console, how).mockImplementation(() => undefined)
  databases = await beginnings()
})

test.each([
  ['for new rows', false],
  ['for new rows and changed ones', true],
])('from any write on there is no room for two hours, %s: effects are done once, events come, schedules catch up', async (_, updates) => {
  const one = { ...calm, ops: everything, hours: 2 }
  const { writes } = await live({ ...one, full: { from: Infinity, updates } }, databases)
  expect(writes).toBeGreaterThan(100)
  for (let from = 1; from <= writes; from += stride)
    expect((await live({ ...one, full: { from, updates } }, databases)).refused).toBeGreaterThan(0)
})

describe('an object at its limit', () => {
  let app: (TestApp & Record<string, (name: string) => Full>) | undefined
  afterEach(() => app?.close())

  interface Full {
    limit(pages: number): Promise<void>
    write(bytes: number): Promise<void>
    clear(): Promise<number>
    rows(): Promise<number>
    load(bytes: number): Promise<number>
    begin(bytes: number): Promise<string>
    lengthOf(runId: string): Promise<number>
  }

  /** Different each time, so that it takes its room also where it is compressed. */
  const noise = (bytes: number): string => {
    let text = ''
    while (text.length < bytes) text += Buffer.from(crypto.getRandomValues(new Uint8Array(3000))).toString('base64')
    return text.slice(0, bytes)
  }

  const Full = DO.extend({
    init() {
      this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS own (text TEXT)')
      this.every.hour(() => this.do(() => noise(60_000), { stepId: 'load' }), { id: 'hourly', catchUp: 'all' })
    },
    /** From now on it grows by so many pages of 4 KiB at most. */
    limit(pages: number) {
      const { sql } = this.ctx.storage
      const [row] = sql.exec('PRAGMA page_count')
      sql.exec(`PRAGMA max_page_count = ${Number(row!['page_count']) + pages}`)
    },
    write(bytes: number) {
      this.ctx.storage.sql.exec('INSERT INTO own VALUES (?)', noise(bytes))
    },
    clear() {
      return this.ctx.storage.sql.exec('DELETE FROM own').rowsWritten
    },
    rows() {
      return this.ctx.storage.sql.exec('SELECT * FROM own').toArray().length
    },
    async lengthOf(runId: string) {
      return ((await this.runs.get(runId).result()) as string).length
    },
    begin(bytes: number) {
      return this.runs.start('load', [bytes]).runId
    },
    async load(bytes: number) {
      return await this.do(
        async () => {
          await fetch('https://outside.test/effect')
          return noise(bytes)
        },
        { stepId: 'load', retries: { limit: 3, delay: '1m' } },
      )
    },
  })

  const open = async (options: object = {}, env: Record<string, unknown> = {}) => {
    let effects = 0
    const opened = await testApp(
      { Full, default: serve(options) },
      { at: '2026-01-01T00:30Z', env, fetch: () => (effects++, new Response('ok')) },
    )
    app = opened as unknown as NonNullable<typeof app>
    return { app, full: app['Full']!('main'), effects: () => effects }
  }

  test('refuses what does not fit by name, keeps what it has answered, and takes more when something was deleted', async () => {
    const { full } = await open()
    await full.write(10)
    await full.limit(5)
    await expect(full.write(100_000)).rejects.toMatchObject({ code: 'STORAGE_FULL', retryable: true })
    expect(await full.rows()).toBe(1)
    await full.clear()
    await full.write(8_000)
    expect(await full.rows()).toBe(1)
  })

  test('makes room by itself of runs that were kept for long enough, and misses no firing of its schedule', async () => {
    const { app, full } = await open({ keep: { runs: '90m' } })
    await full.limit(70)
    await app.advance('2d')
    const fired = app.runs('Full/main').filter(({ target }) => target.kind === 'schedule')
    expect(fired.at(-1)).toMatchObject({ status: 'done', runId: 'hourly@2026-01-03T00:00:00.000Z' })
    expect(fired.every(({ status }) => status === 'done')).toBe(true)
  })

  test('waits with what is due, for days if it must, and does all of it when there is room', async () => {
    const { app, full } = await open()
    await full.write(200_000)
    await full.limit(8)
    await app.advance('3d')
    expect(app.runs('Full/main').length).toBeLessThan(5)
    await full.clear()
    await app.advance('11m')
    const fired = app.runs('Full/main')
    expect(fired.length).toBeGreaterThan(0)
  })

  test('does an effect no more often than its step may be attempted, where the result never fits; and the run ends', async () => {
    const { app, full, effects } = await open()
    await full.limit(40)
    await full.begin(1_000_000)
    await app.advance('2h')
    expect(effects()).toBeGreaterThan(1)
    expect(effects()).toBeLessThanOrEqual(4)
    expect(app.runs('Full/main').find(({ target }) => target.kind === 'method')).toMatchObject({
      status: 'failed',
      error: { code: expect.stringMatching(/STEP_CRASHED|STORAGE_FULL/) as string },
    })
  })

  test('makes room of large results, which go to the bucket of results by themselves and are read there', async () => {
    const { app, full } = await open({ limits: { object: { resultRowsBytes: 100_000 } } }, { DOTDO_RESULTS: 'bucket' })
    await full.limit(400)
    // Each of the run and its step: five of them would not fit.
    for (let i = 0; i < 5; i++) {
      const runId = await full.begin(600_000)
      await app.settle()
      expect(await full.lengthOf(runId)).toBe(600_000)
    }
    expect(app.bucket('DOTDO_RESULTS').size).toBe(10)
  })
})
