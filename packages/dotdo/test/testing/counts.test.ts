/** What a step and an event cost in statements and flushes, counted over the whole runtime: whoever adds one sees it here. */
import { afterEach, expect, test, vi } from 'vitest'
import { DO } from '../../src/index.ts'
import { SqliteStore } from '../../src/testing/sqlite-store.ts'
import { testApp } from '../../src/testing.ts'

const Caller = DO.extend({
  async calls(count: number) {
    for (let i = 0; i < count; i++) await this.do(() => this.Callee('c').write(i), { stepId: `step-${i}` })
  },
  async reads(count: number) {
    for (let i = 0; i < count; i++) await this.do(() => this.Callee('c').read(i), { stepId: `step-${i}` })
  },
  async pure(count: number) {
    for (let i = 0; i < count; i++) await this.do(() => i, { stepId: `step-${i}` })
  },
})
const Callee = DO.extend({
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS rows (i INTEGER)')
  },
  write(i: number) {
    this.ctx.storage.sql.exec('INSERT INTO rows VALUES (?)', i)
  },
  read: (i: number) => i,
})

afterEach(() => vi.restoreAllMocks())

/** What `work` runs, as verb and table, and how often something that was written went to disk. */
async function costs(work: () => Promise<unknown>): Promise<{ statements: string[]; flushes: number }> {
  const statements: string[] = []
  let flushes = 0
  const run = Reflect.get(SqliteStore.prototype, 'run') as SqliteStore['run']
  const flush = Reflect.get(SqliteStore.prototype, 'flush') as SqliteStore['flush']
  vi.spyOn(SqliteStore.prototype, 'run').mockImplementation(function (this: SqliteStore, statement, parameters) {
    const [verb] = /\w+/.exec(statement)!
    statements.push([verb, /(?:INTO|UPDATE|FROM)\s+(\w+)/.exec(statement)?.[1]].join(' ').trim())
    return run.call(this, statement, parameters)
  })
  vi.spyOn(SqliteStore.prototype, 'flush').mockImplementation(function (this: SqliteStore) {
    if (this.isDirty) flushes++
    flush.call(this)
  })
  await work()
  vi.restoreAllMocks()
  return { statements, flushes }
}

/** What one step more costs. */
async function stepOf(kind: 'calls' | 'reads' | 'pure'): Promise<{ statements: string[]; flushes: number }> {
  const app = await testApp({ Caller, Callee })
  const caller = app.Caller('a') as unknown as Record<string, (count: number) => Promise<void>>
  const run = (count: number) => app.until(caller[kind]!(count))
  await run(3)
  const [few, many] = [await costs(() => run(2)), await costs(() => run(3))]
  app.close()
  return { statements: more(few.statements, many.statements), flushes: many.flushes - few.flushes }
}

