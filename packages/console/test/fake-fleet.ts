/** The fleet of the fake app: some of everything that its lists show, and what each was asked for. */
import { RpcTarget } from 'capnweb'
import type { FleetAlert, FleetLetter, FleetPage, FleetRun, FleetSchedule, FleetSummary } from 'dotdo/client'

const minute = 60_000
const hour = 60 * minute

interface Ask {
  state?: string
  noun?: string
  tag?: string
  since?: number
  until?: number
  after?: string
  limit?: number
}

/** What the page asks of an index. Lists are changed by the test. */
export class FakeFleet extends RpcTarget {
  readonly asked: string[] = []
  readonly #lists: { runs: FleetRun[]; schedules: FleetSchedule[]; alerts: FleetAlert[]; letters: FleetLetter[] }

  constructor(now: number) {
    super()
    this.#lists = { runs: runsOf(now), schedules: schedulesOf(now), alerts: alertsOf(now), letters: lettersOf(now) }
  }

  runs(ask: Ask) {
    const { tag, since = 0, until = Infinity } = ask
    const runs = this.#lists.runs.filter(({ run: { tags = [], startedAt } }) => {
      return (tag === undefined || tags.includes(tag)) && startedAt >= since && startedAt < until
    })
    return this.#page('runs', ask, runs, ({ run }) => run.status === ask.state)
  }
  schedules(ask: Ask) {
    const states: Record<string, (it: FleetSchedule) => boolean> = {
      late: ({ lateSince }) => lateSince !== undefined,
      failing: ({ schedule }) => (schedule.failures ?? 0) > 0,
      paused: ({ schedule }) => schedule.paused,
    }
    return this.#page('schedules', ask, this.#lists.schedules, (it) => states[ask.state!]!(it))
  }
  alerts(ask: Ask) {
    return this.#page('alerts', ask, this.#lists.alerts, ({ closedAt }) => (closedAt === undefined) === (ask.state === 'open'))
  }
  deadLetters(ask: Ask) {
    return this.#page('letters', ask, this.#lists.letters, () => true)
  }
  summary(): FleetSummary {
    const { runs, schedules, alerts, letters } = this.#lists
    const of = (state: string) => runs.filter(({ run }) => run.status === state).length
    return {
      objects: 1204,
      runs: runs.length,
      running: of('running'),
      held: of('held'),
      failed: of('failed'),
      schedules: schedules.length,
      late: schedules.filter(({ lateSince }) => lateSince !== undefined).length,
      letters: letters.length,
      alerts: alerts.filter(({ closedAt }) => closedAt === undefined).length,
    }
  }

  /** By places in the list, as the real one by its order. */
  #page<Item extends { object: string }>(list: string, ask: Ask, items: Item[], isOf: (item: Item) => boolean): FleetPage<Item> {
    this.asked.push(`${list} ${ask.state ?? ''} ${ask.noun ?? ''}`.trim())
    const all = items.filter(
      (item) => (ask.state === undefined || isOf(item)) && (ask.noun === undefined || item.object.startsWith(`${ask.noun}/`)),
    )
    const from = Number(ask.after ?? 0)
    const to = from + (ask.limit ?? 50)
    return { items: all.slice(from, to), ...(to < all.length && { next: String(to) }) }
  }
}

function runsOf(now: number): FleetRun[] {
  const failed = { name: 'DotdoError', code: 'SOURCE_NOT_FOUND', message: 'https://api.example.com/products answered 404.' }
  const states = ['running', 'failed', 'done', 'held', 'cancelled', 'done', 'done'] as const
  return Array.from({ length: 70 }, (_, i) => {
    const status = i === 0 ? 'running' : i === 1 ? 'failed' : i < 8 ? states[i % 7]! : 'done'
    const startedAt = now - 9000 - i * 7 * minute
    // The first two are runs of the object that the page can open.
    const runId = i === 0 ? 'daily@now' : i === 1 ? 'daily@failed' : `nightly@${i}`
    return {
      object: i < 2 ? 'Pipeline/main' : i % 9 === 0 ? 'Report/weekly' : `Pipeline/tenant-${i % 5}`,
      run: {
        runId,
        target: { kind: 'schedule', id: i < 2 ? 'daily' : 'nightly', scheduledAt: startedAt },
        status,
        attempt: 1,
        startedAt,
        ...(status !== 'running' && status !== 'held' && { endedAt: startedAt + 42_000 }),
        ...(status === 'failed' && { error: failed }),
        ...(i === 3 && { tags: ['backlog', 'eu'] }),
      },
    }
  })
}

