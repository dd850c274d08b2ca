/**
 * What schedules cost in an object of workerd: 10,000 of them registered, all due at once, and left alone.
 *
 * The scheduler stands on the object's own storage, as bare rows beside it do, and each piece of work ends when it is on disk. Runs are started as calls of
 * their handlers: what the journal adds for a run is measured beside it.
 */
import { fileURLToPath } from 'node:url'
import type { BenchResult } from '../../../bench/run.ts'
import { atMost, compare, type Compared } from './rpc/figures.ts'
import { startWorkerd } from './rpc/workerd.ts'

const rounds = 9
const wanted = (name: string): boolean => name.includes(process.env['ONLY'] ?? '')
const names = {
  register: 'registering 10,000 schedules',
  wake: 'declaring 10,000 that are stored, at a wake',
  due: '10,000 due at once',
  idle: '10,000 of which none is due',
}

/** 10,000 schedules in one object beside bare rows. */
export default async function* schedules(): AsyncGenerator<BenchResult> {
  if (!Object.values(names).some(wanted)) return
  const entry = fileURLToPath(new URL('schedules/worker/worker.ts', import.meta.url))
  const workerd = await startWorkerd([{ name: 'bench', entry, classes: ['Clockwork', 'Bare'] }])
  const ask = async (path: string): Promise<string> => {
    const response = await fetch(workerd.url + path)
    const text = await response.text()
    if (!response.ok) throw new Error(`${path}: ${text}\n${workerd.log()}`)
    return text
  }
  const timed = async (path: string): Promise<number> => {
    const begun = performance.now()
    await ask(path)
    return performance.now() - begun
  }
  let object = 0
  /** The time of a method in an object of its own, after those that come before it. */
  const fresh =
    (noun: string, method: string, before: string[] = []) =>
    async () => {
      const name = `${noun}/${object++}`
      for (const it of before) await ask(`${name}/${it}`)
      return timed(`${name}/${method}`)
    }
  try {
    const line = async (name: string, ours: () => Promise<number>, baseline: () => Promise<number>): Promise<Compared> => {
      return wanted(name) ? (await compare(ours, baseline, rounds)).quiet : { ours: 0, baseline: 0, ratio: 0 }
    }
    const inserts = '10,000 bare row inserts'
    const register = await line(names.register, fresh('Clockwork', 'declare'), fresh('Bare', 'declare'))
    if (register.ours > 0) yield atMost(names.register, register, inserts, 3)
    const wake = await line(names.wake, fresh('Clockwork', 'declare', ['declare']), fresh('Bare', 'declare'))
    if (wake.ours > 0) yield { ...atMost(names.wake, wake, inserts, Infinity), bar: 'none' }
    const due = await line(names.due, fresh('Clockwork', 'due', ['declare']), fresh('Bare', 'due', ['declare']))
    if (due.ours > 0) yield atMost(names.due, due, 'their handlers and one row update each', 3)
    if (!wanted(names.idle)) return
    const name = `Clockwork/${object++}`
    for (const it of ['declare', 'due']) await ask(`${name}/${it}`)
    const idle = Number(await ask(`${name}/idle`))
    yield {
      name: names.idle,
      value: idle,
      unit: 'statements',
      baseline: 'a look',
      baselineValue: 1,
      ratio: idle,
      bar: 'at most 5',
      ok: idle <= 5,
    }
  } finally {
    await workerd.stop()
  }
}
