/** Lineage and rehearsed forks in real objects. */
import { afterEach, describe, expect, test } from 'vitest'
import type { Lineage } from '../../src/base/lineage-views.ts'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import type { ForkDiff, ForkedStep } from '../../src/base/fork-views.ts'
import { code } from './forks-app.ts'

const open = () => new Links(linkPorts('test', () => {}))
// Stubs are as free as JSON here: the types of remote objects have tests of their own.
// oxlint-disable-next-line typescript/no-explicit-any
const stub = (noun: string, name: string): any => open().user(noun, name)
// oxlint-disable-next-line typescript/no-explicit-any
const inspector = (noun: string, name: string): any => open().inspector(noun, name)
const failure = (promise: PromiseLike<unknown>) =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => error,
  )

describe('the lineage of a snapshot', () => {
  test.each(['store', 'keep'] as const)(
    'that another object has written in %s() leads back to the run and the step that called',
    async (how) => {
      const run = await stub('Etl', how).begin('load', [how, 3])
      const runId = (await run.runId) as string
      const snapshotId = (await run.result()) as number
      const found = (await stub('Etl', 'anyone').comesFrom(snapshotId)) as Lineage
      expect(found.snapshot).toMatchObject({ table: 'lineage.events', snapshotId, rows: 3, writtenBy: { object: `Depot/${how}` } })
      expect(found.missing).toEqual([])
      const last = found.runs.at(-1)!
      expect(last).toMatchObject({ object: `Etl/${how}`, runId, status: 'done' })
      expect(last.steps).toContainEqual(
        expect.objectContaining({
          stepId: 'load',
          edges: [expect.objectContaining({ kind: 'call', target: `Depot/${how}`, what: how, n: 1 })],
        }),
      )
      expect(last.steps).toContainEqual({ edges: [expect.objectContaining({ kind: 'send', target: 'Etl.loaded', input: '{"n":3}' })] })
      // From the snapshot against the arrows to the run.
      let at: string | undefined = `snapshot ${snapshotId}`
      for (let i = 0; i < 10 && at !== undefined && at !== `run Etl/${how} ${runId}`; i++)
        at = found.graph.edges.find(({ to, kind }) => to === at && kind !== 'called')?.from
      expect(at).toBe(`run Etl/${how} ${runId}`)
      if (how === 'keep') {
        const written = found.openLineage.find(({ outputs, eventType }) => outputs.length > 0 && eventType === 'COMPLETE')!
        expect(written.outputs[0]).toMatchObject({ name: 'lineage.events', facets: { version: { datasetVersion: String(snapshotId) } } })
      }
      expect(((await run.lineage()) as Lineage).runs[0]).toMatchObject({ runId, object: `Etl/${how}` })
    },
  )

  test('that there is not, or of no table, is an error', async () => {
    expect(await failure(stub('Etl', 'none').comesFrom(5))).toMatchObject({ code: 'SNAPSHOT_UNKNOWN', data: { snapshotId: 5 } })
  })
})

