/**
 * The app of the simulation, in three versions. It does what it is told by a plan, and notes in tables of its own what has come of it: those tables are what
 * the simulation's ledger is compared with.
 */
import { RpcTarget } from 'capnweb'
import { NonRetryableError } from '../../src/journal/step-options.ts'
import { DO } from '../../src/object/do.ts'
import { DotdoSystem } from '../../src/object/system.ts'
import type { ObjectClass } from '../../src/testing/world.ts'
import { actorIn, senders, slow, type Op, type Pace } from '../support/scenario.ts'

interface Told {
  name: string
}

/** What an actor gives: calls of it come to what the actor's own methods do. */
class Part extends RpcTarget {
  readonly #of: { bump(effect: string): string; work(effect: string): Promise<unknown> }

  constructor(of: { bump(effect: string): string; work(effect: string): Promise<unknown> }) {
    super()
    this.#of = of
  }

  bump(effect: string) {
    return this.#of.bump(effect)
  }
  work(effect: string) {
    return this.#of.work(effect)
  }
}

/** One version of the app's classes, by noun. */
export function appOf(version: number, { tickMs, retryMs }: Pace): Record<string, ObjectClass> {
  // More attempts than there are crashes, so that every run can end well.
  const retries = { limit: 100, delay: `${retryMs}ms` } as const
  const noun = actorIn(version)
  // oxlint-disable-next-line typescript/no-explicit-any -- as every noun is where no module is declared
  const actor = (self: object, name: string): any => (self as Record<string, (name: string) => unknown>)[noun]!(name)

  const Actor = DO.extend({
    init() {
      const { sql } = this.ctx.storage
      // Whose database it is, for whoever finds it on disk.
      sql.exec('CREATE TABLE IF NOT EXISTS who AS SELECT ? AS name', this.id)
      sql.exec('CREATE TABLE IF NOT EXISTS effects (key TEXT)')
      sql.exec('CREATE TABLE IF NOT EXISTS sent (n INTEGER PRIMARY KEY, id TEXT UNIQUE, name TEXT)')
      sql.exec('CREATE TABLE IF NOT EXISTS got (n INTEGER PRIMARY KEY, sender TEXT, id TEXT)')
      sql.exec('CREATE TABLE IF NOT EXISTS fired (n INTEGER PRIMARY KEY, at INTEGER)')
      this.every(tickMs / 1000).seconds(({ scheduledAt }) => void sql.exec('INSERT INTO fired (at) VALUES (?)', scheduledAt), {
        id: 'tick',
        catchUp: 'all',
      })
      this.on.Item.made((_: Told, { id }: { id: string }) => void sql.exec(`INSERT INTO got (sender, id) VALUES ('self', ?)`, id), {
        id: 'own',
        retries,
      })
      // A release may bring a handler with a step; the next one takes it away again.
      if (version === 2) this.on.Item.made(() => this.do(() => 1, { stepId: 'new' }), { id: 'brought', retries })
    },
    ping() {
      return 'pong'
    },
    begin(key: string, ops: Op[]) {
      return this.runs.start('main', [key, ops], { key }).runId
    },
    stop(runId: string) {
      return this.runs.get(runId).cancel().status
    },
    again(runId: string) {
      return this.runs.get(runId).retry().status
    },
    goOnWithNew(runId: string) {
      return this.runs.get(runId).accept().status
    },
    goOn(id: string) {
      this.send('Item.released', { id }, { key: `go ${id}` })
    },
    async main(key: string, ops: Op[]) {
      // A step that some releases have and others have not: steps go by name.
      if (version !== 1) await this.do(() => version, { stepId: `since ${version}` })
      const done: unknown[] = []
      for (const op of ops) done.push(await this._perform(key, op))
      return done.length
    },
    async _perform(key: string, op: Op): Promise<unknown> {
      const { id } = op
      const effect = `${key}/${id}`
      if (op.kind === 'inside') return this.do(() => this._note(effect), { stepId: id, retries })
      if (op.kind === 'outside') return this.do((step) => this._ask(step.idempotencyKey, step.attempt <= op.fails), { stepId: id, retries })
      if (op.kind === 'bump') return this.do(() => actor(this, op.to).bump(effect), { stepId: id, retries })
      if (op.kind === 'work') return this.do(() => actor(this, op.to).work(effect), { stepId: id, retries })
      if (op.kind === 'part') return this.do(() => actor(this, op.to).part().bump(effect), { stepId: id, retries })
      if (op.kind === 'partWork') return this.do(async () => (await actor(this, op.to).part()).work(effect), { stepId: id, retries })
      if (op.kind === 'child') return this.runs.call('main', [effect, op.ops], { stepId: id })
      if (op.kind === 'sleep') return this.sleep(op.ms, { stepId: id })
      if (op.kind === 'wait') return this.waitFor('Item.released', { stepId: id, match: { id: effect } })
      if (op.kind === 'map')
        return this.map(['a', 'b', 'c'], (item) => this._note(`${effect}/${item}`), {
          stepId: (item) => `${id} ${item}`,
          concurrency: 2,
          retries,
        })
      if (op.kind === 'fail')
        return this.runs.call('fails', [effect], { stepId: id }).then(
          () => 'it should have failed',
          (error: { code?: string }) => error.code,
        )
      if (op.kind === 'both') return Promise.all(op.ops.map((it) => this._perform(key, it)))
      const sent = this.send('Item.made', { name: effect })
      this.ctx.storage.sql.exec('INSERT OR IGNORE INTO sent (id, name) VALUES (?, ?)', sent, effect)
      return sent
    },
    _note(effect: string) {
      this.ctx.storage.sql.exec('INSERT INTO effects VALUES (?)', effect)
      return effect
    },
    async _ask(key: string, fails: boolean) {
      await fetch(`http://outside.test/?key=${encodeURIComponent(key)}`)
      if (fails) throw new Error('not yet')
      return key
    },
    /** Done at once: its row and its key share a transaction. */
    bump(effect: string) {
      return this._note(effect)
    },
    part() {
      return new Part(this)
    },
    async fails(effect: string) {
      const undo = () => void this._note(`${effect}/undone`)
      await this.do(() => this._note(`${effect}/done`), { stepId: 'done', retries, undo })
      await this.do(({ idempotencyKey }) => this._ask(idempotencyKey, false), { stepId: 'ask', retries })
      throw new NonRetryableError('as it should', { code: 'AS_PLANNED' })
    },
    /** A run under the key of its call. */
    async work(effect: string) {
      await this.do(() => this._note(effect), { stepId: 'note', retries })
      return await this.do(({ idempotencyKey }) => this._ask(idempotencyKey, false), { stepId: 'ask', retries })
    },
  })

  const Listener = DO.extend({
    init() {
      const { sql } = this.ctx.storage
      sql.exec('CREATE TABLE IF NOT EXISTS got (n INTEGER PRIMARY KEY, sender TEXT, id TEXT)')
      for (const sender of senders) {
        const heard = (_: Told, { id }: { id: string }) => void sql.exec('INSERT INTO got (sender, id) VALUES (?, ?)', sender, id)
        // Handled at once, or in a run of its own.
        const later = (told: Told, event: { id: string }) => this.do(() => heard(told, event), { stepId: 'hear', retries })
        actor(this, sender).on.Item.made(sender === '1' ? heard : later, { id: `hears-${sender}`, retries })
      }
    },
    ping() {
      return 'pong'
    },
  })
  return { [noun]: Actor, Listener, DotdoSystem } as unknown as Record<string, ObjectClass>
}

/** The versions of the code that are deployed, rolled back and deployed again. */
export const versions: readonly Record<string, ObjectClass>[] = [1, 2, 3].map((version) => appOf(version, slow))
