/** The history of the fake app: a run in each state, and many more. */
import type { ErrorRecord, RunView, ScheduleView, StepView, TableOverview, ValuePreview } from 'dotdo/client'

const preview = (value: unknown, rows?: number): ValuePreview => {
  const text = JSON.stringify(value)
  return { text, sizeBytes: text.length, ...(rows !== undefined && { rows }) }
}

const notFound: ErrorRecord = {
  name: 'DotdoError',
  code: 'SOURCE_NOT_FOUND',
  message: 'https://api.example.com/products answered 404. See that the address is right, or that the file has been laid there.',
  retryable: false,
  data: { url: 'https://api.example.com/products', status: 404 },
}

/** Steps of which two begin at once, and two follow. */
export function doneSteps(from: number): StepView[] {
  const rows = [
    { id: 1, user: 'ada' },
    { id: 2, user: 'lin' },
  ]
  return [
    {
      stepId: 'extract-users',
      status: 'done',
      attempt: 1,
      startedAt: from + 20,
      endedAt: from + 1900,
      progress: { rows: 12_000, bytes: 1_234_567, at: 's3://lake/users.csv' },
      result: preview(rows, 12_000),
    },
    {
      stepId: 'extract-events',
      status: 'done',
      attempt: 3,
      startedAt: from + 25,
      endedAt: from + 4200,
      progress: { rows: 200_000, bytes: 18_449_535, at: 's3://lake/events/2026-11-22.ndjson' },
      result: { text: '[{"id":1,"type":"click"},{"id":2,"type":"vi…', sizeBytes: 18_449_535, rows: 200_000 },
    },
    {
      stepId: 'enrich-events',
      status: 'done',
      attempt: 1,
      startedAt: from + 4210,
      endedAt: from + 4900,
      result: preview({ records: 200_000 }),
    },
    {
      stepId: 'load',
      status: 'done',
      attempt: 1,
      startedAt: from + 4910,
      endedAt: from + 7700,
      progress: { rows: 200_000, bytes: 1_216_329, at: 'analytics.events' },
      result: preview({ snapshotId: 4673773188832083 }),
    },
  ]
}

/** A run that is under way: one step done, one running, one that waits for its third attempt. */
export function runningRun(runId: string, from: number): RunView {
  return {
    runId,
    target: { kind: 'schedule', id: 'daily', scheduledAt: from },
    status: 'running',
    attempt: 2,
    startedAt: from,
    input: preview([{ scheduledAt: from }]),
    steps: [
      {
        stepId: 'extract-users',
        status: 'done',
        attempt: 1,
        startedAt: from + 10,
        endedAt: from + 3000,
        progress: { rows: 12_000, bytes: 1_234_567 },
        result: preview([{ id: 1 }], 12_000),
      },
      {
        stepId: 'extract-events',
        status: 'running',
        attempt: 1,
        startedAt: from + 12,
        progress: { rows: 80_000, bytes: 7_400_000, at: 's3://lake/events/2026-11-21.ndjson' },
      },
      {
        stepId: 'extract-products',
        status: 'waiting',
        attempt: 2,
        startedAt: from + 14,
        nextAttemptAt: from + 60_000,
        error: {
          name: 'DotdoError',
          code: 'SOURCE_UNAVAILABLE',
          message: 'https://api.example.com/products answered 503.',
          retryable: true,
          data: { status: 503 },
        },
      },
    ],
  }
}

/** A run that began with version 41 of the code, had done two steps, and was held when version 42 was deployed. */
export function heldRun(runId: string, from: number): RunView {
  return {
    runId,
    target: { kind: 'schedule', id: 'daily', scheduledAt: from },
    status: 'held',
    attempt: 1,
    startedAt: from,
    input: preview([{ scheduledAt: from }]),
    steps: [
      { stepId: 'extract-users', status: 'done', attempt: 1, startedAt: from + 10, endedAt: from + 1700, result: preview([{ id: 1 }], 1) },
      { stepId: 'count', status: 'done', attempt: 1, startedAt: from + 1710, endedAt: from + 1900, result: preview(1) },
    ],
    error: {
      name: 'DotdoError',
      code: 'RUN_HELD',
      message: `Run '${runId}' began with version '41' of the code, and version '42' runs now.`,
      retryable: true,
      data: { runId, began: '41', now: '42' },
    },
  }
}

