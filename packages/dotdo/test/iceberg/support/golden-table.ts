import { SeededRandom } from '../../support/fakes.ts'
import { events, openLake } from './lake.ts'

/** Where a golden table stands in its folder, and what it holds. */
export interface GoldenTable {
  /** The folder of the table, below the one that was given. */
  table: string
  /** Its newest metadata file, below the one that was given. */
  metadata: string
  rows: number
  /** The sum of all `ts`, in milliseconds. */
  sumTs: number
}

/**
 * Writes a table of two snapshots, always the same, below a folder: the clock and randomness are fixed, so that a later release can be compared
 * byte by byte, and opens what an earlier one wrote. Also gives the catalog's SQL tables as rows, which are a stored format, too.
 */
export async function writeGoldenTable(folder: string): Promise<GoldenTable & { catalog: Record<string, unknown[]> }> {
  const lake = openLake(20260101)
  const random = new SeededRandom(7)
  const writer = lake.writer({}, { random })
  const rows = [...events(3, 40), ...events(2, 10)]
  await writer.write(rows.slice(0, 120), { commitKey: 'golden/1' })
  lake.clock.advance(60_000)
  await writer.write(rows.slice(120), { commitKey: 'golden/2' })
  lake.bucket.dump(folder)
  const status = (await writer.snapshot())!
  const catalog: Record<string, unknown[]> = {}
  for (const { name } of lake.store.sql<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"))
    catalog[name] = lake.store.sql(`SELECT * FROM ${name}`)
  return {
    table: status.location.replace('s3://lake/', ''),
    metadata: status.metadataLocation.replace('s3://lake/', ''),
    rows: rows.length,
    sumTs: rows.reduce((sum, row) => sum + row.ts, 0),
    catalog,
  }
}
