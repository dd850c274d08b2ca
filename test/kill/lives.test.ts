/**
 * The scenario of the simulation on real workerd, which dies by SIGKILL at seeded moments and comes back, now and then with another version of the app, one of which
 * has renamed a class: what must come of it is read off the objects' own files by the ledger of the simulation.
 *
 * `DOTDO_KILLS=20` lives through more seeds; a failure names its seed, and `DOTDO_SEED=1234` draws the same runs, kills and versions again. When exactly
 * a kill comes is up to the machine.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { readdirSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connect, type AnyApp, type AppStub } from 'dotdo/client'
import { expect, test } from 'vitest'
import { startWorkerd, type RunningWorkerd, type WorkerSource } from '../../packages/dotdo/bench/rpc/workerd.ts'
import { faultsOf, openOf, type Left } from '../../packages/dotdo/test/support/ledger.ts'
import { actorIn, draw, fast, listener, senders, waitsOf, type Planned } from '../../packages/dotdo/test/support/scenario.ts'
import { sessionToken } from '../support/app.ts'
import { randomOf } from '../support/random.ts'

const entry = fileURLToPath(new URL('../../packages/dotdo/test/testing/simulation-worker.ts', import.meta.url))
const secret = 'a secret of lives on workerd, 32 characters'
/** One in which runs go on with any version, and one in which they wait for their own. */
const { DOTDO_SEED: seed = 2, DOTDO_KILLS: lives = process.env['DOTDO_SEED'] === undefined ? 2 : 1 } = process.env
const kills = 6
/** Within this all is done that is still to do when the killing has ended. */
const patienceMs = 60_000

test.each(Array.from({ length: Number(lives) }, (_, i) => Number(seed) + i))(
  'seed %i on workerd: whatever is killed and deployed, effects are done once, events come in order, no instant is missed, every run ends',
  { timeout: 180_000 },
  async (number) => {
    await using outside = await startOutside()
    const life = new LifeOnWorkerd(number, outside)
    try {
      const faults = await life.live()
      if (faults.length > 0) throw new Error(faults.join('; '))
      expect(outside.asked.size).toBeGreaterThan(0)
      console.log(life.story.join('\n'))
    } catch (cause) {
      throw new Error(`DOTDO_SEED=${number}: ${(cause as Error).message}\n${life.story.join('\n')}`, { cause })
    } finally {
      await life.end()
    }
  },
)

interface Request extends Planned {
  acknowledged: boolean
  runId?: string
  stop: 'never' | 'wanted' | 'stopped' | 'again'
}

/** Owns the workerd, its files, and one connection at a time. */
class LifeOnWorkerd {
  /** What happened, in words. */
  readonly story: string[] = []
  readonly #random: () => number
  readonly #policy: 'latest' | 'pin'
  readonly #outside: Outside
  readonly #requests: Request[]
  readonly #released = new Set<string>()
  #version = 1
  #workerd: RunningWorkerd | undefined
  #app: AppStub<AnyApp> | undefined

