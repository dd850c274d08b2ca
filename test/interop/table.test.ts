/** Engines of Python read the table of the running app by attaching to it: its REST catalog, and its bucket by S3. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runPipeline, startDemo, type RunningApp } from '../support/app.ts'
import { openDuckDb, python, runPython } from './support/python.ts'

interface Totals {
  flights: number
  delay: number
  distance: number
}

const totals = 'SELECT COUNT(*) AS flights, SUM(delay) AS delay, SUM(distance) AS distance FROM flights'

/** Opens the table as `table`. All that is given is the catalog's address and a token: where the files are, the catalog says. */
const openTable = `
import json, sys, warnings
warnings.filterwarnings('ignore')
from pyiceberg.catalog.rest import RestCatalog
url, token = sys.argv[1:]
catalog = RestCatalog('app', uri=url + 'iceberg', token=token)
table = catalog.load_table('analytics.flights')
`

/** Attaches the catalog as `lake`, by its address and a token. */
const attach = `${openDuckDb}
import json, sys
url, token = sys.argv[1:]
con.sql("CREATE SECRET app (TYPE iceberg, TOKEN '" + token + "')")
con.sql("ATTACH 'data-lake' AS lake (TYPE iceberg, ENDPOINT '" + url + "iceberg', SECRET app)")
`

describe.skipIf(python === undefined)('the table of the running app', () => {
  let running: RunningApp
  beforeAll(async () => {
    running = await startDemo()
    await runPipeline(running.app)
  }, 240_000)
  afterAll(() => running?.stop())

  const own = async (sql: string) => ((await running.app.Pipeline('main').query(sql)) as unknown[])[0]
  const ask = <Result>(program: string) => runPython<Result>(program, [running.url, running.token])

  describe('read by PyIceberg', () => {
    test('has the rows that the app has', async () => {
      const read = await ask<Totals>(`${openTable}
rows = table.scan(selected_fields=('delay', 'distance')).to_arrow()
print(json.dumps({'flights': rows.num_rows, 'delay': sum(rows['delay'].to_pylist()), 'distance': sum(rows['distance'].to_pylist())}))`)
      expect(read).toEqual(await own(totals))
      expect(read.flights).toBe(200_000)
    })

    test('has its namespace, its columns and a partition for each day', async () => {
      const read = await ask<unknown>(`${openTable}
print(json.dumps({
  'tables': ['.'.join(name) for name in catalog.list_tables('analytics')],
  'columns': [f'{field.name}: {field.field_type}' for field in table.schema().fields],
  'partitioned': [f'{field.name}: {field.transform}' for field in table.spec().fields],
  'partitions': table.inspect.partitions().num_rows,
  'snapshots': len(table.metadata.snapshots),
}))`)
      expect(read).toEqual({
        tables: ['analytics.flights'],
        columns: [
          'date: timestamp',
          'delay: int',
          'distance: int',
          'origin: string',
          'originState: string',
          'destination: string',
          'destinationState: string',
        ],
        partitioned: ['date_day: day'],
        partitions: 13,
        snapshots: 13,
      })
    })

    test('reads one file for one day, and gives its rows', async () => {
      const read = await ask<{ files: number; flights: number; delay: number }>(`${openTable}
scan = table.scan(row_filter="date >= '2001-01-02T00:00:00' and date < '2001-01-03T00:00:00'")
rows = scan.to_arrow()
print(json.dumps({'files': len(list(scan.plan_files())), 'flights': rows.num_rows, 'delay': sum(rows['delay'].to_pylist())}))`)
      const day = await own(
        "SELECT COUNT(*) AS flights, SUM(delay) AS delay FROM flights WHERE date >= '2001-01-02' AND date < '2001-01-03'",
      )
      expect(read).toEqual({ files: 1, ...(day as object) })
    })

    test('skips files by the bounds of a column that is no partition', async () => {
      const read = await ask<number[]>(`${openTable}
print(json.dumps([len(list(table.scan(row_filter='distance > 100000').plan_files())), len(list(table.scan(row_filter='originState is null').plan_files()))]))`)
      expect(read[0]).toBe(0)
      expect(read[1]).toBeLessThanOrEqual(13)
    })

    test('travels back to the first snapshot', async () => {
      const read = await ask<{ flights: number; days: string[] }>(`${openTable}
first = table.metadata.snapshots[0]
rows = table.scan(snapshot_id=first.snapshot_id, selected_fields=('date',)).to_arrow()
print(json.dumps({'flights': rows.num_rows, 'days': sorted({str(date)[:10] for date in rows['date'].to_pylist()})}))`)
      expect(read.days).toHaveLength(1)
      expect(read.flights).toBe(((await own(`SELECT COUNT(*) AS n FROM flights WHERE day = '${read.days[0]}'`)) as { n: number }).n)
    })

    test('is refused without a token of the app', async () => {
      await expect(runPython(openTable, [running.url, 'dotdo1.e30.AAAA'])).rejects.toThrow(/TOKEN_INVALID|Unauthorized|NotAuthorized/i)
    })
  })

  describe('read by DuckDB', () => {
    test('has the rows that the app has, also by day', async () => {
      const read = await ask<[number[], number[]]>(`${attach}
all = con.sql('SELECT COUNT(*)::INT, SUM(delay)::INT, SUM(distance)::INT FROM lake.analytics.flights').fetchone()
day = con.sql("SELECT COUNT(*)::INT, SUM(delay)::INT FROM lake.analytics.flights WHERE date >= '2001-01-02' AND date < '2001-01-03'").fetchone()
print(json.dumps([all, day]))`)
      const day = await own(
        "SELECT COUNT(*) AS flights, SUM(delay) AS delay FROM flights WHERE date >= '2001-01-02' AND date < '2001-01-03'",
      )
      expect(read).toEqual([Object.values((await own(totals)) as object), Object.values(day as object)])
    })
  })
})
