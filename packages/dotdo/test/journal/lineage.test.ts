import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { drawFlowchart } from '../../src/base/flowchart.ts'
import type { LineageEdge, RunLineage } from '../../src/base/views.ts'
import { migrate } from '../../src/base/migrations.ts'
import { callerOf, edgesOfStep, LineageTable, Notes, type LineageNote } from '../../src/journal/lineage.ts'
import { viewLineage } from '../../src/journal/lineage-view.ts'
import type { OpenLineageEvent } from '../../src/base/lineage-views.ts'
import { openLineage } from '../../src/journal/open-lineage.ts'
import { journalMigrations } from '../../src/journal/tables.ts'
import { SqliteStore } from '../support/sqlite-store.ts'
import { TestObject } from './harness.ts'

const ports = { digest: (text: string) => createHash('sha256').update(text).digest('hex') }
const called = (target: string, input?: unknown): LineageNote => ({ kind: 'call', target, what: 'run', input })
const edges = ({ steps }: RunLineage) =>
  Object.fromEntries(steps.map((step) => [step.stepId ?? '', step.edges.map(({ target, n }) => `${target} ${n}`)]))

describe('what steps did', () => {
  test('is stored with what they come to, by step, and that of the run’s own code with its end', async () => {
    const object = new TestObject({
      main: async (run) => {
        await run.step(
          async () => {
            object.here.note(called('Stage/a'))
            object.here.note(called('Stage/a'))
            object.here.note({ kind: 'write', target: 'R2/a.b', what: '7', rows: 3 })
          },
          { stepId: 'one' },
        )
        expect(edges(object.journal.lineage('r', 'P/x'))).toEqual({ one: ['Stage/a 2', 'R2/a.b 1'] })
        run.note(called('Stage/c'))
        await run.step(() => 1, { stepId: 'pure' })
      },
    })
    await object.call('main', [], 'r')
    const told = object.journal.lineage('r', 'P/x')
    expect(edges(told)).toEqual({ '': ['Stage/c 1'], one: ['Stage/a 2', 'R2/a.b 1'] })
    expect(told).toMatchObject({ object: 'P/x', runId: 'r', status: 'done' })
    expect(told.steps.find(({ stepId }) => stepId === 'one')).toMatchObject({ status: 'done', startedAt: expect.any(Number) as number })
  })

  test('is told in the order in which steps began, and what lies between them last', async () => {
    const object = new TestObject({
      main: async (run) => {
        run.note(called('Stage/between'))
        for (const stepId of ['z', 'a', 'm']) await run.step(() => object.here.note(called(`Stage/${stepId}`)), { stepId })
      },
    })
    await object.call('main', [], 'r')
    expect(object.journal.lineage('r', 'P/x').steps.map(({ stepId }) => stepId)).toEqual(['z', 'a', 'm', undefined])
  })

  test('costs no statement: it is written with the result of its step', async () => {
    const statements = async (notes: number): Promise<number> => {
      const object = new TestObject({
        main: (run) =>
          run.step(
            () => {
              for (let i = 0; i < notes; i++) object.here.note(called('Stage/a', i))
            },
            { stepId: 's' },
          ),
      })
      await object.call('main', [], 'r')
      return object.store.statements
    }
    const pure = await statements(0)
    expect([(await statements(1)) - pure, (await statements(50)) - pure]).toEqual([0, 0])
  })

  test('of a step that fails is stored with the end of its run, and doing it again replaces it', async () => {
    let fails = true
    const object = new TestObject({
      main: (run) =>
        run.step(
          () => {
            object.here.note(called('Stage/a'))
            if (fails) throw new Error('no')
          },
          { stepId: 's', retries: { limit: 0 } },
        ),
    })
    await expect(object.call('main', [], 'r')).rejects.toThrow('no')
    expect(edges(object.journal.lineage('r', 'P/x'))).toEqual({ s: ['Stage/a 1'] })
    fails = false
    await object.journal.retry('r')
    expect(edges(object.journal.lineage('r', 'P/x'))).toEqual({ s: ['Stage/a 1'] })
  })

  test('of an attempt that failed gives way to that of the next', async () => {
    let attempts = 0
    const object = new TestObject({
      main: (run) =>
        run.step(
          () => {
            object.here.note(called(`Stage/${attempts === 0 ? 'lost' : 'kept'}`))
            if (++attempts < 3) throw new Error('again')
          },
          { stepId: 's', retries: { delay: 0 } },
        ),
    })
    const run = object.call('main', [], 'r')
    await object.advance(10)
    await run
    expect(edges(object.journal.lineage('r', 'P/x'))).toEqual({ s: ['Stage/kept 1'] })
  })

  test('is bounded: what goes beyond is counted', () => {
    const notes = new Notes()
    for (let i = 0; i < edgesOfStep + 20; i++) notes.add('s', called(`Stage/${i}`))
    notes.add('s', called('Stage/0'))
    const taken = notes.take('s')
    expect(taken).toHaveLength(edgesOfStep + 1)
    expect(taken.find(({ kind }) => kind === 'more')).toMatchObject({ n: 20 })
    expect(taken[0]).toMatchObject({ target: 'Stage/0', n: 2 })
    expect(notes.take('s')).toEqual([])
  })

  test('tells other inputs apart, in whatever order they come, and shows the first without tokens', () => {
    const print = (...inputs: unknown[]): LineageEdge => {
      const notes = new Notes()
      for (const input of inputs) notes.add('s', called('Stage/a', input))
      return notes.take('s')[0]!
    }
    expect(print([1], [2]).print).toBe(print([2], [1]).print)
    expect(print([1]).print).not.toBe(print([2]).print)
    expect(print(['dotdo1.secret.signature']).input).toBe('["dotdo1.(redacted)"]')
    expect(print(['x'.repeat(1000)]).input).toHaveLength(256)
    const stub = new Proxy(() => {}, {
      get: () => {
        throw new Error('asked')
      },
    })
    expect(print([stub, { at: stub }]).input).toBe('[(function),{"at":(function)}]')
  })

  test('goes with its run', async () => {
    const object = new TestObject({ main: (run) => run.note(called('Stage/a')) })
    await object.call('main', [], 'r')
    object.journal.prune(object.clock.now() + 1)
    expect(() => object.journal.lineage('r', 'P/x')).toThrow(expect.objectContaining({ code: 'RUN_UNKNOWN' }))
  })
})

