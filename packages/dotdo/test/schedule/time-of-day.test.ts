import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatTimeOfDay, parseTimeOfDay } from '../../src/schedule/time-of-day.ts'

describe('parseTimeOfDay', () => {
  it.each([
    ['2am', '02:00'],
    ['9am', '09:00'],
    ['9:30pm', '21:30'],
    ['9 AM', '09:00'],
    ['12am', '00:00'],
    ['12:01am', '00:01'],
    ['12pm', '12:00'],
    ['11:59pm', '23:59'],
    ['14:30', '14:30'],
    ['02:00', '02:00'],
    ['2:05', '02:05'],
    ['00:00', '00:00'],
    ['23:59', '23:59'],
    ['noon', '12:00'],
    ['Midnight', '00:00'],
    [' 2am ', '02:00'],
  ])('reads %j as %s', (text, expected) => {
    expect(formatTimeOfDay(parseTimeOfDay(text))).toBe(expected)
  })

  it.each([
    '25:00',
    "9 am o'clock",
    '13pm',
    '0am',
    '',
    ' ',
    '9',
    '24:00',
    '12:60',
    '9:3pm',
    '9:60am',
    '-1:00',
    '1:00:00',
    '9.30pm',
    'noonish',
    '１am',
  ])('refuses %j, with the value and what is accepted', (text) => {
    expect(() => parseTimeOfDay(text)).toThrow(
      expect.objectContaining({
        code: 'INVALID_TIME',
        retryable: false,
        message: expect.stringContaining(JSON.stringify(text)),
        data: expect.objectContaining({ time: text }),
      }),
    )
    expect(() => parseTimeOfDay(text)).toThrow(/'2am'.*'14:30'.*'noon'/)
  })

  it.each([undefined, null, 9, {}])('refuses %j, which is no text', (value) => {
    expect(() => parseTimeOfDay(value as unknown as string)).toThrow(expect.objectContaining({ code: 'INVALID_TIME' }))
  })

  it('reads back every minute of the day, on both clocks', () => {
    fc.assert(
      fc.property(fc.nat(23), fc.nat(59), (hour, minute) => {
        const digits = String(minute).padStart(2, '0')
        const twelve = `${hour % 12 === 0 ? 12 : hour % 12}:${digits}${hour < 12 ? 'am' : 'pm'}`
        expect(parseTimeOfDay(twelve)).toEqual({ hour, minute })
        expect(parseTimeOfDay(formatTimeOfDay({ hour, minute }))).toEqual({ hour, minute })
      }),
    )
  })
})
