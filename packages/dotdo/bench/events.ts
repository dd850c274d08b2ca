/**
 * Events between two objects on workerd itself, beside the writes and calls that they cannot do without.
 *
 * Both sides take turns in short rounds. A `send` counts until its handler's write in the other object is on disk and known to be: two flushes, one
 * at each end, where the bare call has one. `ONLY=sustained npm run bench -- events` measures what has that in its name.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { BenchResult } from '../../../bench/run.ts'
import { atMost, compare } from './rpc/figures.ts'
import { startWorkerd, type RunningWorkerd } from './rpc/workerd.ts'

const wanted = (name: string): boolean => name.includes(process.env['ONLY'] ?? '')
const names = {
  one: 'send to a handler in another object',
  burst: 'sends sustained, 100 a turn',
  lost: 'sends that were answered and are lost, at three SIGKILLs',
}
const classes = ['Sender', 'Receiver', 'NativeSender', 'NativeReceiver']

async function ask(workerd: RunningWorkerd, path: string): Promise<string> {
  const response = await fetch(new URL(path, workerd.url))
  if (!response.ok) throw new Error(`${path}: ${await response.text()}\n${workerd.log()}`)
  return await response.text()
}

/** The time of one piece of work in ms. */
async function timed(workerd: RunningWorkerd, path: string): Promise<number> {
  const begun = performance.now()
  await ask(workerd, path)
  return performance.now() - begun
}

/** Turns of 100 sends until workerd is killed in the middle of one. What was answered goes into `sent`: it is owed. */
async function sendUntilKilled(workerd: RunningWorkerd, sent: number[]): Promise<RunningWorkerd> {
  const from = 1_000_000 + 10_000 * Math.ceil(sent.length / 1000)
  const sending = (async () => {
    for (let turn = 0; ; turn++) {
      await ask(workerd, `send?from=${from + 100 * turn}&count=100`)
      for (let i = 0; i < 100; i++) sent.push(from + 100 * turn + i)
    }
  })()
  const ended = sending.catch(() => undefined)
  const before = sent.length
  while (sent.length < before + 1000) await wait(1)
  const next = await workerd.killed()
  await ended
  return next
}

/** How many of them no handler has written, when 20 seconds have passed or all are there. */
async function lostOf(workerd: RunningWorkerd, sent: number[]): Promise<number> {
  let missing = sent.length
  for (const end = Date.now() + 20_000; missing > 0 && Date.now() < end; await wait(50)) {
    // The object that sends wakes by its alarm too; a look at it is sooner.
    await ask(workerd, 'send?from=0&count=0')
    const written = new Set(JSON.parse(await ask(workerd, 'written?from=1000000')) as number[])
    missing = sent.filter((i) => !written.has(i)).length
  }
  return missing
}

/** One `send` after the other, and as many as go. */
export default async function* events(): AsyncGenerator<BenchResult> {
  if (!Object.values(names).some(wanted)) return
  const entry = fileURLToPath(new URL('events/worker/worker.ts', import.meta.url))
  let workerd = await startWorkerd([{ name: 'bench', entry, classes, vars: { DOTDO_SECRET: 'a secret of a bench, 32 characters' } }])
  try {
    for (let tries = 0; (await ask(workerd, 'ready?side=ours')) !== 'true'; tries++) if (tries > 1000) throw new Error(workerd.log())
    // The clock of an object ticks in milliseconds; fifty of its times have a mean.
    const one = (side: string) => async () => Number(await ask(workerd, `one?side=${side}&count=50`))
    if (wanted(names.one)) {
      const { median } = await compare(one('ours'), one('native'), 15)
      yield atMost(names.one, median, 'a native call with a flushed write', 2.5)
    }
    const turns = 40
    const burst = (side: string) => async () => (await timed(workerd, `burst?side=${side}&count=100&turns=${turns}`)) / (turns * 100)
    if (wanted(names.burst)) {
      const { quiet } = await compare(burst('ours'), burst('native'), 9)
      const ratio = quiet.baseline / quiet.ours
      yield {
        name: names.burst,
        value: 1000 / quiet.ours,
        unit: 'events/s',
        baseline: 'bare batched inserts at both ends',
        baselineValue: 1000 / quiet.baseline,
        ratio,
        bar: 'at least 0.3',
        ok: ratio >= 0.3,
      }
    }
    if (!wanted(names.lost)) return
    const sent: number[] = []
    for (let kill = 0; kill < 3; kill++) workerd = await sendUntilKilled(workerd, sent)
    const lost = await lostOf(workerd, sent)
    yield {
      name: names.lost,
      value: lost,
      unit: 'events',
      baseline: 'sent',
      baselineValue: sent.length,
      ratio: lost / sent.length,
      bar: 'none',
      ok: lost === 0,
    }
  } finally {
    await workerd.stop()
  }
}