describe('what earlier releases have stored', () => {
  test('was a table, and is read as it was', () => {
    const store = new SqliteStore()
    migrate(store, 'journal', journalMigrations.slice(0, 6))
    store.sql(`INSERT INTO dotdo_runs (seq, run_id, target, status, attempt, args, started_at) VALUES (7, 'r', '{}', 'done', 1, 'j[]', 1)`)
    for (const step of ['a', 'b'])
      store.sql(`INSERT INTO dotdo_steps (run, step_id, ordinal, status, attempt, started_at) VALUES (7, ?, 0, 'done', 1, 1)`, step)
    const insert = 'INSERT INTO dotdo_lineage (run, step, kind, target, what, n, print, input, rows) VALUES (7, ?, ?, ?, ?, ?, ?, ?, ?)'
    store.sql(insert, 'b', 'call', 'Stage/a', 'run', 2, 4294967295, '["x"]', null)
    store.sql(insert, 'b', 'write', 'R2/a.b', '7', 1, 0, null, 3)
    store.sql(insert, '', 'by', 'Etl/e', 'run_1/load#call:Depot/d.store#0', 1, 0, null, null)
    migrate(store, 'journal', journalMigrations)
    const table = new LineageTable(store)
    expect([...table.read(7).keys()]).toEqual(['', 'b'])
    expect(table.ofStep(7, 'a')).toEqual([])
    expect(table.ofStep(7, 'b')).toEqual([
      { kind: 'call', target: 'Stage/a', what: 'run', n: 2, print: 4294967295, input: '["x"]' },
      { kind: 'write', target: 'R2/a.b', what: '7', n: 1, print: 0, rows: 3 },
    ])
    expect(table.calledBy(7)).toEqual({ object: 'Etl/e', runId: 'run_1', stepId: 'load' })
    // What the run's own code notes when it is done again is new, but for who called it.
    table.put(7, '', [{ kind: 'send', target: 'A.b', what: '', n: 1, print: 0 }])
    expect([table.read(7).get('')!.length, table.calledBy(7)?.runId]).toEqual([2, 'run_1'])
    expect(store.sql(`SELECT 1 FROM sqlite_master WHERE name = 'dotdo_lineage'`)).toEqual([])
  })
})

