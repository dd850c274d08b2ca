import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { testApp } from 'dotdo/testing'
import * as app from '../src/index.ts'

// What lies in the data lake of a test: two days of flights, and the airports.
const flight = (date: string) => ({ date, delay: 5, distance: 1750, origin: 'DTW', destination: 'LAS' })
const sources = {
  flights: {
    '2001-01-01.ndjson': [flight('2001-01-01T00:47:00'), flight('2001-01-01T01:00:00')],
    '2001-01-02.ndjson': [flight('2001-01-02T08:00:00')],
  },
  airports: [
    { iata: 'DTW', name: 'Detroit Metropolitan', city: 'Detroit', state: 'MI' },
    { iata: 'LAS', name: 'McCarran', city: 'Las Vegas', state: 'NV' },
  ],
}

test('a night loads each day of flights once, and shares it out to the shards', async () => {
  const night = await testApp(app, { sources, at: '2026-01-01T00:00Z' })
  await night.advance('1d')
  const [daily, shared] = night.runs()
  deepEqual([daily!.status, daily!.result, shared!.status], ['done', { records: 3 }, 'done'])
  deepEqual(
    daily!.views.map(({ stepId }) => stepId),
    ['extract-flights', 'extract-airports', 'enrich-flights', 'load-2001-01-01', 'load-2001-01-02'],
  )
  deepEqual(await night.Pipeline('main').query('SELECT originState, COUNT(*) AS n FROM flights GROUP BY originState'), [
    { originState: 'MI', n: 3 },
  ])
})

test('an object that dies after a load, and before it could remember it, loads nothing twice', async () => {
  const night = await testApp(app, { sources })
  night.crashAfter('load-2001-01-01', { stored: false })
  await night.advance('1d')
  const [daily] = night.runs()
  deepEqual([daily!.status, daily!.attempt], ['done', 2])
  equal((await night.Pipeline('main').table())?.rows, 3)
})
