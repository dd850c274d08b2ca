/** To whom a stream goes, as the sessions ask; what users see of it is in the conformance suite. */
import { expect, test } from 'vitest'
import fc from 'fast-check'
import { deliverOnce, sendOnce } from '../../src/rpc/given-streams.ts'
import { streamOf } from '../conformance/world.ts'

const code = 'NOT_SENDABLE'
/** Whether what is sent in place of a stream is that stream, and not one that tells why it is none. */
async function isSent(stream: ReadableStream, isArgument: boolean): Promise<boolean> {
  const sent = sendOnce(stream, isArgument)
  if (sent === stream) return true
  await expect(sent.getReader().read()).rejects.toMatchObject({ code, message: expect.stringContaining('tee()') as string })
  return false
}

test('a result goes into one call, or to one end of a session, and whoever was given it may send it on once', async () => {
  const delivered = streamOf([1])
  deliverOnce(delivered)
  expect(() => deliverOnce(delivered)).toThrow(expect.objectContaining({ code }))
  expect(await isSent(delivered, true)).toBe(true)
  expect(await isSent(delivered, true)).toBe(false)

  const answered = streamOf([1])
  expect(await isSent(answered, false)).toBe(true)
  expect(() => deliverOnce(answered)).toThrow(expect.objectContaining({ code }))
  expect(await isSent(answered, true)).toBe(false)
})

test('a result that a call was given is no answer as well', async () => {
  const stream = streamOf([1])
  deliverOnce(stream)
  expect(await isSent(stream, false)).toBe(false)
})

test('in whatever order it is asked for, nobody reads what somebody else does', async () => {
  const uses = fc.array(fc.constantFrom('deliver', 'pass', 'answer'), { minLength: 1, maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(uses, async (all) => {
      const stream = streamOf([1])
      const given: string[] = []
      for (const use of all) {
        if (use !== 'deliver') {
          if (await isSent(stream, use === 'pass')) given.push(use)
          continue
        }
        try {
          deliverOnce(stream)
          given.push(use)
        } catch (error) {
          expect(error).toMatchObject({ code })
        }
      }
      // Read once: by one that it was delivered to, or by the one that it was sent to, be that by whom it was delivered to.
      expect([['deliver'], ['pass'], ['answer'], ['deliver', 'pass']]).toContainEqual(given)
    }),
  )
})
