/** What a step costs in statements and flushes, counted over the whole runtime: whoever adds one sees it here. */
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
  const left = [...few.statements]
  const statements = many.statements.filter((it) => {
    const at = left.indexOf(it)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
  app.close()
  return { statements, flushes: many.flushes - few.flushes }
}

test('a step that calls another object is two statements and a flush, and at the other end three beside the method’s own, and a flush', async () => {
  const atCallee = ['SELECT dotdo_step_calls', 'INSERT rows', 'SELECT', 'INSERT dotdo_step_calls']
  expect(await stepOf('calls')).toEqual({ statements: ['INSERT dotdo_steps', ...atCallee, 'UPDATE dotdo_steps'], flushes: 2 })
})

test('one that reads of another object leaves nothing there', async () => {
  const atCallee = ['SELECT dotdo_step_calls', 'SELECT']
  expect(await stepOf('reads')).toEqual({ statements: ['INSERT dotdo_steps', ...atCallee, 'UPDATE dotdo_steps'], flushes: 1 })
})

test('a pure step is one statement, and shares its flush with the others of its turn', async () => {
  expect(await stepOf('pure')).toEqual({ statements: ['INSERT dotdo_steps'], flushes: 0 })
})
