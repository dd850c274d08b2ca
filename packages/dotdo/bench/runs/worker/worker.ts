/** Objects of both kinds: runs of dotdo, and a memo as one would write it by hand in a Durable Object. */
import { DurableObject, env } from 'cloudflare:workers'
import { DO } from '../../../src/object/do.ts'

export const Runs = DO.extend({
  mayEnd: true,

  async steps(count: number) {
    let sum = 0
    for (let i = 0; i < count; i++) sum += await this.do(() => i, { stepId: `step-${i}` })
    if (!this.mayEnd) throw new Error('not yet')
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
})

export class Memo extends DurableObject {
  #rounds = 0

  constructor(ctx: DurableObjectState, given: Cloudflare.Env) {
    super(ctx, given)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS memo (id TEXT PRIMARY KEY, result TEXT NOT NULL) WITHOUT ROWID')
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
  async prepare(count: number) {
    this.#rounds = 0
    await this.steps(count)
    this.#rounds = 0
  }
  async replay(count: number) {
    this.#rounds = 0
    return await this.steps(count)
  }
}

type Side = Record<string, (count: number) => Promise<unknown>>

export default {
  /** `/<Runs or Memo>/<object>/<method>/<count>` */
  async fetch(request: Request): Promise<Response> {
    const [, side = '', name = '', method = '', count = ''] = new URL(request.url).pathname.split('/')
    const namespace = (env as unknown as Record<string, { getByName(name: string): Side }>)[`NATIVE_${side}`]!
    return Response.json((await namespace.getByName(name)[method]!(Number(count))) ?? null)
  },
}