describe('a fork that is rehearsed', () => {
  afterEach(() => void (code.version = 1))

  /** All that an object and those that it calls have stored. */
  const state = async (name: string) => ({
    etl: (await stub('Etl', name).own()) as unknown,
    depot: (await stub('Depot', name).notes()) as unknown,
    runs: ((await inspector('Etl', name).runs()) as { runId: string }[]).map(({ runId }) => runId),
    depotRuns: ((await inspector('Depot', name).runs()) as { runId: string }[]).length,
    events: ((await inspector('Etl', name).events()) as unknown[]).length,
    schedules: ((await inspector('Etl', name).schedules()) as unknown[]).length,
    snapshot: ((await stub('Etl', name).comesFrom()) as Lineage).snapshot!.snapshotId,
  })
  const ended = async (name: string, method: string, args: unknown[] = []) => {
    const run = await stub('Etl', name).begin(method, args)
    await failure(run.result())
    if (method !== 'refuses') expect(await run.status()).toMatchObject({ status: 'done' })
    return run
  }
  const step = (diff: ForkDiff, id?: string): ForkedStep => diff.steps.find(({ stepId }) => stepId === id)!
  const counts = ({ added, removed, changed, same }: ForkedStep) => [added.length, removed.length, changed.length, same]

  test('with the code that ran writes what was written, and nothing of it stays', async () => {
    const run = await ended('same', 'nightly', [3])
    const before = await state('same')
    const diff = (await run.fork({ from: 'note', dryRun: true })) as ForkDiff
    expect(diff).toMatchObject({ outcome: 'done', differs: false, warnings: [], forkedFrom: { stepId: 'note' } })
    expect(diff.steps.map(({ stepId, state: is }) => `${stepId} ${is}`)).toEqual(
      expect.arrayContaining(['extract taken', 'note done', 'load done', 'own done']),
    )
    expect(counts(step(diff, 'load'))).toEqual([0, 0, 0, 1])
    expect(counts(step(diff))).toEqual([0, 0, 0, 1])
    // What the objects wrote is seen where it would have been written.
    expect(step(diff, 'note').elsewhere).toEqual([{ object: 'Depot/same', writer: 'storage', target: 'note()', rows: 1, sample: [] }])
    expect(step(diff, 'load').elsewhere).toMatchObject([{ object: 'Depot/same', writer: 'iceberg', target: 'lineage.events', rows: 3 }])
    expect(step(diff, 'own').elsewhere).toHaveLength(2)
    expect(diff.result).toEqual({ before: '{"noted":1,"seen":1}', after: '{"noted":2,"seen":2}' })
    expect(await state('same')).toEqual(before)
  })

  test('with other code tells what is added, removed and changed, step by step, and names what it did not cover', async () => {
    const run = await ended('other', 'nightly', [3])
    const before = await state('other')
    code.version = 2
    const diff = (await run.fork({ from: 'load', dryRun: true })) as ForkDiff
    expect(diff.outcome).toBe('done')
    expect(step(diff, 'load').changed).toMatchObject([
      { before: { target: 'Depot/other', what: 'keep', n: 1 }, after: { what: 'keep', n: 1 } },
    ])
    expect(step(diff, 'tell').added).toMatchObject([{ kind: 'http', target: 'https://nowhere.invalid/hook', what: 'POST', input: '"hi"' }])
    expect(step(diff).added.map(({ kind, target, input }) => [kind, target, input])).toEqual([
      ['run', 'load', '["store",1]'],
      ['send', 'Etl.told', '{"answer":202,"started":true}'],
    ])
    expect(step(diff).elsewhere).toMatchObject([{ writer: 'schedule', target: 'later' }])
    expect(diff.warnings).toEqual(['Etl/other used env.R2_BUCKET.put: a bare binding, which is not held back'])
    expect(diff.text).toContain('    + requested POST https://nowhere.invalid/hook "hi"')
    expect(await state('other')).toEqual(before)
  })

  test('hears of what the slower of two calls in one message would have written', async () => {
    const run = await ended('together', 'together')
    const diff = (await run.rehearse()) as ForkDiff
    expect(diff).toMatchObject({ outcome: 'done', differs: false })
    expect(step(diff, 'both').elsewhere.map(({ writer, target }) => `${writer} ${target}`)).toEqual(['storage note()', 'event Depot.slow'])
  })

  test('stops where it would have to wait for what never came, and passes where it came', async () => {
    const run = await stub('Etl', 'waits').begin('waits', [])
    while (((await run.steps()) as unknown[]).length < 2) await new Promise((resolve) => setTimeout(resolve, 10))
    await stub('Etl', 'waits').go(7)
    await run.result()
    const diff = (await run.fork({ dryRun: true })) as ForkDiff
    expect(diff).toMatchObject({ outcome: 'done', result: { before: '7', after: '7' } })
    code.version = 2
    expect(await run.fork({ from: 'go', dryRun: true })).toMatchObject({
      outcome: 'stopped',
      error: expect.stringContaining('waits for Etl.more') as string,
    })
  })

  test('refuses what can be neither done nor written down, and bad input as a fork does', async () => {
    const run = await ended('refuses', 'refuses')
    const inspector = open().inspector('Etl', 'refuses') as unknown as { rehearseFork(runId: string, options: unknown): Promise<ForkDiff> }
    expect(await inspector.rehearseFork((await run.runId) as string, {})).toMatchObject({
      outcome: 'failed',
      error: expect.stringContaining('DRY_RUN_REFUSED') as string,
    })
    expect(await failure(run.fork({ from: 'none', dryRun: true }))).toMatchObject({ code: 'STEP_UNKNOWN' })
    expect(await failure(inspector.rehearseFork('none', {}))).toMatchObject({ code: 'RUN_UNKNOWN' })
  })
})
