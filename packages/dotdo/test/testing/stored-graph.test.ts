/** Runs of a graph that was stored: what they do is in their arguments, and nowhere in the code that takes them up. */
import { expect, test } from 'vitest'
import { DO, graph, type Element, type Graph } from '../../src/index.ts'
import { testApp } from '../../src/testing.ts'

const Till = DO.extend({
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS entries (cents INTEGER)')
  },
  book(cents: number) {
    this.ctx.storage.sql.exec('INSERT INTO entries VALUES (?)', cents)
    return cents
  },
  sum() {
    return this.ctx.storage.sql.exec('SELECT count(*) AS n, sum(cents) AS cents FROM entries').one()
  },
})

/** Knows of no till: the graph says what is done. */
const Runner = DO.extend({
  begin(text: string, cents: number) {
    return this.runs.start('carry', [text, cents], { runId: 'carried' })
  },
  async carry(text: string, cents: number) {
    const calls: Graph<number, [cents: number]> = graph.load(text)
    const done = await this.do(() => calls.send(cents), { stepId: 'calls' })
    await this.sleep('1m', { stepId: 'rest' })
    return done
  },
})
const Planner = DO.extend({
  plan() {
    return graph((cents: Element<number>) => this.Till('b').book(this.Till('a').book(cents))).save()
  },
})

test.each([
  ['nowhere', undefined],
  ['before the calls of the graph are stored', ['calls', { stored: false }]],
  ['behind them', ['calls', { stored: true }]],
] as const)('a run goes on by its stored graph when its object dies %s, and its calls take effect once', async (_, crash) => {
  const app = await testApp({ Till, Runner, Planner })
  const text = await app.Planner('p').plan()
  if (crash) app.crashAfter(crash[0], crash[1])
  await app.Runner('r').begin(text, 700)
  await app.advance('2m')
  expect(app.runs('Runner/r')).toMatchObject([{ runId: 'carried', status: 'done', result: 700, attempt: crash ? 2 : 1 }])
  for (const till of ['a', 'b']) expect(await app.Till(till).sum()).toEqual({ n: 1, cents: 700 })
})
