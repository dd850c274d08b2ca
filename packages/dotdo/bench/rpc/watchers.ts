/**
 * 1,000 objects, each watched by a client over a WebSocket of its own, while nothing happens: none may wake, or watching would be paid for
 * by the minute. workerd evicts an object that has been idle for ten seconds, as production does, and keeps its sockets.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { connect } from '../../src/client/connect.ts'
import type { BenchResult } from '../../../../bench/run.ts'
import { sessionToken } from './clients.ts'
import type { RunningWorkerd } from './workerd.ts'

const objects = 1_000
const quietMs = 60_000
/** Longer than workerd's ten seconds of patience with an idle object. */
const evictMs = 15_000
const asked = 20

interface Wakes {
  /** Incarnations that began. */
  constructed: number
  /** Calls, requests, alarms and socket events that reached an object. */
  handled: number
}

/** @throws when the objects were not evicted, or no longer tell their watchers: then the count of wake-ups would say nothing */
export async function* watchedObjects(workerd: RunningWorkerd): AsyncGenerator<BenchResult> {
  const wakes = async () => (await (await fetch(new URL('wakes', workerd.url))).json()) as Wakes
  const app = connect(workerd.url, { token: await sessionToken() })
  const told = new Map<string, number>()
  try {
    const names = Array.from({ length: objects }, (_, i) => `watched ${i}`)
    // Fifty at a time: a thousand handshakes at once would time out on a busy machine.
    for (let from = 0; from < objects; from += 50) {
      await Promise.all(
        names.slice(from, from + 50).map((name) => {
          const { promise, resolve } = Promise.withResolvers<void>()
          app.watch('Watched', name, {
            refresh: () => resolve(),
            event: () => told.set(name, (told.get(name) ?? 0) + 1),
          })
          return promise
        }),
      )
    }
    await wait(evictMs)
    const before = await wakes()
    await wait(quietMs)
    const after = await wakes()

    // They had been evicted all the while: each that is called now begins a new life, and its watcher still hears of it.
    const called = names.slice(0, asked)
    told.clear()
    await Promise.all(called.map((name) => app['Watched'](name).work()))
    await wait(500)
    const reborn = (await wakes()).constructed - after.constructed
    if (reborn < asked) throw new Error(`${asked - reborn} of ${asked} objects had not been evicted: the bench has measured nothing`)
    const silent = called.filter((name) => !told.has(name))
    if (silent.length > 0) throw new Error(`the watchers of ${silent.join(', ')} no longer hear of their objects`)

    const count = after.constructed - before.constructed + (after.handled - before.handled)
    console.error(
      `  ${before.constructed} incarnations before, ${after.constructed} after ${quietMs / 1000} quiet seconds; ${reborn} of ${asked} that were called then began a new one`,
    )
    yield {
      name: `wake-ups of ${objects} watched objects in ${quietMs / 1000} s`,
      value: count,
      unit: 'wake-ups',
      baseline: 'objects that nobody watches',
      baselineValue: 0,
      ratio: count,
      bar: 'none',
      ok: count === 0,
    }
  } finally {
    app.close()
  }
}
