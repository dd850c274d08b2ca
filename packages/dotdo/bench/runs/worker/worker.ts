/**
 * The same work in three ways: as runs of dotdo, as one would write it by hand in a Durable Object (look whether the row is there, call, write it),
 * and as a Cloudflare Workflow.
 */
import { DurableObject, WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from 'cloudflare:workers'
import { Notes } from '../../../src/journal/lineage.ts'
import { DO } from '../../../src/object/do.ts'
import { linkVersion } from '../../../src/rpc/frames.ts'
import { packCall, type PackedCall } from '../../../src/rpc/packed-call.ts'
export { DotdoSystem } from '../../../src/object/system.ts'

/** What is called from Node: one piece of work, and its answer comes when all that it wrote is on disk. */
type Side = Record<string, (count: number) => Promise<unknown>>
type Namespace<T = Side> = { getByName(name: string): T }
interface Bindings extends Record<string, unknown> {
  NATIVE_Rows: Namespace<{ write(i: number): Promise<number>; read(i: number): Promise<number> }>
  NATIVE_Bell: Namespace<{ wait(id: string): Promise<void>; ring(id: string): Promise<void> }>
  FLOW: { create(options: { id: string; params: FlowParams }): Promise<unknown> }
}
interface FlowParams {
  kind: string
  count: number
  id: string
}

/** Called by the steps of a run: each call writes one row. */
export const Ledger = DO.extend({
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS rows (i INTEGER)')
  },
  write(i: number) {
    this.ctx.storage.sql.exec('INSERT INTO rows VALUES (?)', i)
    return i
  },
  read: (i: number) => i,
})

export const Runs = DO.extend({
  mayEnd: true,

  async steps(count: number) {
    let sum = 0
    for (let i = 0; i < count; i++) sum += await this.do(() => i, { stepId: `step-${i}` })
    if (!this.mayEnd) throw new Error('not yet')
    return sum
  },
  async calls(count: number) {
    let sum = 0
    for (let i = 0; i < count; i++) sum += Number(await this.do(() => this.Ledger('called').write(i), { stepId: `step-${i}` }))
    return sum
  },
  /** The same without lineage: what steps note is dropped before it is looked at. */
  async unnoted(count: number) {
    const own = Reflect.get(Notes.prototype, 'add') as Notes['add']
    Notes.prototype.add = () => undefined
    try {
      return await this.calls(count)
    } finally {
      Notes.prototype.add = own
    }
  },
  async reads(count: number) {
    let sum = 0
    for (let i = 0; i < count; i++) sum += Number(await this.do(() => this.Ledger('called').read(i), { stepId: `step-${i}` }))
    return sum
  },
  /** Leaves a run whose steps are done, and that is to be replayed. */
  async prepare(count: number) {
    this.mayEnd = false
    const run = this.runs.start('steps', [count], { runId: 'prepared' })
    await run.result().catch(() => undefined)
    this.mayEnd = true
  },
  async replay() {
    const run = this.runs.get('prepared')
    run.retry()
    return await run.result()
  },
  ping: () => 0,
  /** @throws where the index of the fleet has not been told of this object's runs: then there is nothing to measure */
  indexed() {
    const { sql } = this.ctx.storage
    if (sql.exec(`SELECT 1 FROM sqlite_master WHERE name = 'dotdo_fleet_feed'`).toArray().length === 0) throw new Error('there is no index')
    const left = sql.exec('SELECT 1 FROM dotdo_fleet_marks').toArray().length
    if (left > 0) throw new Error(`${left} facts have not been told`)
  },
})

/** What a plain call of the other side writes. */
export class Rows extends DurableObject {
  constructor(ctx: DurableObjectState, env: never) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS rows (i INTEGER)')
  }
  write(i: number): number {
    this.ctx.storage.sql.exec('INSERT INTO rows VALUES (?)', i)
    return i
  }
  read(i: number): number {
    return i
  }
}

export class Memo extends DurableObject<Bindings> {
  #rounds = 0