describe('who called', () => {
  test.each([
    ['run_1/load#call:Depot/d.store#0', { runId: 'run_1', stepId: 'load' }],
    ['nightly@2026-01-01T00:00:00Z/load a/b#call:Depot/d.store#3', { runId: 'nightly@2026-01-01T00:00:00Z', stepId: 'load a/b' }],
    ['a%2Fb%23c#2/s#call:D/d.m#0', { runId: 'a/b#c', stepId: 's' }],
    ['cut short', undefined],
    ['evt:1', undefined],
  ])('is read from %s', (key, who) => expect(callerOf(key)).toEqual(who))

  const calledBy = { caller: 'Etl/e', key: 'run_1/load#call:Depot/d.store#0' }
  const adopted = (object: TestObject) =>
    object.journal.adopt({ target: { kind: 'method', name: 'store' }, args: [], key: calledBy.key, calledBy })

  test('is told of a run that a step of another object began, from its beginning on', async () => {
    const object = new TestObject({})
    const execution = adopted(object)
    const told = { calledBy: { object: 'Etl/e', runId: 'run_1', stepId: 'load' }, steps: [] }
    expect(object.journal.lineage(execution.runId, 'Depot/d')).toMatchObject(told)
    execution.note(called('Stage/between'))
    await execution.settle(Promise.resolve(1))
    expect(object.journal.lineage(execution.runId, 'Depot/d')).toMatchObject({ calledBy: told.calledBy, steps: [{ edges: [{ n: 1 }] }] })
  })

  test('is told of one that the object dies in, of what it is then, and of what it comes to when it is called again', async () => {
    const object = new TestObject({ store: (run) => run.note(called('Stage/again')) })
    const { runId } = adopted(object)
    const by = () => object.journal.lineage(runId, 'Depot/d').calledBy
    object.evict()
    expect(by()).toEqual({ object: 'Etl/e', runId: 'run_1', stepId: 'load' })
    await object.journal.launch(runId)
    expect(by()).toEqual({ object: 'Etl/e', runId: 'run_1', stepId: 'load' })
    expect(object.journal.lineage(runId, 'Depot/d').steps).toHaveLength(1)
  })
})

const edge = (kind: LineageEdge['kind'], target: string, what = '', more: Partial<LineageEdge> = {}): LineageEdge => ({
  kind,
  target,
  what,
  n: 1,
  print: 0,
  ...more,
})
const etl: RunLineage = {
  object: 'Etl/e',
  runId: 'nightly@1',
  target: { kind: 'schedule', id: 'nightly', scheduledAt: 1 },
  status: 'done',
  startedAt: 1000,
  endedAt: 9000,
  steps: [
    {
      stepId: 'extract',
      status: 'done',
      startedAt: 1000,
      endedAt: 2000,
      edges: [edge('read', 's3://data-lake/events/'), edge('read', 'users')],
    },
    { stepId: 'load', status: 'done', startedAt: 3000, endedAt: 8000, edges: [edge('call', 'Depot/d', 'store', { n: 2 })] },
    { edges: [edge('send', 'Pipeline.completed'), edge('http', 'https://api.example/x', 'POST')] },
  ],
}
const depot: RunLineage = {
  object: 'Depot/d',
  runId: 'run_2',
  target: { kind: 'method', name: 'store' },
  status: 'failed',
  startedAt: 4000,
  endedAt: 7000,
  calledBy: { object: 'Etl/e', runId: 'nightly@1', stepId: 'load' },
  steps: [
    {
      stepId: 'write',
      status: 'done',
      startedAt: 4000,
      endedAt: 6000,
      edges: [edge('write', 'R2_BUCKET/analytics.events', '77', { rows: 5 })],
    },
  ],
}

describe('the view of a lineage', () => {
  test('leads from sources over steps and calls to the snapshot, as a graph, a drawing and a text', () => {
    const { graph, drawing, text } = viewLineage([depot, etl], ports, {
      snapshot: {
        table: 'analytics.events',
        warehouse: 'R2_BUCKET',
        snapshotId: 77,
        committedAt: 0,
        rows: 5,
        writtenBy: { object: 'Depot/d', runId: 'run_2', stepId: 'write' },
      },
    })
    const path: string[] = ['snapshot 77']
    for (let at = path[0]; at;) {
      const into = graph.edges.find(({ to, kind }) => to === at && kind !== 'called')
      at = into?.from
      if (at) path.push(at)
    }
    expect(path).toEqual([
      'snapshot 77',
      'step Depot/d run_2 write',
      'run Depot/d run_2',
      'step Etl/e nightly@1 load',
      'run Etl/e nightly@1',
    ])
    const names = new Set(graph.nodes.map(({ id }) => id))
    expect(graph.edges.flatMap(({ from, to }) => [from, to]).filter((id) => !names.has(id))).toEqual([])
    expect(names.size).toBe(graph.nodes.length)
    expect(drawing).toMatch(/^flowchart LR\n/)
    expect(drawing).toContain('[("s3://data-lake/events/")]')
    expect(text).toBe(
      [
        'analytics.events snapshot 77: 5 rows, 1970-01-01T00:00:00.000Z',
        'written by Depot/d, run run_2, step write',
        'Depot/d store run_2 failed, called by Etl/e nightly@1 load',
        '  write',
        '    wrote R2_BUCKET/analytics.events snapshot 77, 5 rows',
        'Etl/e nightly nightly@1 done',
        '  extract',
        '    read s3://data-lake/events/',
        '    read users',
        '  load',
        '    called Depot/d.store ×2',
        '  (between steps)',
        '    sent Pipeline.completed',
        '    requested POST https://api.example/x',
      ].join('\n'),
    )
  })

  test('leads from a snapshot that a call without a run wrote to the step that called', () => {
    const calledBy = { object: 'Etl/e', runId: 'nightly@1', stepId: 'load' }
    const { graph, text } = viewLineage([etl], ports, {
      snapshot: { table: 'a.b', warehouse: 'W', snapshotId: 5, committedAt: 0, rows: 1, writtenBy: { object: 'Depot/d', calledBy } },
    })
    expect(graph.edges.find(({ to }) => to === 'snapshot 5')).toMatchObject({ from: 'step Etl/e nightly@1 load', kind: 'wrote' })
    expect(text).toContain('written by Etl/e, run nightly@1, step load')
  })

  test('a drawing survives names that Mermaid would read as its own', () => {
    expect(
      drawFlowchart(
        [
          { id: 'a"]', label: 'end"]\n' },
          { id: 'b', label: 'b', shape: 'store' },
        ],
        [
          { from: 'a"]', to: 'b', label: '"x"', heavy: true },
          { from: 'b', to: 'nowhere' },
        ],
      ),
    ).toBe(`flowchart LR\n  n0["end'] "]\n  n1[("b")]\n  n0 == "'x'" ==> n1`)
  })
})

