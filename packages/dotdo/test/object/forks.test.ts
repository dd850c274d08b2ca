/** Lineage and rehearsed forks in real objects. */
import { describe, expect, test } from 'vitest'
import type { Lineage } from '../../src/journal/lineage-view.ts'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'

const open = () => new Links(linkPorts('test', () => {}))
// Stubs are as free as JSON here: the types of remote objects have tests of their own.
// oxlint-disable-next-line typescript/no-explicit-any
const stub = (noun: string, name: string): any => open().user(noun, name)
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
