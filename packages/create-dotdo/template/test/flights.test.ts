import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { byDay, enrich, type Flight } from '../src/flights.ts'

const airports = [
  { iata: 'DTW', name: 'Detroit Metropolitan', city: 'Detroit', state: 'MI' },
  { iata: 'LAS', name: 'McCarran', city: 'Las Vegas', state: 'NV' },
]
const flight = (date: string, origin: string, destination: string): Flight => ({ date, delay: 5, distance: 1750, origin, destination })

test('a flight learns the states it went from and to', () => {
  const [known, unknown] = enrich([flight('2001-01-01T00:47:00', 'DTW', 'LAS'), flight('2001-01-01T01:00:00', 'XXX', 'LAS')], airports)
  deepEqual([known!.originState, known!.destinationState], ['MI', 'NV'])
  equal(unknown!.originState, null)
})

test('flights are grouped by day, in order', () => {
  const flights = enrich(
    [flight('2001-01-01T00:47:00', 'DTW', 'LAS'), flight('2001-01-02T08:00:00', 'LAS', 'DTW'), flight('2001-01-02T09:00:00', 'DTW', 'LAS')],
    airports,
  )
  deepEqual(
    [...byDay(flights)].map(([day, rows]) => [day, rows.length]),
    [
      ['2001-01-01', 1],
      ['2001-01-02', 2],
    ],
  )
})
