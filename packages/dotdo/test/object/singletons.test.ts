import { createExecutionContext, createScheduledController, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, test } from 'vitest'
import { Links } from '../../src/object/nouns.ts'
import { clock, linkPorts } from '../../src/object/platform.ts'
import { AlarmReport, overdueMs, wakeSingletons } from '../../src/object/singletons.ts'
import type { ServeEnv } from '../../src/object/serve.ts'
import worker from './worker.ts'

const open = () => new Links(linkPorts('test', () => {}))
interface Registry {
  toWake(objects: string[], version: string): Promise<string[]>
  woken(object: string, version: string, alarmAt: number | null): Promise<void>
  armed(object: string, alarmAt: number | null): Promise<void>
}
const registry = () => open().user('DotdoSystem', 'singletons') as unknown as Registry
const forever = 'Almanac/forever'

/** One tick of the Worker's cron trigger, in some version of the code. */
async function tick(version?: string): Promise<void> {
  const ctx = createExecutionContext()
  const bindings = { ...(env as object), ...(version && { CF_VERSION_METADATA: { id: version } }) } as ServeEnv
  await worker.scheduled(createScheduledController(), bindings, ctx)
  await waitOnExecutionContext(ctx)
}

describe('the registry of singletons', () => {
  test('has those woken that never were, that another version has woken, and whose alarm is overdue', async () => {
    const it = registry()
    const now = Date.now()
    await it.woken('A/on-time', 'v1', now + 1000)
    await it.woken('A/late', 'v1', now - overdueMs + 60_000)
    await it.woken('A/overdue', 'v1', now - overdueMs - 1)
    await it.woken('A/old', 'v0', now + 1000)
    await it.woken('A/idle', 'v1', null)
    const all = ['A/on-time', 'A/late', 'A/overdue', 'A/old', 'A/idle', 'A/new']
    expect(await it.toWake(all, 'v1')).toEqual(['A/overdue', 'A/old', 'A/new'])
    await it.armed('A/overdue', now + 1000)
    expect(await it.toWake(all, 'v1')).toEqual(['A/old', 'A/new'])
  })

  test('has one woken once an hour where the version is not known', async () => {
    const it = registry()
    await it.woken('B/b', '', null)
    expect(await it.toWake(['B/b'], '')).toEqual([])
  })
})

describe('the cron trigger', () => {
  beforeEach(() => tick('first'))

  test('wakes a singleton of a version once, and leaves it alone after that until its alarm is overdue', async () => {
    expect(await registry().toWake([forever], 'first')).toEqual([])
    await registry().armed(forever, Date.now() - overdueMs - 1)
    expect(await registry().toWake([forever], 'first')).toEqual([forever])
    await tick('first')
    expect(await registry().toWake([forever], 'first')).toEqual([])
  })

  test('wakes it again in a new version', async () => {
    expect(await registry().toWake([forever], 'second')).toEqual([forever])
    await tick('second')
    expect(await registry().toWake([forever], 'second')).toEqual([])
    expect(await registry().toWake([forever], 'first')).toEqual([forever])
  })

  test('has its schedules declared, and its alarm known', async () => {
    const inspector = open().inspector('Almanac', 'forever') as unknown as { wake(): Promise<number | null> }
    expect(await inspector.wake()).toBeGreaterThan(Date.now())
  })

  test('wakes all of them when an operator asks', async () => {
    await registry().armed(forever, Date.now() - overdueMs - 1)
    await wakeSingletons(open(), env, 'all')
    expect(await registry().toWake([forever], '')).toEqual([])
  })
})

describe('what a singleton tells of its alarm', () => {
  test('is told once, and only where it is not of work that goes on; others tell nothing', async () => {
    const report = new AlarmReport({ noun: 'Almanac', name: 'forever', knownAs: 'Almanac/forever' }, open(), clock)
    const later = Date.now() + 3_600_000
    expect(report.armed(Date.now() + 30_000)).toBeUndefined()
    expect(await report.armed(later)).toMatchObject([{ status: 'fulfilled' }])
    expect(report.armed(later)).toBeUndefined()
    expect(await report.armed(null)).toMatchObject([{ status: 'fulfilled' }])
    expect(new AlarmReport({ noun: 'Almanac', name: 'another', knownAs: 'Almanac/another' }, open(), clock).armed(later)).toBeUndefined()
  })
})
