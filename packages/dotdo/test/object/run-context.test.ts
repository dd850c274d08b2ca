/** Runs that are under way at once in one object and call the same other object: neither sees the other's context. */
import { describe, expect, test } from 'vitest'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import type { Far } from '../conformance/kit.ts'

const links = new Links(linkPorts('test', () => {}))

describe('runs over one link', () => {
  test('each do their own steps, before a call and after it, and a callback is in no run', async () => {
    const driver = links.user('Driver', 'runs') as Far
    const names = Array.from({ length: 20 }, (_, i) => `run ${i}`)
    // In one turn, so that all of them are under way together. Were a step done in another's run, its id would have been used there already.
    const seen = await Promise.all(names.map((name) => driver.stepsAround('a shared world', name)))
    expect(seen).toEqual(names.map((name) => [`${name} began`, 'DO_OUTSIDE_RUN', 'DO_OUTSIDE_RUN', `${name} ended`]))

    const inspector = links.inspector('Driver', 'runs') as Far
    const runs = await inspector.runs({ limit: 100 })
    expect(runs).toHaveLength(20)
    for (const { runId } of runs) {
      const { status, steps } = await inspector.run(runId)
      expect([status, ...steps.map((it: { stepId: string }) => it.stepId)]).toEqual(['done', 'begin', 'end'])
    }
  })
})
