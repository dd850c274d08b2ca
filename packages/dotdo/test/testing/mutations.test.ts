/**
 * Whether the simulation would notice: each of its invariants is broken once, in the runtime, and some seed has to find it. Statements of the runtime are the
 * place to break it, since what it promises is what stands in its tables.
 */
import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { SqlValue } from '../../src/base/ports.ts'
import { Wake } from '../../src/object/wake.ts'
import { SqliteStore } from '../../src/testing/sqlite-store.ts'
import { World } from '../../src/testing/world.ts'
import type { Databases } from './databases.ts'
import { beginnings, Simulation, troubles } from './simulation.ts'

/** Seeds within which each must be found. */
const mostSeeds = 200

/** What becomes of a statement: it is not made at all, or made otherwise. */
type Broken = 'lost' | { statement: string; parameters: readonly SqlValue[] }

interface Mutation {
  title: string
  /** Statements that are broken. */
  at: RegExp
  /** One in so many is. */
  every: number
  broken: (statement: string, parameters: readonly SqlValue[]) => Broken
  /** What the ledger, or the simulation, says of it. */
  found: RegExp
}

const lost = (): Broken => 'lost'

const mutations: readonly Mutation[] = [
  {
    title: 'an effect inside happens again when its step is not known to be done',
    at: /^UPDATE dotdo_steps SET status = 'done'/,
    every: 5,
    broken: lost,
    // Nobody takes back what is not known to be done, either.
    found: /happened 2 times|undone happened 0 times/,
  },
  {
    title: 'an effect in another object happens again when its call is not known',
    at: /INTO dotdo_step_calls/,
    every: 1,
    // A call that became a run is known by that, too.
    broken: (statement, parameters) => (parameters.some((it) => String(it).includes('.bump#')) ? 'lost' : { statement, parameters }),
    found: /happened [2-9] times/,
  },
  {
    title: 'an effect of what a call gave happens again when its call is not known',
    at: /INTO dotdo_step_calls/,
    every: 1,
    broken: (statement, parameters) => (parameters.some((it) => /[.]part#0[.]bump#/.test(String(it))) ? 'lost' : { statement, parameters }),
    found: /\/s\d+ happened [2-9] times/,
  },
  {
    title: 'the outside is asked more often than there were attempts',
    at: /^UPDATE dotdo_steps SET status = \?, attempt = \?/,
    every: 3,
    broken: (statement, [status, attempt, ...others]) => ({
      statement,
      parameters: [status!, Math.max(1, Number(attempt) - 1), ...others],
    }),
    found: /asked the outside \d+ times in/,
  },
  {
    title: 'an event is lost',
    at: /^INSERT INTO dotdo_sends/,
    every: 6,
    // Sent, and owed to nobody.
    broken: (statement, parameters) => ({ statement, parameters: [...parameters.slice(0, -1), '[]'] }),
    found: /(got|heard)/,
  },
  {
    title: 'an event is taken twice when its receiver forgets it',
    at: /INTO dotdo_inbox /,
    every: 2,
    broken: lost,
    found: /the listener heard/,
  },
  {
    title: 'events come in another order',
    at: /FROM dotdo_deliveries JOIN dotdo_outbox[^]*ORDER BY seq/,
    every: 1,
    broken: (statement, parameters) => ({ statement: statement.replace('ORDER BY seq', 'ORDER BY seq DESC'), parameters }),
    found: /(got|heard)/,
  },
  {
    title: 'an instant fires twice when its run is not known to have ended',
    at: /^UPDATE dotdo_runs SET status = 'done'/,
    every: 5,
    broken: lost,
    found: /fired at|is running|happened 2 times/,
  },
  {
    title: 'an instant is passed over',
    at: /UPDATE dotdo_schedules SET next_at = new/,
    every: 4,
    broken: (statement, [json]) => ({ statement, parameters: [laterBy(json)] }),
    found: /fired at/,
  },
  { title: 'a run waits for an event that nobody keeps', at: /INTO dotdo_signals/, every: 2, broken: lost, found: /stuck/ },
  {
    title: 'what failed for good is not taken back',
    at: /^UPDATE dotdo_runs SET status = 'undoing'/,
    every: 1,
    broken: lost,
    found: /undone happened|is running|stuck/,
  },
]

/** Moves the instants of a schedule by an hour. */
function laterBy(json: SqlValue | undefined): string {
  const groups = JSON.parse(String(json)) as [number, number, ...unknown[]][]
  return JSON.stringify(groups.map(([next, wake, ...others]) => [next + 3_600_000, wake + 3_600_000, ...others]))
}

let databases: Databases

beforeAll(async () => {
  vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  databases = await beginnings()
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.spyOn(console, 'warn').mockImplementation(() => undefined)
})

/** Lives until a seed finds something. */
async function search(): Promise<Error | undefined> {
  for (let seed = 1; seed <= mostSeeds; seed++) {
    const simulation = new Simulation({ databases, ...troubles(seed), crashes: 0.1, losses: 0.1 })
    try {
      await simulation.run()
    } catch (error) {
      return error as Error
    } finally {
      simulation.end()
    }
  }
  return undefined
}

test.each(mutations)('$title, and some seed finds it', { timeout: 120_000 }, async ({ at, every, broken, found }) => {
  const own = Object.getOwnPropertyDescriptor(SqliteStore.prototype, 'run')!.value as SqliteStore['run']
  let met = 0
  vi.spyOn(SqliteStore.prototype, 'run').mockImplementation(function (this: SqliteStore, statement, parameters) {
    if (!at.test(statement) || ++met % every !== 0) return own.call(this, statement, parameters)
    const instead = broken(statement, parameters)
    return instead === 'lost' ? { columns: [], rows: [] } : own.call(this, instead.statement, instead.parameters)
  })
  const fault = await search()
  expect(met, 'the statement is made').toBeGreaterThan(0)
  expect(fault?.message).toMatch(found)
})

/** Breaks a method, but for one call in so many. */
function brokenMethod<Class extends object>(
  prototype: Class,
  name: keyof Class,
  every: number,
  instead: (...args: unknown[]) => unknown,
): void {
  let calls = 0
  const own = prototype[name] as (...args: unknown[]) => unknown
  vi.spyOn(prototype as Record<keyof Class, () => unknown>, name).mockImplementation(function (this: unknown, ...args: unknown[]) {
    return ++calls % every === 0 ? own.apply(this, args) : instead(...args)
  } as never)
}

test('a request to the outside under another key than that of its step, and some seed finds it', { timeout: 120_000 }, async () => {
  const own = globalThis.encodeURIComponent
  let calls = 0
  vi.spyOn(globalThis, 'encodeURIComponent').mockImplementation((text) => own(++calls % 4 === 0 ? `${text} again` : text))
  expect((await search())?.message).toMatch(/which is no step/)
})

test('an object that forgets its alarm is stuck, and some seed finds it', { timeout: 120_000 }, async () => {
  brokenMethod(Wake.prototype, 'arm', 4, () => undefined)
  expect((await search())?.message).toMatch(/stuck|fired at/)
})

test('a message that leaves before what was written with it is on disk, and some seed finds it', { timeout: 120_000 }, async () => {
  brokenMethod(World.prototype, 'depart', Infinity, (_life, leave) => (leave as () => void)())
  expect((await search())?.message).toMatch(/happened|asked|heard|which is no step|stuck/)
})
