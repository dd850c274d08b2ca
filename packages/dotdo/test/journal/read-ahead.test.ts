import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { migrate } from '../../src/base/migrations.ts'
import type { ActiveRun } from '../../src/journal/active-run.ts'
import { aheadMost, ReadAhead } from '../../src/journal/read-ahead.ts'
import { newStep, StepTable } from '../../src/journal/steps.ts'
import { journalMigrations } from '../../src/journal/tables.ts'
import { ValueStore } from '../../src/journal/values.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

/** A run's table of steps, one look at a time, and what the looks have read. */
function table(ids: readonly string[], isDone: (index: number) => boolean = () => true) {
  const store = new SqliteStore()
  migrate(store, 'journal', journalMigrations)
  const steps = new StepTable(store, new ValueStore(store))
  const run = { seq: 1, ahead: new ReadAhead(), write: <T>(work: () => T) => work() }
  const add = (stepId: string, index: number, done: boolean, seq = 1): void => {
    const step = { ...newStep(seq, stepId, index, 5, undefined), attempt: 1, result: `[${index}]` }
    if (done) steps.insertDone(step, { endedAt: 5, result: step.result, valueId: null }, null)
    else steps.insert({ ...step, status: 'running' })
  }
  ids.forEach((id, index) => add(id, index, isDone(index)))
  // Another run's rows are neighbours of the last.
  add(ids[0] ?? 'a', 0, true, 2)
  const read = { statements: 0, rows: 0 }
  const sql = store.sql.bind(store)
  store.sql = ((text: string, ...values: never[]) => {
    const rows = sql(text, ...values)
    read.statements++
    read.rows += rows.length
    return rows
  }) as typeof store.sql
  return {
    read,
    add,
    look: (stepId: string) => steps.look(1, stepId, run.ahead),
    find: (stepId: string) => steps.find(1, stepId),
    undo: (stepId: string, undo: number) => steps.putUndo(run as unknown as ActiveRun, stepId, undo),
  }
}

describe('a look at a step', () => {
  const id = fc.oneof(
    fc.nat({ max: 30 }).map((n) => `step-${n}`),
    fc.string({ maxLength: 3 }),
    fc.constantFrom('ä', '😀', '\uffff', 'a\u0000b', '\ud800'),
  )
  test('finds what a look at its row finds, in any order, whatever is written in between', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(id, { maxLength: 40 }),
        fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }),
        fc.array(fc.record({ id, then: fc.constantFrom('look', 'look', 'look', 'add', 'undo') }), { maxLength: 120 }),
        (ids, done, actions) => {
          const steps = table(ids, (index) => done[index]!)
          const there = new Set(ids)
          for (const [index, action] of actions.entries()) {
            if (action.then === 'add' && !there.has(action.id)) {
              steps.add(action.id, 100 + index, index % 2 === 0)
              there.add(action.id)
            }
            if (action.then === 'undo') steps.undo(action.id, index)
            const looked = steps.look(action.id)
            const found = steps.find(action.id)
            expect(looked?.status).toBe(found?.status)
            if (found) expect(looked).toMatchObject({ result: found.result, undo: found.undo })
          }
        },
      ),
      { numRuns: 150 },
    )
  })

  test('tells that a step was undone which was read before that', () => {
    const { look, undo } = table(['a', 'b', 'c'])
    expect(look('a')).toMatchObject({ undo: 0 })
    undo('b', -1)
    expect(look('b')).toMatchObject({ undo: -1 })
  })

  test('costs a statement for many steps where their ids count', () => {
    const ids = Array.from({ length: 10_000 }, (_, i) => `step-${i}`)
    const { look, read } = table(ids)
    for (const id of ids) expect(look(id)?.status).toBe('done')
    expect(read.statements).toBeLessThan(2000)
    expect(read.rows).toBeLessThan(20_000)
  })

  test('costs a statement for the most that one may read where they are days', () => {
    const ids = Array.from({ length: 10_000 }, (_, i) => new Date(i * 86_400_000).toISOString())
    const { look, read } = table(ids)
    for (const id of ids) look(id)
    expect(read.statements).toBeLessThan(10_000 / aheadMost + 10)
  })

  test('reads no more than one row in vain where they come in no order, or are not there', () => {
    const count = 5003
    const ids = Array.from({ length: count }, (_, i) => `step-${(i * 1237) % count}`)
    const shuffled = ids.map((_, i) => `step-${(i * 3571) % count}`)
    const { look, read } = table(ids)
    for (const id of shuffled) look(id)
    expect(read.rows).toBeLessThan(2.2 * count)
    read.rows = 0
    for (const id of shuffled) expect(look(`${id} of another`)).toBeUndefined()
    expect(read.rows).toBeLessThan(2.2 * count)
  })
})
