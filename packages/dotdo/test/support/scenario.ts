/**
 * What a simulation does, whatever it runs on: the runs that clients ask for, drawn from a seed, each a few steps; and what must have come of each in the end.
 */
import type { Random } from '../../src/base/ports.ts'

/** One thing that a run does. `id` is its step. */
export type Op =
  /** A row of its own, in the transaction of its result. */
  | { kind: 'inside'; id: string }
  /** A request to the outside, under the step's key. `fails`: so many attempts throw after it. */
  | { kind: 'outside'; id: string; fails: number }
  /** A row in another object: by a method that is done at once, or by one with steps of its own. */
  | { kind: 'bump' | 'work'; id: string; to: string }
  /** The same by methods of what a call of that object gave. */
  | { kind: 'part' | 'partWork'; id: string; to: string }
  | { kind: 'send'; id: string }
  | { kind: 'child'; id: string; ops: Op[] }
  | { kind: 'sleep'; id: string; ms: number }
  /** Until somebody says that it may go on. */
  | { kind: 'wait'; id: string }
  | { kind: 'both'; id: string; ops: Op[] }
  /** A row for each of three items, two at a time. */
  | { kind: 'map'; id: string }
  /** A run that does something, asks the outside, fails for good, and has to take back what it did. */
  | { kind: 'fail'; id: string }

/** A run that a client asks for, until it is told that it has begun. */
export interface Planned {
  /** The actor that does it. */
  object: string
  key: string
  ops: readonly Op[]
  /** Whether somebody cancels it, and takes it up again later. */
  isStopped: boolean
}

/** How fast things are in a world: that of a simulation is free to take hours. */
export interface Pace {
  /** Between two firings of each actor's schedule. */
  tickMs: number
  /** Between two attempts of a step. */
  retryMs: number
  /** What runs may sleep for. */
  sleepsMs: readonly number[]
}

/** Hours and minutes, where time costs nothing. */
export const slow: Pace = { tickMs: 3_600_000, retryMs: 1000, sleepsMs: [100, 5000, 60_000, 3_600_000] }

/** Where time is real. */
export const fast: Pace = { tickMs: 1000, retryMs: 50, sleepsMs: [20, 100, 400, 1000] }

/** Objects that send, in all seeds. */
export const senders = ['1', '2']
/** One that is called by some runs, and by nobody else. */
export const late = '3'
/** Who is called by runs. */
export const actors = [...senders, late]
/** Who hears what the senders send. */
export const listener = 'l'

/** One thing of each kind. */
export const everything: readonly Op[] = [
  { kind: 'inside', id: 'inside' },
  { kind: 'send', id: 'send' },
  {
    kind: 'both',
    id: 'both',
    ops: [
      { kind: 'outside', id: 'outside', fails: 1 },
      { kind: 'bump', id: 'bump', to: '2' },
      { kind: 'work', id: 'work', to: late },
    ],
  },
  { kind: 'part', id: 'part', to: '2' },
  { kind: 'partWork', id: 'partWork', to: late },
  {
    kind: 'child',
    id: 'child',
    ops: [
      { kind: 'sleep', id: 'sleep', ms: 60_000 },
      { kind: 'send', id: 'send' },
    ],
  },
  { kind: 'wait', id: 'wait' },
  { kind: 'map', id: 'map' },
  { kind: 'fail', id: 'fail' },
]

/** Two or three runs, each a few steps. */
export function draw(random: Random, { sleepsMs }: Pace): Planned[] {
  const below = (bound: number): number => Math.floor(random.next() * bound)
  const one = <T>(of: readonly T[]): T => of[below(of.length)]!
  let steps = 0
  const several = (count: number, depth: number): Op[] => Array.from({ length: count }, () => op(depth))
  const op = (depth: number): Op => {
    const id = `s${steps++}`
    const kind = one(depth < 2 ? [...kinds, ...nesting] : kinds)
    if (kind === 'outside') return { kind, id, fails: below(3) }
    if (kind === 'bump' || kind === 'work') return { kind: below(8) > 0 ? kind : ofPart[kind], id, to: one(actors) }
    if (kind === 'sleep') return { kind, id, ms: one(sleepsMs) }
    if (kind === 'child' || kind === 'both') return { kind, id, ops: several(1 + below(3), depth + 1) }
    return { kind, id }
  }
  return Array.from({ length: 2 + below(2) }, (_, i) => {
    const key = `r${i}`
    const object = one(senders)
    const ops = several(2 + below(4), 0)
    // What was taken back is done again when its run is: such a run has other rows than others.
    return { object, key, ops, isStopped: i === 0 && !has('fail', ops) }
  })
}

const kinds: readonly Exclude<Op['kind'], 'part' | 'partWork'>[] = [
  ...(['inside', 'inside', 'outside', 'bump', 'bump', 'work', 'send', 'send', 'sleep', 'wait', 'map', 'fail'] as const),
]
/** Calls that open a session cost a simulation more than others: they are rare. */
const ofPart = { bump: 'part', work: 'partWork' } as const
const nesting = ['child', 'both'] as const

const has = (kind: Op['kind'], ops: readonly Op[]): boolean => walk('', ops, (it) => (it.kind === kind ? [kind] : [])).length > 0

/** What stands in a plan, with the key of the run that does it; `of` says what of one thing. */
function walk(key: string, ops: readonly Op[], of: (op: Op, effect: string) => string[]): string[] {
  return ops.flatMap((op) => {
    if (op.kind === 'child') return walk(`${key}/${op.id}`, op.ops, of)
    return op.kind === 'both' ? walk(key, op.ops, of) : of(op, `${key}/${op.id}`)
  })
}

/** What its run waits for. */
export const waitsOf = ({ key, ops }: Planned): string[] => walk(key, ops, ({ kind }, effect) => (kind === 'wait' ? [effect] : []))
/** Events that there must be, by name. */
export const sendsOf = ({ key, ops }: Planned): string[] => walk(key, ops, ({ kind }, effect) => (kind === 'send' ? [effect] : []))
const asks: ReadonlySet<Op['kind']> = new Set(['outside', 'work', 'partWork', 'fail'])
/** Steps that ask the outside. */
export const asksOf = ({ key, ops }: Planned): string[] => walk(key, ops, ({ kind }, effect) => (asks.has(kind) ? [effect] : []))

/** Rows that there must be. */
export const effectsOf = ({ key, ops }: Planned): string[] =>
  walk(key, ops, ({ kind }, effect) => {
    if (kind === 'map') return ['a', 'b', 'c'].map((item) => `${effect}/${item}`)
    if (kind === 'fail') return [`${effect}/done`, `${effect}/undone`]
    return rows.has(kind) ? [effect] : []
  })

const rows: ReadonlySet<Op['kind']> = new Set(['inside', 'bump', 'work', 'part', 'partWork'])

/** What a version calls the actors: the second one has renamed them, and those after it have taken that back. */
export const actorIn = (version: number): string => (version === 2 ? 'Player' : 'Actor')

/** What a version says of that. */
export const renamedIn = (version: number): Record<string, string> => (version === 2 ? { Actor: 'Player' } : {})

/** What its migration says to the platform, whichever version was there before. */
export const migrationTo = (version: number): Record<string, string> => (version === 2 ? { Actor: 'Player' } : { Player: 'Actor' })
