/**
 * A small app in Node that plays what the page shows: every state of a run, at the test's command instead of by a clock. It serves the built
 * page and the same calls as the Worker; instants are fixed, relative to its start, so that two runs of a test see the same.
 */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { newWebSocketRpcSession, nodeHttpBatchRpcResponse, RpcTarget } from 'capnweb'
import { WebSocketServer, type WebSocket as ServerSocket } from 'ws'
import {
  DotdoError,
  type BackfillView,
  type LiveEvent,
  type PartitionView,
  type RunView,
  type ScheduleView,
  type TableOverview,
} from 'dotdo/client'
import { FakeFleet } from './fake-fleet.ts'
import { changesOf, diffOf, lineageOf, snapshotOf } from './fake-lineage.ts'
import { historyOf } from './fake-runs.ts'

/** Where `npm run build` lays the page. */
const built = fileURLToPath(new URL('../../dotdo/dist/console/', import.meta.url))
const types: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' }

/** A live event before it is numbered; distributes over the kinds. */
type Body = LiveEvent extends infer Event ? (Event extends LiveEvent ? Omit<Event, 'seq' | 'at'> : never) : never

/** One object of the fake app, changed by the test. */
export class FakeObject {
  runs: RunView[] = []
  schedules: ScheduleView[] = []
  backfills: BackfillView[] = []
  hasMoreWindows = false
  methods: string[] = []
  /** Answers `query(sql)`. */
  query: (sql: string) => unknown = () => []
  examples: string[] = []
  /** Whether its runs ran with other code than it has now. */
  isOtherCode = false
  /** While it is there, the object is busy: it tells events, and answers when this ends. */
  busy: Promise<void> | undefined
  /** What was called, in order, such as `trigger daily`. */
  readonly calls: string[] = []
  readonly watchers = new Set<ServerSocket>()
  #seq = 100

