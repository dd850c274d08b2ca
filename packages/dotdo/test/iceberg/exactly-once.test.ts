import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { World, type Job } from './support/world.ts'

function makeJobs(count: number, rowsEach: number): Job[] {
  return Array.from({ length: count }, (_, j) => ({
    key: `run-${j}/load`,
    rows: Array.from({ length: 1 + ((j * 7) % rowsEach) }, (_, i) => ({
      id: j * 1000 + i,
      job: `run-${j}`,
      day: `2026-01-0${1 + (i % 3)}`,
    })),
    receipts: [],
    attempts: 0,
  }))
}

async function simulate(seed: number, faults: number, jobs = makeJobs(4, 6)): Promise<World> {
  const world = new World(seed, faults)
  await world.run(jobs)
  const found = (await world.rows()).map((row) => Number(row.id)).toSorted((a, b) => a - b)
  // Each row once: none lost, none twice.
  expect(found, world.happened.join(', ')).toEqual(jobs.flatMap((job) => job.rows.map((row) => row.id)).toSorted((a, b) => a - b))
  for (const job of jobs) {
    expect(new Set(job.receipts.map((it) => it.snapshotId)).size).toBe(1)
    expect(job.receipts.map((it) => it.rows)).toEqual([job.rows.length, job.rows.length])
    expect(job.receipts[1]!.duplicate).toBe(true)
  }
  expect(world.bucket.overwritten).toEqual([])
  return world
}

describe('writers that conflict, crash and repeat themselves', () => {
  test('without faults every job is one snapshot, in one chain', async () => {
    const world = await simulate(1, 0)
    const { metadata } = (await world.catalog.loadTable({ namespace: ['sim'], name: 'loads' }))!
    expect(metadata.snapshots).toHaveLength(4)
    expect(metadata.snapshots.map((it) => it['parent-snapshot-id'])).toEqual([
      undefined,
      ...metadata.snapshots.slice(0, -1).map((it) => it['snapshot-id']),
    ])
    expect(metadata.snapshots.map((it) => it['sequence-number'])).toEqual([1, 2, 3, 4])
  })
  test('the table holds each row once, whatever fails between two effects', async () => {
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 25 }), async (seed, faults) => {
        for (const it of (await simulate(seed, faults)).happened) seen.add(it)
      }),
      { numRuns: 150 },
    )
    // A simulation that never strikes would prove nothing.
    expect([...seen].toSorted()).toEqual([
      'a reply is lost',
      'a request comes late',
      'a request is lost',
      'a writer dies',
      'delete fails',
      'put answers an error',
      'put fails',
      'the catalog is reset',
    ])
  }, 120_000)
  test('objects that no commit names are deleted where that is certain: without deaths and lost messages none is left', async () => {
    const world = await simulate(3, 0, makeJobs(6, 3))
    const { metadata } = (await world.catalog.loadTable({ namespace: ['sim'], name: 'loads' }))!
    const keys = [...world.bucket.objects.keys()].map((key) => key.replace(/^.*\/(data|metadata)\//, '$1/'))
    expect(keys.filter((key) => key.startsWith('metadata/snap-'))).toHaveLength(metadata.snapshots.length)
    expect(keys.filter((key) => key.endsWith('-m0.avro'))).toHaveLength(metadata.snapshots.length)
    expect(keys.filter((key) => key.endsWith('.metadata.json'))).toHaveLength(metadata.snapshots.length + 1)
  })
})