/** What of many statements is not among the few. */
function more(few: readonly string[], many: readonly string[]): string[] {
  const left = [...few]
  return many.filter((it) => {
    const at = left.indexOf(it)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

test('a step that calls another object is two statements and a flush, and at the other end one beside the method’s own, and a flush', async () => {
  const atCallee = ['INSERT rows', 'INSERT dotdo_step_calls']
  expect(await stepOf('calls')).toEqual({ statements: ['INSERT dotdo_steps', ...atCallee, 'UPDATE dotdo_steps'], flushes: 2 })
})

test('one that reads of another object leaves nothing there, and asks nothing', async () => {
  expect(await stepOf('reads')).toEqual({ statements: ['INSERT dotdo_steps', 'UPDATE dotdo_steps'], flushes: 1 })
})

test('a pure step is one statement, and shares its flush with the others of its turn', async () => {
  expect(await stepOf('pure')).toEqual({ statements: ['INSERT dotdo_steps'], flushes: 0 })
})

test('fifty runs at once share their flushes: at either end as many as a few runs have', async () => {
  const app = await testApp({ Caller, Callee })
  const caller = app.Caller('a') as unknown as Record<string, (count: number) => Promise<void>>
  const atOnce = (runs: number) => costs(() => app.until(Promise.all(Array.from({ length: runs }, () => caller['calls']!(3)))))
  await atOnce(1)
  const one = (await atOnce(1)).flushes
  expect(one).toBe(7)
  // The first is not held up by those behind it, and stays a turn ahead of them.
  expect((await atOnce(50)).flushes).toBeLessThanOrEqual(2 * one)
  app.close()
})

test('runs of fifty objects share those of an object that their steps call', async () => {
  const app = await testApp({ Caller, Callee })
  const callers = Array.from({ length: 50 }, (_, i) => app.Caller(`a ${i}`) as unknown as Record<string, (count: number) => Promise<void>>)
  const atOnce = () => app.until(Promise.all(callers.map((caller) => caller['calls']!(3))))
  await atOnce()
  const { flushes } = await costs(atOnce)
  expect(flushes - 50 * 4).toBeLessThanOrEqual(2 * 3)
  app.close()
})

const Sender = DO.extend({
  sends(count: number) {
    for (let i = 0; i < count; i++) this.send('Tick.came', { i })
  },
})
const Receiver = DO.extend({
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS ticks (i INTEGER)')
    this.Sender('s').on.Tick.came(({ i }: { i: number }) => void this.ctx.storage.sql.exec('INSERT INTO ticks VALUES (?)', i))
  },
  count() {
    return this.ctx.storage.sql.exec('SELECT * FROM ticks').toArray().length
  },
})

test('of events that are sent and handled together each is one statement at its sender, and at the other end those of its handler', async () => {
  const app = await testApp({ Sender, Receiver })
  const [sender, receiver] = [app.Sender('s'), app.Receiver('r')]
  await app.until(receiver.count())
  const send = async (count: number): Promise<void> => {
    await app.until(sender.sends(count))
    await app.advance(100)
  }
  await send(3)
  const few = await costs(() => send(2))
  const many = await costs(() => send(12))
  expect(more(few.statements, many.statements)).toEqual(
    Array.from({ length: 20 }, (_, i) => (i < 10 ? 'INSERT dotdo_sends' : 'INSERT ticks')),
  )
  expect(many.flushes).toBe(few.flushes)
  expect(await app.until(receiver.count())).toBe(17)
  app.close()
})

test('an event alone is two statements at its sender until it leaves, at the other end one beside those of its handler, and two later', async () => {
  const app = await testApp({ Sender, Receiver })
  const [sender, receiver] = [app.Sender('s'), app.Receiver('r')]
  await app.until(receiver.count())
  const send = async (): Promise<void> => {
    await app.until(sender.sends(1))
    await app.advance(100)
  }
  // The first sets the alarm, which is left as it is for a second.
  await send()
  const sent = ['INSERT dotdo_sends', 'SELECT dotdo_deliveries', 'INSERT ticks', 'INSERT dotdo_inbox']
  const takenOff = ['UPDATE dotdo_outbox', 'DELETE dotdo_deliveries']
  expect(await costs(send)).toEqual({ statements: [...sent, ...takenOff], flushes: 3 })
  // Until that is written, it waits for a flush that comes anyway.
  const twice = await costs(async () => {
    await app.until(sender.sends(1))
    await send()
  })
  expect(twice).toEqual({ statements: [...sent, sent[0], ...takenOff, ...sent.slice(1), ...takenOff], flushes: 5 })
  app.close()
})

test('a run that follows another is its row and its end: its alarm is set, and no room is asked when it wants to be woken', async () => {
  const app = await testApp({ Caller, Callee })
  const caller = app.Caller('a') as unknown as Record<string, (count: number) => Promise<void>>
  const run = () => app.until(caller['pure']!(1))
  await run()
  const { statements, flushes } = await costs(run)
  // What the index is to be told is one row, written at the beginning and at the end.
  const mark = 'INSERT dotdo_fleet_marks'
  expect(statements).toEqual(['INSERT dotdo_runs', 'INSERT dotdo_steps', mark, 'UPDATE dotdo_runs', mark])
  expect(flushes).toBe(1)
  app.close()
})
