/**
 * Runs and steps on workerd itself, beside a memo that one would write by hand in a Durable Object: look whether the row is there, call, write it.
 * Both sides take turns; each request does one piece of work, and the best rounds of each are compared. The steps are pure: the platform commits once
 * at the end of a turn, for both.
 */
import { fileURLToPath } from 'node:url'
import type { BenchResult } from '../../../bench/run.ts'
import { startWorkerd } from './rpc/workerd.ts'

const rounds = 15

const line = (name: string, ms: number, baseline: string, baselineMs: number, atMost: number): BenchResult => {
  const ratio = Math.round((ms / baselineMs) * 100) / 100
  const round = (it: number) => Math.round(it * 10) / 10
  return {
    name,
    value: round(ms),
    unit: 'ms',
    baseline,
    baselineValue: round(baselineMs),
    ratio,
    bar: `at most ${atMost}`,
    ok: ratio <= atMost,
  }
}

/** The mean of the best third: the others met a busy machine. */
function best(times: number[]): number {
  const third = times.toSorted((a, b) => a - b).slice(0, Math.ceil(times.length / 3))
  return third.reduce((sum, it) => sum + it, 0) / third.length
}

/** 1,000 pure steps in sequence, and the replay of as many and of ten times as many. */
export default async function* runs(): AsyncGenerator<BenchResult> {
  const entry = fileURLToPath(new URL('runs/worker/worker.ts', import.meta.url))
  const workerd = await startWorkerd([{ name: 'runs', entry, classes: ['Runs', 'Memo'] }])
  try {
    const call = async (side: string, name: string, method: string, count: number): Promise<number> => {
      const begun = performance.now()
      const response = await fetch(`${workerd.url}${side}/${name}/${method}/${count}`)
      const text = await response.text()
      if (!response.ok) throw new Error(`${side}.${method}: ${text} ${workerd.log()}`)
      return performance.now() - begun
    }
    const both = async (method: string, count: number): Promise<{ ours: number; bare: number }> => {
      const times = { Runs: [] as number[], Memo: [] as number[] }
      for (let round = 0; round < rounds; round++) {
        for (const side of ['Runs', 'Memo'] as const) {
          const name = `${method} ${count} ${method === 'replay' ? round : ''}`
          if (method === 'replay') await call(side, name, 'prepare', count)
          const ms = await call(side, name, method, count)
          // The first rounds are compiled.
          if (round >= 3) times[side].push(ms)
        }
      }
      return { ours: best(times.Runs), bare: best(times.Memo) }
    }
    const steps = await both('steps', 1000)
    yield line('1,000 pure steps in sequence', steps.ours, 'a bare SQLite memo', steps.bare, 3)
    const replay = await both('replay', 10_000)
    yield line('replay of 10,000 finished steps', replay.ours, 'bare look-ups of the rows', replay.bare, 1.5)
  } finally {
    await workerd.stop()
  }
}