  constructor(ctx: DurableObjectState, env: Bindings) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS memo (id TEXT PRIMARY KEY, result TEXT NOT NULL) WITHOUT ROWID')
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS written (i INTEGER)')
  }

  async #memo(id: string, fn: () => unknown): Promise<unknown> {
    const { sql } = this.ctx.storage
    for (const { result } of sql.exec<{ result: string }>('SELECT result FROM memo WHERE id = ?', id)) return JSON.parse(result)
    const result = await fn()
    sql.exec('INSERT INTO memo VALUES (?, ?)', id, JSON.stringify(result))
    return result
  }

  async steps(count: number) {
    const round = this.#rounds++
    let sum = 0
    for (let i = 0; i < count; i++) sum += Number(await this.#memo(`${round}/step-${i}`, () => i))
    return sum
  }
  /** A native call whose method writes a row, and a row of its own that is on disk before the next one. */
  async calls(count: number) {
    let sum = 0
    for (let i = 0; i < count; i++) {
      sum += await this.env.NATIVE_Rows.getByName('called').write(i)
      this.ctx.storage.sql.exec('INSERT INTO written VALUES (?)', i)
      await this.ctx.storage.sync()
    }
    return sum
  }
  async reads(count: number) {
    let sum = 0
    for (let i = 0; i < count; i++) {
      sum += await this.env.NATIVE_Rows.getByName('called').read(i)
      this.ctx.storage.sql.exec('INSERT INTO written VALUES (?)', i)
      await this.ctx.storage.sync()
    }
    return sum
  }
  /** Plain calls whose method writes one row. */
  async plain(count: number) {
    let sum = 0
    for (let i = 0; i < count; i++) sum += await this.env.NATIVE_Rows.getByName('called').write(i)
    return sum
  }
  async prepare(count: number) {
    this.#rounds = 0
    await this.steps(count)
    this.#rounds = 0
  }
  async replay(count: number) {
    this.#rounds = 0
    return await this.steps(count)
  }
  ping() {
    return 0
  }
}

/** A workflow says when it has ended: asking it would disturb it. */
export class Bell extends DurableObject {
  #waiting = new Map<string, PromiseWithResolvers<void>>()
  #of(id: string): PromiseWithResolvers<void> {
    const there = this.#waiting.get(id) ?? Promise.withResolvers<void>()
    this.#waiting.set(id, there)
    return there
  }
  wait(id: string): Promise<void> {
    return this.#of(id).promise.finally(() => this.#waiting.delete(id))
  }
  ring(id: string): void {
    this.#of(id).resolve()
  }
}

export class Flow extends WorkflowEntrypoint<Bindings, FlowParams> {
  override async run({ payload: { kind, count, id } }: WorkflowEvent<FlowParams>, step: WorkflowStep) {
    const rows = this.env.NATIVE_Rows.getByName('called')
    let sum = 0
    for (let i = 0; i < count; i++) sum += await step.do(`step-${i}`, kind === 'calls' ? () => rows.write(i) : () => Promise.resolve(i))
    await this.env.NATIVE_Bell.getByName('bell').ring(id)
    return sum
  }
}

export default {
  /**
   * `/<Runs, Memo or Flow>/<name>/<method>/<count>/<at once>`: as often at once in the object of the name, or each in one of its own for `name*`.
   * `/Runs/<name>/tell`: answered when the index of the fleet knows all that the object has to tell.
   */
  async fetch(request: Request, env: Bindings): Promise<Response> {
    const [, side = '', name = '', method = '', count = '', atOnce = '1'] = new URL(request.url).pathname.split('/')
    if (method === 'tell') {
      const object = (env[`NATIVE_${side}`] as Namespace<{ dotdoCall(...call: PackedCall): Promise<unknown> }>).getByName(name)
      const calls = [{ method: 'dotdo:fleetTell', args: [] }]
      await object.dotdoCall(...packCall({ version: linkVersion, link: crypto.randomUUID(), number: 0, origin: { depth: 1 }, calls }))
      return new Response('told')
    }
    const work = async (index: number): Promise<unknown> => {
      if (side !== 'Flow')
        return (env[`NATIVE_${side}`] as Namespace).getByName(name.endsWith('*') ? `${name}${index}` : name)[method]!(Number(count))
      const id = crypto.randomUUID()
      const ended = env.NATIVE_Bell.getByName('bell').wait(id)
      await env.FLOW.create({ id, params: { kind: method, count: Number(count), id } })
      return ended
    }
    await Promise.all(Array.from({ length: Number(atOnce) }, (_, index) => work(index)))
    return new Response('done')
  },
}
