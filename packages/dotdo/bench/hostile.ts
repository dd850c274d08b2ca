/**
 * A good client beside a hostile one, on workerd itself: the 99th percentile of its calls, to that of the same client alone.
 *
 * Both use one Worker and one object. The hostile client runs in a thread of its own, so that what is measured is the isolate it shares with the
 * good one and not the process; on a machine with two cores it takes processor time as well, which the good one feels too. The good client makes
 * one call after another. Alone and beside take turns; the best round of each is compared, because a machine's own noise is in every percentile.
 * Run by: npm run bench -- hostile. `ONLY=maps` runs the attacks whose names contain that.
 */
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { BenchResult } from '../../../bench/run.ts'
import { connect, type AnyApp, type AppStub } from '../src/client/connect.ts'
import { signToken } from '../src/rpc/tokens.ts'
import type { Attack } from './hostile/attacker.ts'
import { atMost } from './rpc/figures.ts'
import { startWorkerd } from './rpc/workerd.ts'

/** Of one round: as many calls as there is time for, at most. */
const calls = 400
const roundMs = 3_000
const rounds = 5
const settleMs = 200
const secret = 'a secret for the hostile bench'

const attacks: readonly (readonly [kind: string, says: string])[] = [
  ['calls', 'calls without end'],
  ['chains', 'chains of 120 without end'],
  ['maps', '.map in .map over 1,000 without end'],
  ['exports', 'capabilities without end'],
  ['large', 'messages of 256 KiB without end'],
  ['garbage', 'garbage, and a new socket each time'],
]

/** The 99th percentile of one call after another, in ms. */
async function p99(app: AppStub<AnyApp>): Promise<number> {
  const times: number[] = []
  const end = performance.now() + roundMs
  while (times.length < calls && performance.now() < end) {
    const start = performance.now()
    await app.Target('attacked').ping()
    times.push(performance.now() - start)
  }
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)]!
}

export default async function* hostile(): AsyncGenerator<BenchResult> {
  const only = process.env['ONLY'] ?? ''
  const workerd = await startWorkerd([
    {
      name: 'hostile',
      entry: fileURLToPath(new URL('hostile/worker/worker.ts', import.meta.url)),
      classes: ['Target', 'DotdoSystem'],
      vars: { DOTDO_SECRET: secret },
    },
  ])
  const token = await signToken({ kind: 'session', expiresAt: Date.now() + 3_600_000 }, secret)
  const app = connect<AnyApp>(workerd.url, { token })
  const attacker = new Worker(new URL('hostile/attacker.ts', import.meta.url))
  const stopped = () => new Promise((resolve) => attacker.once('message', resolve))
  try {
    await p99(app)
    for (const [kind, says] of attacks) {
      if (!kind.includes(only)) continue
      let alone = Infinity
      let beside = Infinity
      for (let round = 0; round < rounds; round++) {
        alone = Math.min(alone, await p99(app))
        attacker.postMessage({ kind, url: workerd.url, token } satisfies Attack)
        await new Promise((resolve) => setTimeout(resolve, settleMs))
        beside = Math.min(beside, await p99(app))
        attacker.postMessage('stop')
        await stopped()
        await new Promise((resolve) => setTimeout(resolve, settleMs))
      }
      yield atMost(`p99 beside ${says}`, { ours: beside, baseline: alone, ratio: beside / alone }, 'the same client alone', 2)
    }
  } finally {
    app.close()
    await attacker.terminate()
    await workerd.stop()
  }
}
