import { expect, test } from 'vitest'
import { linkLost } from '../../src/rpc/errors.ts'
import { linkEnded } from '../../src/rpc/session-end.ts'

test('the end that every session has is told as a loss is, without a stack, and errors after it have theirs', () => {
  const ended = linkEnded('its turn is over')
  expect(ended).toMatchObject({ code: 'LINK_LOST', retryable: true, data: { reason: 'its turn is over' } })
  expect(ended.message).toBe(linkLost('its turn is over').message)
  expect(ended.stack).not.toContain('\n    at ')
  expect(new Error('later').stack).toContain('\n    at ')
})
