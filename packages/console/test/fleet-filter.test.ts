import fc from 'fast-check'
import { expect, test } from 'vitest'
import { askOf, changed, fieldOf, minuteOf, timeOf, timeOfField } from '../src/fleet-filter.ts'

const noon = Date.UTC(2026, 10, 23, 12)

test('a time is a length before now, or an instant with its zone', () => {
  expect(timeOf('90m', noon)).toBe(noon - 5_400_000)
  expect(timeOf('1h', noon)).toBe(noon - 3_600_000)
  expect(timeOf('7d', noon)).toBe(noon - 7 * 86_400_000)
  expect(timeOf('2026-11-23T02:00Z', noon)).toBe(Date.UTC(2026, 10, 23, 2))
  for (const text of ['', 'd', '1', '1w', '-1d', '2026-11-23T02:00', '2026-13-23T02:00Z']) expect(timeOf(text, noon)).toBeUndefined()
})

test('a question has instants where the filter has times, and nothing that was not asked', () => {
  expect(askOf({}, noon)).toEqual({})
  expect(askOf({ tag: 'x', since: '1h', until: '2026-11-23T11:30Z' }, noon)).toEqual({
    tag: 'x',
    since: noon - 3_600_000,
    until: noon - 1_800_000,
  })
})

test('what is emptied is not narrowed by any more', () => {
  expect(changed({ state: 'held', tag: 'x' }, { tag: '', noun: 'Load' })).toEqual({ state: 'held', noun: 'Load' })
  expect(changed({ since: '1d' }, { since: undefined })).toEqual({})
})

test('a field in the reader’s zone comes back as the minute that it was filled with', () => {
  fc.assert(
    fc.property(fc.date({ min: new Date(0), max: new Date(Date.UTC(2099, 0)), noInvalidDate: true }), (date) => {
      const minute = minuteOf(date.getTime())
      const [value, again] = [fieldOf(minute, noon), fieldOf(timeOfField(fieldOf(minute, noon)), noon)]
      expect(value).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d$/)
      // An hour that the zone's clocks show twice is one of the two; the field shows the same.
      expect(again).toBe(value)
    }),
  )
  expect(fieldOf(undefined, noon)).toBe('')
  expect(timeOfField('')).toBeUndefined()
  expect(timeOfField('2026-13-01T00:00')).toBeUndefined()
})
