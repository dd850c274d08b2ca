/** Lineage and forks of the fake app, made by what makes them in an object: what the page gets is what it will get. */
import type { CodeChange, ForkDiff, Lineage, LineageEdge, RunLineage } from 'dotdo/client'
import { changeOf } from '../../dotdo/src/journal/code-change.ts'
import { diffFork } from '../../dotdo/src/journal/fork-diff.ts'
import { viewLineage } from '../../dotdo/src/journal/lineage-view.ts'

const edge = (kind: LineageEdge['kind'], target: string, more: Partial<LineageEdge> = {}): LineageEdge => ({
  kind,
  target,
  what: '',
  n: 1,
  print: 1,
  ...more,
})

const load = (print: number, snapshot = '4673773188832083', rows = 200_000) =>
  edge('write', 'R2_BUCKET/analytics.events', { what: snapshot, print, rows })
const enrich = (input: string, print: number) => edge('call', 'Geo/eu', { what: 'lookUp', n: 12, input, print })

/** A night of three sources, another object, a table, an event and a request; it was begun by a run of another object. */
export function runsOf(runId: string, now: number): RunLineage[] {
  const startedAt = now - 7_200_000
  const step = (stepId: string, from: number, to: number, ...edges: LineageEdge[]) => ({
    stepId,
    status: 'done' as const,
    startedAt: startedAt + from,
    endedAt: startedAt + to,
    edges,
  })
  return [
    {
      object: 'Pipeline/main',
      runId,
      target: { kind: 'schedule', id: 'daily', scheduledAt: startedAt },
      status: 'done',
      startedAt,
      endedAt: startedAt + 7712,
      calledBy: { object: 'Report/weekly', runId: 'report@1', stepId: 'refresh' },
      steps: [
        step('extract-users', 20, 1900, edge('read', 's3://lake/users.csv')),
        step('extract-events', 25, 4200, edge('read', 's3://lake/events/'), edge('read', 'https://api.example.com/events', { n: 3 })),
        step('enrich-events', 4210, 4900, enrich('["Zürich","Wien"]', 1)),
        step('load', 4910, 7700, load(1)),
        {
          edges: [
            edge('send', 'Pipeline.completed', { input: '{"records":200000}' }),
            edge('http', 'https://hooks.example.com/done', { what: 'POST', input: '{"ok":true}' }),
          ],
        },
      ],
    },
    {
      object: 'Report/weekly',
      runId: 'report@1',
      target: { kind: 'method', name: 'refreshAll' },
      status: 'done',
      startedAt: startedAt - 100,
      endedAt: startedAt + 8000,
      steps: [step('refresh', -50, 7800, edge('call', 'Pipeline/main', { what: 'dailyPipeline' }))],
    },
  ]
}

const ports = { digest: (text: string) => text.length.toString(16).padStart(32, 'a') }

/** The lineage of a run; one that is called `alone` has done nothing, and what led to it is gone. */
export function lineageOf(runId: string, now: number): Lineage {
  const [run, ...before] = runsOf(runId, now)
  if (!runId.endsWith('alone')) return viewLineage([run!, ...before], ports)
  return viewLineage([{ ...run!, steps: [] }], ports, { missing: ['run report@1 of Report/weekly: it is not kept any more'] })
}

/** The lineage of a snapshot of a table. */
export function snapshotOf(of: { table: string; snapshotId?: number; warehouse?: string }, now: number): Lineage {
  const { table, snapshotId = 4673773188832083, warehouse = 'R2_BUCKET' } = of
  const writtenBy = { object: 'Pipeline/main', runId: 'daily@done', stepId: 'load' }
  const snapshot = {
    table,
    warehouse,
    snapshotId,
    committedAt: now - 7_192_300,
    rows: 200_000,
    commitKey: 'events of 2026-11-22',
    writtenBy,
  }
  return viewLineage(runsOf('daily@done', now), ports, { snapshot })
}

/** What a fork would do: from `load` on what the run did, from anywhere else some of it otherwise. */
export function diffOf(runId: string, from: string | undefined): ForkDiff {
  const [run] = runsOf(runId, 0)
  const before = new Map(run!.steps.map(({ stepId = '', edges }) => [stepId, edges]))
  const isSame = from === 'load'
  const taken = isSame ? ['extract-users', 'extract-events', 'enrich-events'] : []
  const did = new Map(before)
  if (!isSame) {
    did.set('enrich-events', [enrich('["Zürich","Genève"]', 2)])
    did.set('load', [load(1, '', 200_412), edge('write', 'R2_BUCKET/analytics.rejected', { rows: 17 })])
    did.set('', [edge('send', 'Pipeline.completed', { input: '{"records":200412}', print: 2 })])
  }
  return diffFork({
    forkedFrom: { runId, ...(from !== undefined && { stepId: from }) },
    steps: ['extract-users', 'extract-events', 'enrich-events', 'load'].map((stepId) => ({
      stepId,
      state: taken.includes(stepId) ? ('taken' as const) : ('done' as const),
    })),
    did,
    elsewhere: isSame
      ? new Map()
      : new Map([
          ['enrich-events', [{ object: 'Geo/eu', writer: 'sql', target: 'INSERT INTO seen', rows: 2, sample: [['Zürich'], ['Genève']] }]],
        ]),
    before: new Map([...before].filter(([stepId]) => !taken.includes(stepId))),
    outcome: { value: { records: isSame ? 200_000 : 200_412 } },
    beforeResult: { text: '{"records":200000}', sizeBytes: 18 },
    warnings: isSame ? [] : ['Pipeline/main used env.AUDIT 2 times: a bare binding, which is not held back'],
  })
}

/** What version 42 changes for a run that is held: it checks first, counts no more, and loads and mails from here on. */
export function changesOf(runId: string): CodeChange {
  const steps = ['extract-users', 'check', 'load', 'mail'].map((stepId) => ({
    stepId,
    state: stepId === 'extract-users' ? ('taken' as const) : ('done' as const),
  }))
  const dryRun = diffFork({
    forkedFrom: { runId },
    steps,
    did: new Map([
      ['load', [load(1, '', 200_000)]],
      ['mail', [edge('http', 'https://mail.example.com/send', { what: 'POST' })]],
    ]),
    elsewhere: new Map(),
    before: new Map([['count', [edge('write', 'R2_BUCKET/analytics.counts', { rows: 1 })]]]),
    outcome: { value: { records: 200_000 } },
    beforeResult: undefined,
    warnings: ['a signal that has not come yet is not rehearsed'],
  })
  const done = ['extract-users', 'count'].map((stepId) => ({ stepId, isDone: true }))
  const comparedWith = { runId: 'daily@done', steps: ['extract-users', 'count', 'load'] }
  return changeOf({ runId, startedAt: 0, began: '41', now: '42', steps: done, comparedWith }, steps, dryRun)
}
