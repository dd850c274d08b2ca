/**
 * Events between two objects on workerd itself, beside the writes and calls that they cannot do without.
 *
 * Both sides take turns in short rounds. A `send` counts until its handler's write in the other object is on disk and known to be: two flushes, one
 * at each end, where the bare call has one.
 */
import { fileURLToPath } from 'node:url'
import type { BenchResult } from '../../../bench/run.ts'
import { atMost, compare } from './rpc/figures.ts'
import { startWorkerd, type RunningWorkerd } from './rpc/workerd.ts'

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

/** One `send` after the other, and as many as go. */
export default async function* events(): AsyncGenerator<BenchResult> {
  const entry = fileURLToPath(new URL('events/worker/worker.ts', import.meta.url))
  const workerd = await startWorkerd([{ name: 'bench', entry, classes, vars: { DOTDO_SECRET: 'a secret of a bench, 32 characters' } }])
  try {
    for (let tries = 0; (await ask(workerd, 'ready?side=ours')) !== 'true'; tries++) if (tries > 1000) throw new Error(workerd.log())
    // The clock of an object ticks in milliseconds; fifty of its times have a mean.
    const one = (side: string) => async () => Number(await ask(workerd, `one?side=${side}&count=50`))
    const { median } = await compare(one('ours'), one('native'), 15)
    yield atMost('send to a handler in another object', median, 'a native call with a flushed write', 2.5)
    const turns = 40
    const burst = (side: string) => async () => (await timed(workerd, `burst?side=${side}&count=100&turns=${turns}`)) / (turns * 100)
    const { quiet } = await compare(burst('ours'), burst('native'), 9)
    yield {
      name: 'sends sustained, 100 a turn',
      value: 1000 / quiet.ours,
      unit: 'events/s',
      baseline: 'bare batched inserts at both ends',
      baselineValue: 1000 / quiet.baseline,
      ratio: quiet.baseline / quiet.ours,
      bar: 'at least 0.3',
      ok: quiet.baseline / quiet.ours >= 0.3,
    }
  } finally {
    await workerd.stop()
  }
}
