/** Capabilities of one Worker's objects, handed out and used by another's: by tokens, however the two are joined. */
import { restore } from 'dotdo/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hops, layouts, startCounted, type CountedApp } from './apps.ts'

const codeOfFailure = (call: PromiseLike<unknown>) =>
  Promise.resolve(call).then(
    (value) => ({ value }),
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  )

describe.each(Object.entries(layouts))('%s', (layout, workers) => {
  let counted: CountedApp
  let pipeline: any
  beforeAll(async () => {
    counted = await startCounted(workers)
    pipeline = counted.running.app.Pipeline('main')
  })
  afterAll(() => counted?.[Symbol.asyncDispose]())

  test('a token is restored where it was not issued, in one message, and is refused from its revocation on', async () => {
    const token = await pipeline.handOut('handed', { only: ['double'], where: { double: [{ max: 10 }] } })
    const { answer, arrivals } = await counted.during(() => pipeline.useToken(token, 'double', 4))
    expect(answer).toBe(8)
    expect(hops(arrivals)['Pipeline/main > Stage/handed']).toBe(1)
    expect(await codeOfFailure(pipeline.useToken(token, 'double', 11))).toBe('CAPABILITY_DENIED')
    expect(await codeOfFailure(pipeline.useToken(token, 'add', 1, 1))).toBe('CAPABILITY_DENIED')
    expect(await pipeline.takeBack(token)).toBe(true)
    expect(await codeOfFailure(pipeline.useToken(token, 'double', 4))).toBe('CAPABILITY_REVOKED')
    expect(await pipeline.handedOut('handed')).toEqual([{ noun: 'Stage', name: 'handed', by: 'Pipeline/main', status: 'revoked' }])
  })

  test('what calls lead to in another Worker is saved and narrowed there', async () => {
    const token = await pipeline.handOutStep('stepped')
    expect(await pipeline.useToken(token, 'depth')).toBeGreaterThan(0)
    expect(await codeOfFailure(pipeline.useToken(token, 'step'))).toBe('CAPABILITY_DENIED')
  })

  test('an object of another Worker is a holder', async () => {
    const token = await pipeline.handOut('held', { holder: { object: 'Pipeline/main' } })
    expect(await pipeline.useToken(token, 'double', 4)).toBe(8)
    expect(await codeOfFailure(counted.running.app.Pipeline('other').useToken(token, 'double', 4))).toBe('HOLDER_REFUSED')
  })

  test('a client without a session uses it at the Worker that it knows', async () => {
    const token = await pipeline.handOut('client', { only: ['double'] })
    using stage = restore<any>(counted.running.url, token)
    expect(await stage.double(21)).toBe(42)
  })

  test.skipIf(layout !== 'two, by service')(
    'a class that the other Worker has renamed is one by both names, and so are its tokens',
    async () => {
      const tokens = [await pipeline.handOutShard('Bin', 'named'), await pipeline.handOutShard('Shard', 'named')]
      const row = { id: 0, user: 'u', amount: 1, stages: [] }
      for (const token of tokens) expect(await pipeline.useToken(token, 'fill', [row], 0, 1)).toBe(1)
      const shard = counted.running.app.dotdo.object('Shard', 'named')
      expect((await shard.grants()).map(({ noun, by, status }) => ({ noun, by, status }))).toEqual(
        tokens.map(() => ({ noun: 'Shard', by: 'Pipeline/main', status: 'live' })),
      )
      expect(await pipeline.takeBack(tokens[0])).toBe(true)
      expect(await codeOfFailure(pipeline.useToken(tokens[0], 'fill', [row], 0, 1))).toBe('CAPABILITY_REVOKED')
    },
  )

  test('a token that is no longer what was issued is refused', async () => {
    const token: string = await pipeline.handOut('forged', {})
    const forged = token.replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A'))
    expect(await codeOfFailure(pipeline.useToken(forged, 'double', 1))).toBe('TOKEN_INVALID')
    expect(layout).toBeTruthy()
  })
})