  constructor(number: number, outside: Outside) {
    this.#random = randomOf(number)
    this.#outside = outside
    this.#policy = number % 3 === 0 ? 'pin' : 'latest'
    const planned = draw({ next: this.#random, bytes: () => new Uint8Array() }, fast)
    this.#requests = planned.map((it) => ({ ...it, acknowledged: false, stop: it.isStopped ? 'wanted' : 'never' }))
  }

  /** Lives the whole of it. Gives what is not as it must be. */
  async live(): Promise<string[]> {
    await this.#start()
    // What is sent before somebody has subscribed is not owed to them.
    await this.#until('all are subscribed', async () => {
      await this.#wake()
      const [heard] = this.#left().filter(({ noun }) => noun === 'Listener')
      return heard?.sql(`SELECT 1 FROM dotdo_subscribed WHERE state = 'active'`).length === senders.length
    })
    for (let kill = 0; kill < kills; kill++) {
      const moment = Date.now() + 50 + this.#random() * 700
      while (Date.now() < moment) {
        this.#ask()
        await wait(20)
      }
      await this.#kill()
    }
    // Runs that are pinned go on only with the version that they began with, whichever that was.
    const calm = Date.now()
    await this.#until('nothing is left to do', async () => {
      if (this.#policy === 'pin' && Date.now() > calm + 1500 && this.#heldFor() !== undefined) await this.#deploy(this.#heldFor()!)
      await this.#wake()
      this.#ask(true)
      await wait(100)
      return this.#requests.every(({ acknowledged, stop }) => acknowledged && stop !== 'stopped') && openOf(this.#left()).length === 0
    })
    const boundary = Math.floor(Date.now() / fast.tickMs) * fast.tickMs
    await this.#until('the last instant has fired', async () => {
      await wait(100)
      const fired = this.#left().flatMap(({ noun, sql }) =>
        noun === 'Actor' ? [Number(sql('SELECT max(at) AS at FROM fired')[0]?.['at'])] : [],
      )
      return fired.every((at) => at >= boundary)
    })
    // A schedule goes on: while it is looked at, an instant may be firing. What is wrong stays wrong.
    let faults = this.#faults(boundary)
    for (let look = 0; faults.length > 0 && look < 5; look++) {
      await wait(150)
      faults = this.#faults(boundary)
    }
    return faults
  }

  #faults(boundary: number): string[] {
    const left = this.#left()
    return faultsOf({
      runs: this.#requests,
      left,
      outside: this.#outside.asked,
      takenUp: this.#requests.flatMap(({ stop, runId }) => (stop === 'again' ? [runId!] : [])),
      ticks: { everyMs: fast.tickMs, until: boundary, latest: Date.now() + fast.tickMs },
    })
  }

  async end(): Promise<void> {
    this.#app?.close()
    await this.#workerd?.stop()
  }

  #worker(): WorkerSource {
    return {
      name: 'lives',
      entry,
      classes: [actorIn(this.#version), 'Listener', 'DotdoSystem'],
      renamed: { [actorIn(2)]: 'Actor' },
      vars: { DOTDO_SECRET: secret, VERSION: String(this.#version), POLICY: this.#policy },
      json: { CF_VERSION_METADATA: { id: `v${this.#version}` } },
      outbound: this.#outside.address,
    }
  }

  async #start(): Promise<void> {
    this.#workerd = await startWorkerd([this.#worker()])
    await this.#connect()
  }

  async #connect(): Promise<void> {
    this.#app?.close()
    this.#app = connect(this.#workerd!.url, { token: await sessionToken(secret) })
  }

  /** Half of the kills bring another version of the app. */
  async #kill(): Promise<void> {
    if (this.#random() < 0.5) return this.#deploy(1 + Math.floor(this.#random() * 3))
    this.#tell('killed')
    this.#workerd = await this.#workerd!.killed()
    await this.#connect()
  }

  async #deploy(version: number): Promise<void> {
    this.#version = version
    this.#tell(`killed, and deployed v${version}`)
    this.#workerd = await this.#workerd!.killed([this.#worker()])
    await this.#connect()
  }

  #tell(what: string): void {
    this.story.push(`${new Date().toISOString()} ${what}`)
  }

  /** What clients have no answer for is asked again; calls that a kill cuts off are asked later. */
  #ask(isCalm = false): void {
    for (const request of this.#requests) {
      const actor = this.#app!.Actor(request.object)
      const lost = () => undefined
      if (!request.acknowledged)
        actor.begin(request.key, request.ops).then((runId: string) => {
          request.acknowledged = true
          request.runId = runId
        }, lost)
      else if (request.stop === 'wanted' && this.#random() < 0.05) {
        request.stop = 'stopped'
        actor.stop(request.runId).then(lost, lost)
      } else if (request.stop === 'stopped' && (isCalm || this.#random() < 0.05))
        actor.again(request.runId).then(() => void (request.stop = 'again'), lost)
      if (request.acknowledged && request.stop !== 'stopped' && isCalm)
        for (const effect of waitsOf(request))
          if (!this.#released.has(effect)) actor.goOn(effect).then(() => void this.#released.add(effect), lost)
    }
  }

  /** A kill leaves nobody to call who was not called before, but alarms; and the listener has none. */
  async #wake(): Promise<void> {
    const calls = [this.#app!.Listener(listener).ping(), ...senders.map((name) => this.#app!.Actor(name).ping())]
    await Promise.allSettled(calls)
  }

  /** The version that some run waits for. */
  #heldFor(): number | undefined {
    for (const { sql, noun } of this.#left()) {
      if (noun !== 'Actor') continue
      const [row] = sql(`SELECT version FROM dotdo_runs WHERE status = 'held' LIMIT 1`)
      if (row) return Number(String(row['version']).slice(1))
    }
    return undefined
  }

  /** The objects as they are on disk, read while workerd writes them. */
  #left(): Left[] {
    return ['Actor', 'Listener'].flatMap((noun) => {
      const folder = join(this.#workerd!.folder, `lives-${noun}`)
      return readdirSync(folder)
        .filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name))
        .map((file) => {
          const sql: Left['sql'] = (statement, ...values) => read(join(folder, file), statement, values)
          const hasName = sql(`SELECT 1 FROM sqlite_master WHERE name = 'who'`).length > 0
          return { noun, name: hasName ? String(sql('SELECT name FROM who')[0]!['name']) : '', sql }
        })
    })
  }

  async #until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + patienceMs
    while (!(await isSo())) {
      if (Date.now() < end) await wait(50)
      else throw new Error(`${what}: not within ${patienceMs} ms; ${openOf(this.#left()).join('; ')}\n${this.#workerd!.log()}`)
    }
    this.#tell(what)
  }
}

function read(path: string, statement: string, values: string[]): ReturnType<Left['sql']> {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 2000 })
  try {
    return database.prepare(statement).all(...values) as ReturnType<Left['sql']>
  } finally {
    database.close()
  }
}

interface Outside extends AsyncDisposable {
  address: string
  /** Requests, by key. */
  asked: ReadonlyMap<string, number>
}

/** What the app asks, and who counts it. */
async function startOutside(): Promise<Outside> {
  const asked = new Map<string, number>()
  const server = createServer((request, response) => {
    const key = new URL(request.url!, 'http://outside.test').searchParams.get('key') ?? 'no key'
    asked.set(key, (asked.get(key) ?? 0) + 1)
    response.end('ok')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