/** Runs newest first, two schedules and a table, as they stand at `now`. */
export function historyOf(now: number): { runs: RunView[]; schedules: ScheduleView[]; tables: TableOverview[] } {
  const hour = 3_600_000
  const schedule = (id: string, at: number) => ({ kind: 'schedule' as const, id, scheduledAt: at })
  const done = now - 2 * hour
  const failed = now - 26 * hour
  const runs: RunView[] = [
    {
      runId: 'event:evt_1',
      target: { kind: 'event', type: 'Pipeline.completed', handler: 'Pipeline.completed#1' },
      status: 'done',
      attempt: 1,
      startedAt: done + 7720,
      endedAt: done + 7725,
      input: preview([{ records: 200_000 }]),
      result: { text: 'undefined', sizeBytes: 2 },
      steps: [],
    },
    {
      runId: 'daily@done',
      target: schedule('daily', done),
      status: 'done',
      attempt: 1,
      startedAt: done,
      endedAt: done + 7712,
      price: { requests: 3, messages: 12, calls: 12, bytes: 48_120, r2: 9 },
      budget: { requests: 1000, wallMs: 3_600_000 },
      tags: ['backlog', 'eu'],
      input: preview([{ scheduledAt: done }]),
      result: preview({ records: 200_000 }),
      steps: doneSteps(done),
    },
    {
      runId: 'daily@failed',
      target: schedule('daily', failed),
      status: 'failed',
      attempt: 1,
      startedAt: failed,
      endedAt: failed + 2100,
      input: preview([{ scheduledAt: failed }]),
      error: notFound,
      steps: [
        {
          stepId: 'extract-users',
          status: 'done',
          attempt: 1,
          startedAt: failed + 10,
          endedAt: failed + 1700,
          result: preview([{ id: 1 }], 1),
        },
        { stepId: 'extract-products', status: 'failed', attempt: 2, startedAt: failed + 12, endedAt: failed + 2090, error: notFound },
      ],
    },
    {
      runId: 'call_cancelled',
      target: { kind: 'method', name: 'backfill' },
      status: 'cancelled',
      attempt: 1,
      startedAt: now - 30 * hour,
      endedAt: now - 30 * hour + 4000,
      steps: [],
    },
    ...Array.from({ length: 60 }, (_, index): RunView => {
      const at = now - (48 + 24 * index) * hour
      return {
        runId: `daily@old-${index}`,
        target: schedule('daily', at),
        status: 'done',
        attempt: index === 3 ? 2 : 1,
        startedAt: at,
        endedAt: at + 6000 + index * 10,
        steps: doneSteps(at),
      }
    }),
  ]
  const next = Array.from({ length: 5 }, (_, index) => Math.ceil(now / hour) * hour + (index * 24 + 2) * hour)
  const schedules: ScheduleView[] = [
    {
      scheduleId: 'daily',
      pattern: 'every day at 02:00',
      timeZone: 'Europe/Berlin',
      paused: false,
      next,
      lastFiredAt: done,
      lastRunId: 'daily@done',
      budget: { requests: 1000, wallMs: 3_600_000 },
    },
    { scheduleId: 'check-alerts', pattern: 'every 15 minutes', timeZone: 'UTC', paused: true, next: next.map((at) => at - hour) },
  ]
  const tables: TableOverview[] = [
    {
      name: 'analytics.events',
      location: 's3://lake/analytics/events-e70543fa',
      snapshotId: 4673773188832083,
      committedAt: done + 7700,
      files: 13,
      rows: 1_200_000,
      bytes: 7_216_329,
    },
    { name: 'analytics.sessions', location: 's3://lake/analytics/sessions-11aa22bb', files: 0, rows: 0, bytes: 0 },
  ]
  return { runs, schedules, tables }
}
