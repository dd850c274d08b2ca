import { expect, test } from 'vitest'
import { secret } from '../../src/base/secrets.ts'
import { diffFork } from '../../src/journal/fork-diff.ts'
import { printBounded } from '../../src/journal/previews.ts'
import { settle, TestObject } from './harness.ts'

const canary = 'canary-5b1f0c77e2'
const key = secret('CANARY', canary)

test('a preview that is cut in the middle of a secret shows no part of it', () => {
  for (let before = 2020; before < 2052; before++)
    expect(printBounded('x'.repeat(before) + canary + 'y'.repeat(5000))).not.toMatch(/canary|5b1f/)
})

test('a rehearsed fork tells no secret, neither in what failed nor in what would be written elsewhere', () => {
  const error = Object.assign(new Error(`refused with ${canary}`), { code: 'NO' })
  const diff = diffFork({
    forkedFrom: { runId: 'r' },
    steps: [
      { stepId: 'a', state: 'failed', error },
      { stepId: `b ${canary}`, state: 'failed', error: canary },
    ],
    did: new Map(),
    elsewhere: new Map([['a', [{ object: 'A/b', writer: 'fetch', target: `https://x.example/${canary}`, rows: 1, sample: [{ canary }] }]]]),
    before: new Map(),
    outcome: { thrown: error },
    beforeResult: undefined,
    warnings: [],
  })
  expect(JSON.stringify(diff)).not.toContain('5b1f')
  expect(diff.text).toContain('NO: refused with [secret CANARY]')
})

test('a run that uses a secret in every place leaves it in no table and tells nobody of it', async () => {
  const codes: unknown[] = []
  const object: TestObject = new TestObject({
    main: async (run) => {
      const note = (thrown: { code?: string; message: string }) => void codes.push(thrown.code ?? thrown.message)
      const once = { retries: { limit: 0 } }
      await run.step(() => canary, { stepId: 'text', ...once }).catch(note)
      await run.step(() => ({ rows: [{ key }] }), { stepId: 'object', ...once }).catch(note)
      await run.step(() => Array.from({ length: 9000 }, (_, i) => ({ i, canary })), { stepId: 'large', ...once }).catch(note)
      const batches = async function* () {
        yield [{ clean: 1 }]
        yield [{ canary }]
      }
      await run.step(() => batches(), { stepId: 'stream', ...once }).catch(note)
      await run
        .step(
          () => {
            throw Object.assign(new Error(`with ${canary}`), { data: { canary } })
          },
          { stepId: 'error', ...once },
        )
        .catch(note)
      await run.step(() => 1, { stepId: `step ${canary}` }).catch(note)
      await run.step(() => 1, { stepId: 'version', version: canary }).catch(note)
      await run.step(() => 1, { stepId: 'input', input: { canary } }).catch(note)
      await run.step(({ checkpoint }) => checkpoint(canary), { stepId: 'checkpoint', ...once }).catch(note)
      await run.step(() => 1, { stepId: 'rate', rateLimit: { key: canary, limit: 1, per: '1s' } }).catch(note)
      await run.step(() => 1, { stepId: 'place', concurrency: { key: canary, limit: 1 } }).catch(note)
      await run.waitFor('Order.paid', { stepId: 'wait', match: { canary }, timeout: 1 }).catch(note)
      await run.callRun({ kind: 'method', name: 'main' }, [canary], { stepId: 'child' }).catch(note)
      await run.step(({ progress }) => progress({ rows: 1, at: `https://x.example/?key=${canary}` }), { stepId: 'progress' })
      run.note({ kind: 'read', target: `https://hooks.example/${canary}`, what: canary, input: { canary } } as never)
      return { canary }
    },
  })
  const ended = object.call('main', [], 'r')
  for (let i = 0; i < 20; i++) await object.advance(10)
  // Whoever called gets what was returned: that is between the two of them.
  expect(await ended).toEqual({ canary })
  await settle()
  object.store.flush()
  const stored = object.store
    .sql<{ name: string }>(`SELECT name FROM sqlite_master WHERE type = 'table'`)
    .flatMap(({ name }) => object.store.sql(`SELECT * FROM ${name}`))
  expect(JSON.stringify(stored)).not.toContain('5b1f')
  expect(JSON.stringify([object.events, object.journal.run('r')])).not.toContain('5b1f')
  expect(codes).toEqual([
    ...Array.from({ length: 4 }, () => 'NOT_STORABLE'),
    'with [secret CANARY]',
    ...Array.from({ length: 8 }, () => 'NOT_STORABLE'),
  ])
  expect(object.journal.run('r')).toMatchObject({
    status: 'done',
    result: { text: expect.stringContaining('[secret CANARY]') },
    steps: expect.arrayContaining([
      expect.objectContaining({ stepId: 'progress', progress: { rows: 1, at: 'https://x.example/?key=[secret CANARY]' } }),
    ]),
  })
})