describe('events of OpenLineage', () => {
  const events = openLineage([depot, etl], ports)

  test('have what the specification requires of each', () => {
    expect(events).toHaveLength(8)
    for (const event of events) assertEvent(event)
    expect(events.map(({ eventTime }) => eventTime)).toEqual(events.map(({ eventTime }) => eventTime).toSorted())
  })

  test('begin and end each run once, and say that one failed', () => {
    const byRun = Map.groupBy(events, ({ run }) => run.runId)
    expect(byRun.size).toBe(4)
    for (const of of byRun.values()) expect(of.map(({ eventType }) => eventType)[0]).toBe('START')
    expect(events.find(({ job, eventType }) => job.name === 'Depot/d.store' && eventType !== 'START')?.eventType).toBe('FAIL')
    expect(openLineage([{ ...etl, status: 'running', steps: [] }], ports).map(({ eventType }) => eventType)).toEqual(['START'])
  })

  test('name what was read and written, with version and rows, below the run that each step is of', () => {
    const load = events.find(({ job }) => job.name === 'Depot/d.store.write')!
    expect(load.outputs).toMatchObject([
      {
        namespace: 'iceberg://R2_BUCKET',
        name: 'analytics.events',
        facets: { version: { datasetVersion: '77' } },
        outputFacets: { outputStatistics: { rowCount: 5 } },
      },
    ])
    const whole = events.find(({ job }) => job.name === 'Depot/d.store')!
    expect(load.run.facets).toMatchObject({ parent: { run: { runId: whole.run.runId }, job: { name: 'Depot/d.store' } } })
    expect(events.find(({ job }) => job.name === 'Etl/e.nightly.extract')!.inputs).toEqual([
      { namespace: 's3://data-lake', name: 'events/' },
      { namespace: 'dotdo', name: 'users' },
    ])
  })
})

/**
 * What https://openlineage.io/spec/2-0-2/OpenLineage.json requires of a `RunEvent`, by hand: `eventTime`, `producer`, `schemaURL`, `run` and `job`; a UUID for a run;
 * namespace and name of jobs and datasets; `_producer` and `_schemaURL` of facets; URIs and instants that can be read.
 */
function assertEvent(event: OpenLineageEvent): void {
  const sent = JSON.parse(JSON.stringify(event)) as OpenLineageEvent
  expect(sent).toEqual(event)
  expect(['START', 'RUNNING', 'COMPLETE', 'ABORT', 'FAIL', 'OTHER']).toContain(sent.eventType)
  expect(new Date(sent.eventTime).toISOString()).toBe(sent.eventTime)
  for (const uri of [sent.producer, sent.schemaURL]) expect(URL.canParse(uri)).toBe(true)
  expect(sent.run.runId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  for (const named of [sent.job, ...sent.inputs, ...sent.outputs]) {
    expect(named.namespace).not.toBe('')
    expect(named.name).not.toBe('')
  }
  const facets = [sent.run, ...sent.inputs, ...sent.outputs].flatMap((it) => [
    ...Object.values(('facets' in it && it.facets) || {}),
    ...Object.values(('outputFacets' in it && it.outputFacets) || {}),
  ])
  for (const facet of facets) for (const uri of [facet._producer, facet._schemaURL]) expect(URL.canParse(uri)).toBe(true)
}