function schedulesOf(now: number): FleetSchedule[] {
  const one = { pattern: 'every day at 02:00', timeZone: 'UTC', paused: false }
  return [
    {
      object: 'Pipeline/main',
      schedule: {
        ...one,
        scheduleId: 'daily',
        next: [now + 3 * hour],
        lastFiredAt: now - 21 * hour,
        lastRunId: 'daily@failed',
        lastStatus: 'failed',
        failures: 3,
      },
    },
    {
      object: 'Pipeline/tenant-2',
      schedule: { ...one, scheduleId: 'nightly', next: [now - 2 * hour], lastFiredAt: now - 26 * hour, lastRunId: 'x', lastStatus: 'done' },
      lateSince: now - 2 * hour,
    },
    {
      object: 'Report/weekly',
      schedule: {
        scheduleId: 'report',
        pattern: 'every Monday at 09:00',
        timeZone: 'Europe/Zurich',
        paused: true,
        next: [now + 90 * hour],
      },
    },
  ]
}

function alertsOf(now: number): FleetAlert[] {
  return [
    {
      alertId: 3,
      object: 'Pipeline/tenant-2',
      subject: { kind: 'schedule', id: 'nightly' },
      kind: 'late',
      openedAt: now - hour,
      lastAt: now - hour,
      count: 1,
      scheduledAt: now - 2 * hour,
      deadlineMs: hour,
      error: { message: 'The object does not answer: no answer within 10 s' },
      untold: { to: 'chat OPS_CHAT', at: now - hour, error: { code: 'BINDING_MISSING', message: 'There is no address of a chat.' } },
    },
    {
      alertId: 2,
      object: 'Pipeline/main',
      subject: { kind: 'schedule', id: 'daily' },
      kind: 'failed',
      openedAt: now - 69 * hour,
      lastAt: now - 21 * hour,
      count: 3,
      runId: 'daily@failed',
      error: { code: 'SOURCE_NOT_FOUND', message: 'https://api.example.com/products answered 404.' },
    },
    {
      alertId: 1,
      object: 'Report/weekly',
      subject: { kind: 'event', id: 'print' },
      kind: 'failed',
      openedAt: now - 200 * hour,
      lastAt: now - 199 * hour,
      closedAt: now - 199 * hour,
      count: 1,
      error: { message: 'no paper' },
    },
  ]
}

function lettersOf(now: number): FleetLetter[] {
  const error = { name: 'NonRetryableError', code: 'NO_PAPER', message: 'the printer is out of paper' }
  return [
    {
      object: 'Report/weekly',
      letter: {
        id: 'evt_1:print',
        eventId: 'evt_1',
        eventType: 'Orders.loaded',
        handler: 'print',
        attempts: 11,
        error,
        sentAt: now - 5 * hour,
        diedAt: now - 4 * hour,
        payload: { text: '{"orders":1204,"day":"2026-11-22"}', sizeBytes: 34 },
      },
    },
    {
      object: 'Pipeline/main',
      letter: {
        id: 'evt_2:https',
        eventId: 'evt_2',
        eventType: 'Pipeline.completed',
        handler: 'webhook',
        attempts: 1,
        error: { name: 'DotdoError', code: 'WEBHOOK_REFUSED', message: 'The webhook at hooks.example.com answered 410.' },
        sentAt: now - 9 * hour,
        diedAt: now - 9 * hour,
        payload: { text: '{"count":200000}', sizeBytes: 16 },
      },
    },
  ]
}
