/** An engine that is not ours reads the table that the app has written, by attaching to the running Worker. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chdb } from '../support/chdb.ts'
import { runPipeline, startDemo, temporary, type RunningApp } from '../support/app.ts'

let running: RunningApp
let folder: Awaited<ReturnType<typeof temporary>>
beforeAll(async () => {
  folder = await temporary('chdb')
  running = await startDemo()
  await runPipeline(running.app)
}, 240_000)
afterAll(async () => {
  await running?.stop()
  await folder?.remove()
})

/** What a person would write to attach: the catalog's address, a token, and where the files are, unless the catalog may say so itself. */
const attach = (token: string, storage = `, storage_endpoint = '${running.url}buckets/data-lake'`) => [
  'SET allow_database_iceberg = 1',
  `CREATE DATABASE lake ENGINE = DataLakeCatalog('${running.url}iceberg/v1', 'any', 'key') SETTINGS catalog_type = 'rest', warehouse = 'data-lake', auth_header = 'Authorization: Bearer ${token}'${storage}`,
]
const ask = async (...queries: string[]) => (await chdb(folder.path, [...attach(running.token), ...queries])).slice(2)
const own = (sql: string): Promise<Record<string, unknown>[]> => running.app.Pipeline('main').query(sql)

describe('ClickHouse, attached to the running Worker', () => {
  test('finds the table in the catalog, with its columns', async () => {
    const [tables, columns] = await ask('SHOW TABLES FROM lake', 'DESCRIBE TABLE lake.`analytics.flights`')
    expect(tables).toEqual([{ name: 'analytics.flights' }])
    expect(columns!.map((it) => it['name'])).toEqual([
      'date',
      'delay',
      'distance',
      'origin',
      'originState',
      'destination',
      'destinationState',
    ])
  })

  test('counts the rows, sums the delays and groups by origin as the app itself does', async () => {
    const [totals, byOrigin] = await ask(
      'SELECT toInt32(count()) AS flights, toInt32(sum(delay)) AS delay, toInt32(sum(distance)) AS distance FROM lake.`analytics.flights`',
      'SELECT origin, toInt32(count()) AS flights, toInt32(sum(delay)) AS delay FROM lake.`analytics.flights` GROUP BY origin ORDER BY origin',
    )
    expect(totals).toEqual(await own('SELECT COUNT(*) AS flights, SUM(delay) AS delay, SUM(distance) AS distance FROM flights'))
    expect(totals![0]!['flights']).toBe(200_000)
    expect(byOrigin!.length).toBeGreaterThan(100)
    expect(byOrigin).toEqual(
      await own('SELECT origin, COUNT(*) AS flights, SUM(delay) AS delay FROM flights GROUP BY origin ORDER BY origin'),
    )
  })

  test('filters by the column of the partitions, and by one that may be NULL', async () => {
    const [day, unknown] = await ask(
      "SELECT toInt32(count()) AS flights FROM lake.`analytics.flights` WHERE date >= '2001-01-02 00:00:00' AND date < '2001-01-03 00:00:00'",
      'SELECT toInt32(count()) AS flights FROM lake.`analytics.flights` WHERE originState IS NULL',
    )
    expect(day).toEqual(await own("SELECT COUNT(*) AS flights FROM flights WHERE date >= '2001-01-02' AND date < '2001-01-03'"))
    expect(unknown).toEqual(await own('SELECT COUNT(*) AS flights FROM flights WHERE originState IS NULL'))
  })

  test('finds the files by what the catalog says where nobody says it', async () => {
    const answers = await chdb(folder.path, [
      ...attach(running.token, ''),
      'SELECT toInt32(sum(delay)) AS delay FROM lake.`analytics.flights`',
    ])
    expect(answers.at(-1)).toEqual(await own('SELECT SUM(delay) AS delay FROM flights'))
  })

  test('is refused without a token that is the app’s', async () => {
    await expect(chdb(folder.path, [...attach('dotdo1.e30.AAAA'), 'SHOW TABLES FROM lake'])).rejects.toThrow(
      /401|TOKEN_INVALID|Unauthorized/i,
    )
  })
})
