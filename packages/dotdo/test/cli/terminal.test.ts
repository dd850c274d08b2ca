import { describe, expect, test } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import { answerOf, errorLine, errorText, exitCodeOf, lostReason, notReached } from '../../src/cli/failure.ts'
import { wantsColor } from '../../src/cli/paint.ts'
import { recorded } from './machine.ts'

const token = 'dotdo1.eyJraW5kIjoic2Vzc2lvbiJ9.c2lnbmF0dXJl'

describe('a terminal', () => {
  test('keeps answers and remarks apart', () => {
    const { terminal, out, err } = recorded()
    terminal.print('one', 'two')
    terminal.note('three')
    terminal.object({ big: 2n ** 60n, bytes: Uint8Array.of(1, 2, 3) })
    expect([out(), err()]).toEqual(['one\ntwo\n{"big":"1152921504606846976","bytes":"AQID"}\n', 'three\n'])
  })

  test('shows no token by either stream, nor what it was told to hide', () => {
    const { terminal, out, err } = recorded()
    terminal.hide('an-app-token-of-its-own')
    terminal.hide('short')
    terminal.print(`with ${token}`, 'an-app-token-of-its-own', 'short')
    terminal.note(`cut: ${token.slice(0, 30)}`)
    terminal.object({ token })
    expect(out() + err()).not.toMatch(/eyJraW5k|an-app-token/)
    expect(out()).toContain('short')
    terminal.reveal(token)
    expect(out()).toContain(token)
  })

  test('is as wide as its window, as COLUMNS says, or endless', () => {
    expect(recorded({}, 60).terminal.columns).toBe(60)
    expect(recorded({}, 5).terminal.columns).toBe(20)
    expect(recorded({ COLUMNS: '72' }).terminal.columns).toBe(72)
    for (const COLUMNS of ['', '0', 'x', '-3']) expect(recorded({ COLUMNS }).terminal.columns).toBe(Infinity)
  })

  test('draws in the place of what it has drawn, until that is left where it is', () => {
    const { terminal, out } = recorded({}, 80)
    terminal.draw(['a', 'b'])
    terminal.draw(['c'])
    terminal.settle()
    terminal.draw(['d'])
    expect(out()).toBe('\u001b[2Ka\n\u001b[2Kb\n\u001b[J\u001b[2A\u001b[2Kc\n\u001b[J\u001b[2Kd\n\u001b[J')
    expect([terminal.isLive, recorded({ TERM: 'dumb' }, 80).terminal.isLive, recorded().terminal.isLive]).toEqual([true, false, false])
  })
})

test.each<[boolean, Record<string, string>, boolean]>([
  [true, {}, true],
  [false, {}, false],
  [true, { NO_COLOR: '1' }, false],
  // An empty value says nothing (no-color.org).
  [true, { NO_COLOR: '' }, true],
  [true, { TERM: 'dumb' }, false],
  [false, { FORCE_COLOR: '1' }, true],
  [true, { FORCE_COLOR: '0' }, false],
  [false, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
])('colours where a person looks (%s) and %j: %s', (isTTY, env, wanted) => {
  expect(wantsColor(isTTY, env)).toBe(wanted)
})

describe('an error', () => {
  test.each([
    ['USAGE_INVALID', 2],
    ['INVALID_URL', 2],
    ['INVALID_DURATION', 2],
    ['APP_NOT_FOUND', 3],
    ['LINK_LOST', 3],
    ['TOKEN_INVALID', 3],
    ['TOKEN_EXPIRED', 3],
    ['SECRET_MISSING', 3],
    ['RUN_UNKNOWN', 1],
    ['APP_NOT_STARTED', 1],
    ['ANY_OTHER', 1],
  ])('%s ends with %i', (code, exit) => {
    expect(exitCodeOf(new DotdoError(code, 'x'))).toBe(exit)
  })

  test('without a code is 1, and is the only one that says where it came from', () => {
    expect(exitCodeOf('thrown')).toBe(1)
    expect(errorText(new TypeError('x is not a function')).stack).toContain('terminal.test.ts')
    expect(errorText(new DotdoError('RUN_UNKNOWN', 'no such run'))).toEqual({ message: 'RUN_UNKNOWN: no such run', stack: undefined })
    expect(errorText(new DotdoError('USAGE_INVALID', 'no such option')).message).toBe('no such option')
  })

  test('of the code of the app says no more than its message, with or without a code', async () => {
    const thrown = [
      new TypeError('rows is not iterable'),
      new Error('no such column: origin'),
      new DotdoError('SQL_INVALID', 'no such table'),
    ]
    const stacks = await Promise.all(thrown.map((it) => answerOf(Promise.reject(it)).catch((error: unknown) => errorText(error))))
    expect(stacks).toEqual([
      { message: 'rows is not iterable', stack: undefined },
      { message: 'no such column: origin', stack: undefined },
      { message: 'SQL_INVALID: no such table', stack: undefined },
    ])
    expect(await answerOf(Promise.resolve(1))).toBe(1)
  })

  test('of a connection says its reason to people, without what is said to programs', () => {
    const told = 'The session of this reference is gone: it did not open. Take a new one, by connect().'
    expect([lostReason(told), lostReason('closed with 1006')]).toEqual(['it did not open', 'closed with 1006'])
    const error = notReached(told)
    expect(error).toMatchObject({
      code: 'LINK_LOST',
      message: expect.stringMatching(/^The app was not reached.*: it did not open\. Is it/) as string,
    })
    expect(notReached(error.message, error)).toBe(error)
    expect(exitCodeOf(notReached(told))).toBe(3)
  })

  test('for programs is its record with the exit code', () => {
    expect(errorLine(new DotdoError('LINK_LOST', 'gone', { retryable: true, data: { reason: 'x' } }))).toEqual({
      error: { name: 'DotdoError', code: 'LINK_LOST', message: 'gone', retryable: true, data: { reason: 'x' }, exitCode: 3 },
    })
  })
})
