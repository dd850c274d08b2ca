import { expect, test } from 'vitest'
import type { LiveListener } from '../../src/client/watch.ts'
import type { AnyApp, AppStub } from '../../src/client/connect.ts'
import type { Context } from '../../src/cli/command.ts'
import { waitForRun } from '../../src/cli/wait-for-run.ts'
import { noon, recorded, run, step } from './machine.ts'

/** A run that is waited for: what its app tells is the test's, and so is the time. */
function waiting() {
  const { terminal, err } = recorded()
  const clock = { now: noon }
  let view = run({ status: 'running' })
  delete view.endedAt
  let listener: LiveListener | undefined
  const app = {
    watch: (_noun: string, _name: string, given: LiveListener) => {
      listener = given
      return { close: () => {} }
    },
    dotdo: { object: () => ({ run: () => Promise.resolve(view) }) },
  } as unknown as AppStub<AnyApp>
  const context = {
    terminal,
    json: false,
    now: () => clock.now,
    atEnd: (close: () => void) => void closing.push(close),
  } as unknown as Context
  const closing: (() => void)[] = []
  const ended = waitForRun(app, { noun: 'Pipeline', name: 'main' }, () => Promise.resolve(view.runId), context)
  ended.catch(() => {}).finally(() => closing.forEach((close) => close()))
  return {
    ended,
    err,
    clock,
    listener: listener!,
    done: () => {
      view = run()
      listener!.event({ seq: 2, at: noon, type: 'run.done', run: view })
    },
  }
}

/** The calls that are made at once have been answered. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('the lines of a run that is waited for do not say again which run it is', async () => {
  const { ended, err, listener, done } = waiting()
  listener.refresh!()
  await turn()
  listener.event({ seq: 1, at: noon, type: 'step.done', runId: run().runId, step: step('load', 0, 50) })
  done()
  expect(await ended).toEqual(run())
  expect(err()).toBe('12:00:00.000  ✓ step.done  load  50 ms\n12:00:00.000  ✓ run.done  schedule daily  4.0 s\n')
})

test('an app that is lost is waited for as long as it comes back within five minutes, each time', async () => {
  const { ended, err, listener, clock, done } = waiting()
  listener.refresh!()
  await turn()
  for (let time = 0; time < 3; time++) {
    listener.lost!('closed with 1006', 1000)
    clock.now += 299_000
    listener.lost!('closed with 1006', 1000)
    listener.resumed!()
    clock.now += 299_000
  }
  done()
  expect((await ended).status).toBe('done')
  expect(err().match(/The connection was lost \(closed with 1006\); tried again in 1 s\./g)).toHaveLength(6)
})

test('an app that does not come back ends the waiting, with what can be done', async () => {
  const { ended, listener, clock } = waiting()
  listener.refresh!()
  await turn()
  listener.lost!('closed with 1006', 1000)
  clock.now += 300_001
  listener.lost!('no connection', 30_000)
  await expect(ended).rejects.toMatchObject({ code: 'LINK_LOST', message: expect.stringContaining('Is it running') as string })
})
