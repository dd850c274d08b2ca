/**
 * What must be so when a scenario is over, whatever has died on the way: in the simulated world and on workerd alike.
 *
 * It reads what the app has noted in tables of its own, what the outside has noted, and of the runtime's tables only how many attempts there were:
 * 1. What a run does inside of objects is there once.
 * 2. What it does outside is there at least once, always under its own key, and no more often than there were attempts.
 * 3. Every event comes to every handler once in effect, in the order in which it was sent.
 * 4. Every instant of a schedule fires once, in order.
 * 5. Every run that was begun ends, and well; and then nothing is left to do.
 */
import { idempotencyKey } from '../../src/journal/scope.ts'
import { asksOf, effectsOf, late, senders, sendsOf, type Planned } from './scenario.ts'

/** An object as it is on disk. */
export interface Left {
  noun: string
  name: string
  sql: (statement: string, ...values: string[]) => Record<string, string | number | null>[]
}

/** What a scenario has come to. */
export interface Outcome {
  runs: readonly Planned[]
  /** All objects that have lived, without those of the framework. */
  left: readonly Left[]
  /** Requests to the outside, by key. */
  outside: ReadonlyMap<string, number>
  /** Runs that somebody asked to be taken up again: theirs, and those of what they call, are attempts that are counted anew. */
  takenUp: readonly string[]
  ticks: {
    everyMs: number
    /** The first instant of the actors that were there from the beginning, where that is known. */
    first?: number
    /** Instants up to this one must have fired; those after it, up to `latest`, may have. */
    until: number
    latest: number
  }
}

/** What is not done yet, in words. An object that has no tables yet has nothing to do. */
export function openOf(left: readonly Left[]): string[] {
  return left.flatMap((object) => {
    if (!hasTable(object, 'dotdo_runs')) return []
    const label = `${object.noun}/${object.name}`
    const runs = object.sql(
      `SELECT run_id, status, error FROM dotdo_runs WHERE status NOT IN ('done', 'failed') OR status = 'failed' AND target NOT LIKE '%"fails"%'`,
    )
    const waiting = Number(object.sql('SELECT COUNT(*) AS n FROM dotdo_deliveries')[0]!['n'])
    return [
      ...runs.map((row) => `${label} ${String(row['run_id'])} is ${String(row['status'])} ${String(row['error'] ?? '')}`),
      ...(waiting > 0 ? [`${label} has ${waiting} deliveries`] : []),
    ]
  })
}

/** What is not as it must be, in words. */
export function faultsOf(outcome: Outcome): string[] {
  return [...openOf(outcome.left), ...insideFaults(outcome), ...outsideFaults(outcome), ...eventFaults(outcome), ...tickFaults(outcome)]
}

function insideFaults({ runs, left }: Outcome): string[] {
  const inside = new Map<string, number>()
  for (const actor of actorsOf(left)) for (const key of texts(actor, 'SELECT key FROM effects')) inside.set(key, (inside.get(key) ?? 0) + 1)
  const expected = new Set(runs.flatMap(effectsOf))
  return [
    ...[...expected].filter((key) => inside.get(key) !== 1).map((key) => `${key} happened ${inside.get(key) ?? 0} times`),
    ...[...inside.keys()].filter((key) => !expected.has(key)).map((key) => `nobody asked for ${key}`),
  ]
}

function outsideFaults({ runs, left, outside, takenUp }: Outcome): string[] {
  const faults: string[] = []
  const steps = new Set<string>()
  for (const actor of actorsOf(left)) {
    // Each attempt of a step that asks the outside, by the key that its run and its name make. A run whose arguments are in no row fails where its caller is waited
    // for in vain, and the same key takes it up again, with attempts that are counted anew: `isAnew`.
    for (const row of actor.sql(`SELECT r.run_id, s.step_id, s.attempt, substr(r.args, 1, 1) = 'u' AND r.resumes_from > 0 AS isAnew
      FROM dotdo_steps s JOIN dotdo_runs r ON r.seq = s.run`)) {
      const key = idempotencyKey(String(row['run_id']), String(row['step_id']))
      const count = outside.get(key)
      steps.add(key)
      if (count !== undefined && count > Number(row['attempt']) && row['isAnew'] !== 1 && !takenUp.some((runId) => key.startsWith(runId)))
        faults.push(`${key} asked the outside ${count} times in ${String(row['attempt'])} attempts`)
    }
  }
  for (const key of outside.keys()) if (!steps.has(key)) faults.push(`the outside was asked under ${key}, which is no step`)
  const asked = runs.flatMap(asksOf).length
  if (outside.size !== asked) faults.push(`the outside was asked under ${outside.size} keys, not ${asked}`)
  return faults
}

function eventFaults({ runs, left }: Outcome): string[] {
  const faults: string[] = []
  const listener = left.find(({ noun }) => noun === 'Listener')
  for (const actor of actorsOf(left).filter(({ name }) => senders.includes(name))) {
    const label = `Actor/${actor.name}`
    const sent = texts(actor, 'SELECT id FROM sent ORDER BY n').join()
    const names = texts(actor, 'SELECT name FROM sent').toSorted().join()
    const expected = runs
      .filter(({ object }) => object === actor.name)
      .flatMap(sendsOf)
      .toSorted()
      .join()
    if (names !== expected) faults.push(`${label} sent ${names} and should have sent ${expected}`)
    const own = texts(actor, 'SELECT id FROM got ORDER BY n').join()
    const heard = listener ? texts(listener, 'SELECT id FROM got WHERE sender = ? ORDER BY n', actor.name).join() : ''
    if (own !== sent) faults.push(`${label} sent ${sent} and itself got ${own}`)
    if (heard !== sent) faults.push(`${label} sent ${sent} and the listener heard ${heard}`)
  }
  return faults
}

function tickFaults({ left, ticks: { everyMs, first, until, latest } }: Outcome): string[] {
  return actorsOf(left).flatMap((actor) => {
    const fired = actor.sql('SELECT at FROM fired ORDER BY n').map(({ at }) => Number(at))
    // An object that was called late has no schedule before.
    const begins = actor.name === late ? fired[0] : (first ?? fired[0])
    const isEmpty = begins === undefined && actor.name === late
    const dueBy = (at: number) => (begins === undefined ? Infinity : Math.max(0, Math.floor((at - begins) / everyMs) + 1))
    const isRight =
      fired.length >= dueBy(until) &&
      fired.length <= dueBy(latest) &&
      fired.every((at, i) => at % everyMs === 0 && at === begins! + i * everyMs)
    if (isEmpty || isRight) return []
    return [`Actor/${actor.name} fired at ${fired.map((at) => new Date(at).toISOString()).join()}, from ${begins} until ${until}`]
  })
}

/** Those that have lived: the start of an actor makes its tables. */
const actorsOf = (left: readonly Left[]): Left[] => left.filter((it) => it.noun === 'Actor' && hasTable(it, 'effects'))

const hasTable = ({ sql }: Left, name: string): boolean => sql(`SELECT 1 FROM sqlite_master WHERE name = ?`, name).length > 0

/** The first column. */
const texts = ({ sql }: Left, statement: string, ...values: string[]): string[] =>
  sql(statement, ...values).map((row) => String(Object.values(row)[0]))
