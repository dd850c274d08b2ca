/** The conformance suite from outside: Node over a WebSocket and by HTTP batches, with our client and with an unmodified capnweb. */
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { allCases } from '../../packages/dotdo/test/conformance/cases/all.ts'
import { runCase, type Case } from '../../packages/dotdo/test/conformance/kit.ts'
import { startWorker, type RunningApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { clients, keptOut } from './clients.ts'
import { evictions } from './eviction.ts'

let running: RunningApp
beforeAll(async () => {
  running = await startWorker(fileURLToPath(new URL('app/wrangler.toml', import.meta.url)))
})
afterAll(() => running?.stop())

// Before the cases, so that its waiting begins first.
evictions(() => running)

// Each case has worlds and a connection of its own, and some of its time is waiting: another has that. With eight at once workerd is never idle, and serves what waits for
// that (a map over a list that has come) seconds late.
const turn = atOnce(2)

describe.concurrent.each(Object.entries(clients))('%s', (name, open) => {
  const title = (it: Case) => `${it.group}: ${it.title}`
  for (const it of allCases.filter((it) => !keptOut(name, title(it)))) {
    test(title(it), () =>
      turn(async () => {
        const client = open(running)
        try {
          await runCase(it, client.kit, 20_000)
        } finally {
          client.close()
        }
      }),
    )
  }
})