  /** Tells everybody who watches, as the Worker's object does. */
  emit(body: Body): void {
    const event = { seq: ++this.#seq, at: Date.now(), ...body } as LiveEvent
    for (const watcher of this.watchers) watcher.send(JSON.stringify(event))
  }

  accept(socket: ServerSocket): void {
    this.watchers.add(socket)
    socket.on('close', () => this.watchers.delete(socket))
    socket.send(JSON.stringify({ type: 'watching', seq: this.#seq }))
  }

  /** What happened before is remembered no more: whoever comes back has to look. */
  forget(): void {
    this.#seq += 1000
  }

  /** Puts a run in the place of the one with its id, or before all others, and tells of it. */
  change(run: RunView, type: 'run.started' | 'run.done' | 'run.failed' | 'run.cancelled'): void {
    const at = this.runs.findIndex(({ runId }) => runId === run.runId)
    if (at < 0) this.runs.unshift(run)
    else this.runs[at] = run
    this.emit({ type, run: listed(run) })
  }

  find(runId: string): RunView {
    const run = this.runs.find((known) => known.runId === runId)
    if (!run)
      throw new DotdoError(
        'RUN_UNKNOWN',
        `This object has no run '${runId}'. It may have been pruned after its retention; runs() lists those that exist.`,
        { data: { runId } },
      )
    return run
  }
}

/** The state of a fake app, and how to end it. */
export interface FakeApp {
  url: string
  /** A link that opens the page once. */
  link(): string
  pipeline: FakeObject
  empty: FakeObject
  tables: TableOverview[]
  fleet: FakeFleet
  /** From now on the sessions that were handed out open nothing. */
  endSessions(): void
  /** Cuts every connection, as a restart does. */
  cut(): void
  /** Whether new connections are refused. */
  isDown: boolean
  close(): Promise<void>
}

/** Starts one on a free port. `dist` is the folder of the built page. */
export async function startFakeApp(dist = built, now = Date.now()): Promise<FakeApp> {
  const { runs, schedules, tables } = historyOf(now)
  const pipeline = Object.assign(new FakeObject(), { runs, schedules, methods: ['dailyPipeline', 'query', 'exampleQueries'] })
  const empty = new FakeObject()
  const objects: Record<string, FakeObject> = { 'Pipeline/main': pipeline, 'Report/weekly': empty }
  const oneTime = new Map<string, 'good' | 'used'>()
  let generation = 1

  class Inspector extends RpcTarget {
    readonly #object: FakeObject
    readonly #key: string
    constructor(key: string) {
      super()
      const object = objects[key]
      if (!object)
        throw new DotdoError('NOUN_UNKNOWN', `There is no object ${key} in this app. There are: ${Object.keys(objects).join(', ')}.`, {
          data: { key },
        })
      this.#object = object
      this.#key = key
    }
    describe() {
      const [noun, name] = this.#key.split('/')
      return { noun, name, methods: this.#object.methods, getters: [] }
    }
    runs({ limit = 50, before }: { limit?: number; before?: string } = {}) {
      const from = before === undefined ? 0 : this.#object.runs.findIndex(({ runId }) => runId === before) + 1
      return this.#object.runs.slice(from, from + limit).map(listed)
    }
    async run(runId: string) {
      await this.#object.busy
      return this.#object.find(runId)
    }
    schedules() {
      return this.#object.schedules
    }
    cancelRun(runId: string) {
      this.#object.calls.push(`cancel ${runId}`)
      const error = { name: 'DotdoError', code: 'RUN_CANCELLED', message: 'The run was cancelled by an operator.' }
      this.#object.change({ ...this.#object.find(runId), status: 'cancelled', endedAt: Date.now(), error }, 'run.cancelled')
    }
    retryRun(runId: string) {
      this.#object.calls.push(`retry ${runId}`)
      const { error: _, endedAt: __, ...rest } = this.#object.find(runId)
      this.#object.change({ ...rest, status: 'running', attempt: rest.attempt + 1 }, 'run.started')
    }
    acceptRun(runId: string) {
      this.#object.calls.push(`accept ${runId}`)
      const { error: _, ...rest } = this.#object.find(runId)
      this.#object.change({ ...rest, status: 'running', attempt: rest.attempt + 1 }, 'run.started')
    }
    whatChanged(runId: string) {
      this.#object.calls.push(`look at ${runId}`)
      if (!this.#object.find(runId).input)
        throw new DotdoError('RUN_NOT_RESUMABLE', `The arguments of run '${runId}' had not been stored.`, { data: { runId } })
      return changesOf(runId)
    }
    lineage(runId: string) {
      this.#object.find(runId)
      return lineageOf(runId, now)
    }
    rehearseFork(runId: string, { from }: { from?: string } = {}) {
      this.#object.calls.push(`rehearse ${runId} ${from ?? ''}`)
      return diffOf(runId, from)
    }
    forkRun(runId: string, { from, accept }: { from?: string; accept?: boolean } = {}) {
      this.#object.calls.push(`fork ${runId} ${from ?? ''}`)
      if (this.#object.isOtherCode && !accept)
        throw new DotdoError(
          'RUN_VERSION_CHANGED',
          'The run ran with version 1 of the code, and this is version 2: fork it with accept: true.',
        )
      const { endedAt: _, error: __, result: ___, ...rest } = this.#object.find(runId)
      this.#object.change({ ...rest, runId: 'forked', status: 'running', startedAt: Date.now(), forkedFrom: { runId } }, 'run.started')
      return 'forked'
    }
    replay(letterId: string) {
      this.#object.calls.push(`replay ${letterId}`)
      return 1
    }
    discard(letterId: string) {
      this.#object.calls.push(`discard ${letterId}`)
      return 1
    }
    schedule(scheduleId: string) {
      return new Schedule(this.#object, scheduleId)
    }
    async trigger(scheduleId: string) {
      this.#object.calls.push(`trigger ${scheduleId}`)
      const at = Date.now()
      const runId = `${scheduleId}@manual-${this.#object.calls.length}`
      this.#object.change(
        { runId, target: { kind: 'schedule', id: scheduleId, scheduledAt: at }, status: 'running', attempt: 1, startedAt: at, steps: [] },
        'run.started',
      )
      await this.#object.busy
      return runId
    }
    #setPaused(scheduleId: string, paused: boolean) {
      const schedule = this.#object.schedules.find((known) => known.scheduleId === scheduleId)!
      schedule.paused = paused
      this.#object.emit({ type: 'schedule.changed', schedule })
    }
    pause(scheduleId: string) {
      this.#object.calls.push(`pause ${scheduleId}`)
      this.#setPaused(scheduleId, true)
    }
    resume(scheduleId: string) {
      this.#object.calls.push(`resume ${scheduleId}`)
      this.#setPaused(scheduleId, false)
    }
  }
  class Schedule extends RpcTarget {
    readonly #object: FakeObject
    readonly #id: string
    constructor(object: FakeObject, id: string) {
      super()
      this.#object = object
      this.#id = id
    }
    partitions(_from: number, to: number) {
      return {
        ...(this.#object.hasMoreWindows && { next: to }),
        partitions: windowsUntil(
          to,
          this.#object.calls.some((call) => call.startsWith(`backfill ${this.#id}`)),
        ),
      }
    }
    backfill(from: number, to: number) {
      this.#object.calls.push(`backfill ${this.#id} ${to - from}`)
      this.#object.backfills.unshift({
        backfillId: `backfill_${this.#object.backfills.length + 1}`,
        scheduleId: this.#id,
        status: 'running',
        from,
        to,
        takes: ['missing', 'failed', 'stale'],
        upTo: from,
        windows: 14,
        running: 4,
        concurrency: 4,
        done: 0,
        failed: 0,
        cancelled: 0,
        passed: 9,
        startedAt: Date.now(),
      })
      return new Backfill(this.#object, 0)
    }
    backfills() {
      return this.#object.backfills
    }
    openBackfill(id: string) {
      return new Backfill(
        this.#object,
        this.#object.backfills.findIndex(({ backfillId }) => backfillId === id),
      )
    }
  }
  class Backfill extends RpcTarget {
    readonly #object: FakeObject
    readonly #index: number
    constructor(object: FakeObject, index: number) {
      super()
      this.#object = object
      this.#index = index
    }
    progress() {
      return this.#object.backfills[this.#index]
    }
    cancel() {
      const backfill = this.#object.backfills[this.#index]!
      this.#object.calls.push(`cancel ${backfill.backfillId}`)
      Object.assign(backfill, { status: 'cancelled', running: 0, cancelled: backfill.running, endedAt: Date.now() })
    }
  }
  class Operator extends RpcTarget {
    describe() {
      return { nouns: ['Pipeline', 'Report'], singletons: { Pipeline: ['main'], Report: ['weekly'] } }
    }
    object(noun: string, name: string) {
      return new Inspector(`${noun}/${name}`)
    }
    wake() {}
    watch(noun: string, name: string) {
      return `/live/${noun}/${name}?ticket=good`
    }
    tables() {
      return app.tables
    }
    lineage(of: { table: string; snapshotId?: number; warehouse?: string }) {
      if (!app.tables.some(({ name }) => name === of.table))
        throw new DotdoError('TABLE_NOT_FOUND', `The warehouse R2_BUCKET has no table ${of.table}.`, { data: { table: of.table } })
      return snapshotOf(of, now)
    }
    get fleet() {
      return app.fleet
    }
  }
  class UserObject extends RpcTarget {
    readonly #object: FakeObject
    constructor(object: FakeObject) {
      super()
      this.#object = object
    }
    query(sql: string) {
      this.#object.calls.push(`query ${sql}`)
      return this.#object.query(sql)
    }
    exampleQueries() {
      return this.#object.examples
    }
  }
  class App extends RpcTarget {
    get dotdo() {
      return new Operator()
    }
    /** How a client calls an object. This one keeps no keys: nothing breaks during its calls. */
    call(noun: 'Pipeline' | 'Report', name: string, _key: string | null, [link]: [[method: 'query' | 'exampleQueries', args?: [string]]]) {
      const [method, args] = link
      const object = this[noun](name)
      return method === 'query' ? object.query(...args!) : object.exampleQueries()
    }
    Pipeline(name: string) {
      return new UserObject(objects[`Pipeline/${name}`]!)
    }
    Report(name: string) {
      return new UserObject(objects[`Report/${name}`]!)
    }
  }
  class Door extends RpcTarget {
    authenticate(token: string) {
      if (token === `session-${generation}`) return new App()
      throw new DotdoError('TOKEN_INVALID', 'The token is not valid.')
    }
    redeem(token: string) {
      if (token === 'old') throw new DotdoError('TOKEN_EXPIRED', 'This link has expired.')
      if (oneTime.get(token) === 'used') throw new DotdoError('TOKEN_USED', 'This one-time link has been used.')
      if (!oneTime.has(token)) throw new DotdoError('TOKEN_INVALID', 'The token is not valid.')
      oneTime.set(token, 'used')
      return { token: `session-${generation}`, expiresAt: Date.now() + 3_600_000 }
    }
  }

  const headers = Object.fromEntries(
    [...(await readFile(join(dist, '_headers'), 'utf8')).matchAll(/^ {2}([\w-]+): (.*)$/gm)].map(([, name, value]) => [name!, value!]),
  )
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://fake')
    if (pathname === '/rpc') return void nodeHttpBatchRpcResponse(request, response, new Door())
    const file = pathname === '/' ? 'index.html' : pathname.slice(1)
    readFile(join(dist, file)).then(
      (body) => response.writeHead(200, { 'content-type': types[extname(file)] ?? 'text/plain', ...headers }).end(body),
      () => response.writeHead(404).end('not found'),
    )
  })
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    const { pathname } = new URL(request.url ?? '/', 'http://fake')
    if (app.isDown) return void socket.destroy()
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      const object = objects[decodeURIComponent(pathname.replace('/live/', ''))]
      if (pathname === '/rpc') newWebSocketRpcSession(accepted as unknown as WebSocket, new Door())
      else if (object) object.accept(accepted)
      else accepted.close(1008, 'no such object')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const app: FakeApp = {
    url,
    pipeline,
    empty,
    tables,
    fleet: new FakeFleet(now),
    link() {
      const token = `once-${oneTime.size + 1}`
      oneTime.set(token, 'good')
      return `${url}#token=${token}`
    },
    endSessions: () => void generation++,
    isDown: false,
    cut() {
      for (const object of Object.values(objects)) object.forget()
      for (const socket of sockets.clients) socket.terminate()
    },
    async close() {
      app.cut()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return app
}

/** Two weeks of nights: some were missed, one failed, one is stale. */
function windowsUntil(to: number, isFilled: boolean): PartitionView[] {
  const day = 86_400_000
  const last = Math.floor(to / day) * day
  const states = [
    'done',
    'done',
    'missing',
    'missing',
    'done',
    'failed',
    'done',
    'done',
    'stale',
    'done',
    'done',
    'done',
    'done',
    'running',
  ] as const
  return states.map((state, index) => {
    const end = last - (states.length - 1 - index) * day
    const shown = isFilled && state !== 'done' ? 'running' : state
    return { start: end - day, end, state: shown, ...(state !== 'missing' && { runId: 'daily@done' }) }
  })
}

/** A run as lists tell it: without its steps. */
function listed(run: RunView): RunView {
  const { steps: _, ...rest } = run
  return rest
}
