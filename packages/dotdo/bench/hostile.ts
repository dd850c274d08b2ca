/**
 * A good client beside a hostile one, on workerd itself: the 99th percentile of its calls, to that of the same client alone.
 *
 * Both use one Worker and one object. The hostile client is a process of its own with a token of its own, so that what is measured is the isolate
 * it shares with the good one; on a machine with two cores it takes processor time as well, which the good one feels too. The good client makes one
 * call after another, and is measured from the moment at which the attack is let loose. Alone and beside take turns; all calls of all rounds count.
 * Each attack has a workerd of its own: what the Worker remembers of one is no help against the next.
 *
 * What the platform alone costs is told beside it: the same attack on a socket of the same Worker whose listener does nothing.
 * Run by: npm run bench -- hostile. `ONLY=maps` runs the attacks whose names contain that.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { BenchResult } from '../../../bench/run.ts'
import { connect, type AnyApp, type AppStub } from '../src/client/connect.ts'
import { signToken } from '../src/rpc/tokens.ts'
import type { Attack, Done } from './hostile/attacker.ts'
import { atMost } from './rpc/figures.ts'
import { startWorkerd, type RunningWorkerd } from './rpc/workerd.ts'

const roundMs = 1_250
const rounds = 4
const warmMs = 1_000
const settleMs = 200
const secret = 'a secret for the hostile bench'

const attacks: readonly (readonly [kind: string, says: string])[] = [
  ['calls', 'calls without end'],
  ['chains', 'chains of 120 without end'],
  ['maps', '.map in .map over 1,000 without end'],
  ['patient', 'the same, each when the last was answered'],
  ['exports', 'capabilities without end'],
  ['large', 'messages of 256 KiB without end'],
  ['garbage', 'garbage, and a new socket each time'],
]

/** Adds the times of one call after another to `times`, in ms, for one round. A call that hangs counts until it is answered after `end` was called. */
async function calls(app: AppStub<AnyApp>, times: number[], forMs = roundMs, end?: () => Promise<unknown>): Promise<void> {
  let isOver = false
  const over = (async () => {
    await wait(forMs)
    isOver = true
    await end?.()
  })()
  while (!isOver) {
    const start = performance.now()
    await app.Target('attacked').ping()
    times.push(performance.now() - start)
  }
  await over
}

const p99 = (times: number[]): number => times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)]!
const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
const start = () =>
  startWorkerd([
    {
      name: 'hostile',
      entry: fileURLToPath(new URL('hostile/worker/worker.ts', import.meta.url)),
      classes: ['Target', 'DotdoSystem'],
      vars: { DOTDO_SECRET: secret },
    },
  ])
const token = () => signToken({ kind: 'session', expiresAt: Date.now() + 3_600_000 }, secret)

/** Lets the hostile client loose while the good one makes its calls. Later on it may be kept waiting all the time. @throws when it did nothing at first */
async function beside(app: AppStub<AnyApp>, attack: Attack, times: number[], isFirst: boolean): Promise<void> {
  const attacker = fork(new URL('hostile/attacker.ts', import.meta.url))
  try {
    await once(attacker, 'message')
    attacker.send(attack)
    await calls(app, times, roundMs, async () => {
      attacker.send('stop')
      const [done] = (await once(attacker, 'message')) as [Done]
      attacker.kill('SIGKILL')
      if (isFirst && done.sockets === 0) throw new Error(`the attack ${attack.kind} did nothing`)
    })
  } finally {
    attacker.kill('SIGKILL')
  }
  await wait(settleMs)
}

/** Good calls alone and beside an attack on one path of the Worker. */
async function measure(workerd: RunningWorkerd, kind: string, path: string, turns: number) {
  const app = connect<AnyApp>(workerd.url, { token: await token() })
  const attack = { kind, url: new URL(path, workerd.url).href.replace('http', 'ws'), token: await token() }
  const times = { alone: [] as number[], beside: [] as number[] }
  try {
    await calls(app, [], warmMs)
    for (let turn = 0; turn < turns; turn++) {
      await calls(app, times.alone)
      await beside(app, attack, times.beside, turn === 0)
    }
  } finally {
    app.close()
  }
  return { ours: p99(times.beside), baseline: p99(times.alone), ratio: p99(times.beside) / p99(times.alone), calls: times.beside.length }
}

export default async function* hostile(): AsyncGenerator<BenchResult> {
  const only = process.env['ONLY'] ?? ''
  for (const [kind, says] of attacks) {
    if (!kind.includes(only)) continue
    const workerd = await start()
    try {
      yield atMost(`p99 beside ${says}`, await measure(workerd, kind, 'rpc', rounds), 'the same client alone', 2)
      const { calls: made, ...platform } = await measure(workerd, kind, 'void', 1)
      yield { ...atMost(`  the platform alone: ${made} calls beside it`, platform, 'the same client alone', Infinity), bar: '' }
    } finally {
      await workerd.stop()
    }
  }
}
