/** The names of the limits, and the error that is given over one. */
import { expect, test } from 'vitest'
import { fromErrorRecord, toErrorRecord } from '../../src/base/errors.ts'
import { errorForWire } from '../../src/rpc/errors.ts'
import { defaultClientLimits, defaultDepthLimits, defaultLinkLimits, LimitError, overLimit } from '../../src/rpc/limits.ts'

test('the error names the limit, the value, the bound and the caller, and is never retryable as it is', () => {
  const error = overLimit('chainDepth', 5, 3, 'Pipeline/main')
  expect(error).toBeInstanceOf(LimitError)
  expect(error).toMatchObject({
    name: 'LimitError',
    code: 'LINK_LIMIT',
    retryable: false,
    data: { limit: 'chainDepth', value: 5, bound: 3, caller: 'Pipeline/main' },
    message: expect.stringMatching(/^Pipeline\/main passed the limit chainDepth: 5 is more than 3\. Await/),
  })
  expect(overLimit('mapSteps', 2, 1).data).toEqual({ limit: 'mapSteps', value: 2, bound: 1 })
})

test('the error is the same after a wire and after a disk', () => {
  const error = overLimit('graphMs', 5000, 3000, 'a client')
  const expected = { name: 'LimitError', code: 'LINK_LIMIT', retryable: false, data: error.data, message: error.message }
  expect(errorForWire(error)).toMatchObject(expected)
  expect(fromErrorRecord(structuredClone(toErrorRecord(error)))).toMatchObject(expected)
})

test('every limit has advice, and a default that is a whole number', () => {
  for (const limits of [defaultLinkLimits, defaultClientLimits, defaultDepthLimits]) {
    for (const [name, bound] of Object.entries(limits)) {
      expect(Number.isSafeInteger(bound) && bound > 0, name).toBe(true)
      expect(overLimit(name, bound + 1, bound).message).toMatch(/ or let the app raise it by serve\(\{ limits \}\)\.$/)
    }
  }
})

test('a stranger is allowed nothing that an object of the app is not', () => {
  for (const name of Object.keys(defaultClientLimits) as (keyof typeof defaultClientLimits)[])
    if (name in defaultLinkLimits)
      expect(defaultClientLimits[name]).toBeLessThanOrEqual(defaultLinkLimits[name as keyof typeof defaultLinkLimits])
})
