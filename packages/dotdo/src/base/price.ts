/** What a run, or a step of one, has cost: the figures by name, and the budget that bounds them. */
import { DotdoError } from './errors.ts'

/** What was used, by name. What is not measured is absent: the platform tells no code how much CPU it takes. */
export interface Price {
  /** Requests by `fetch`. */
  requests: number
  /** Messages to other objects; all calls of a turn on one object are one. */
  messages: number
  /** Calls of other objects. */
  calls: number
  /** Bytes of these calls and their answers, estimated. */
  bytes: number
  /** Rows of the object's own SQLite that statements of the app have read, as the platform counts and bills them. */
  rowsRead: number
  /** Rows that they have written, indexes included. */
  rowsWritten: number
  /** Operations on buckets. */
  r2: number
}

/** A run's price, by step and in sum. */
export interface RunPrice extends Price {
  /** From its start to its end, or until now, with whatever it waited for. Milliseconds. */
  wallMs: number
  budget?: Budget
  /** Steps that have used something, in order of their first start; at most 2,000. What the run's own code used between them is in the sum alone. */
  steps: ({ stepId: string; wallMs: number } & Price)[]
}

/** The most that a run may use, by name; what is not named is not bounded. */
export type Budget = { readonly [Name in keyof Price | 'wallMs']?: number }

/** Part of a price: what is nothing is absent. */
export type Spent = { [Name in keyof Price]?: number }

/** The names of a price, in the order in which people read them. */
export const priceNames: readonly (keyof Price)[] = ['requests', 'calls', 'messages', 'bytes', 'rowsRead', 'rowsWritten', 'r2']

/** Adds to a price in its place. */
export function addSpent(to: Spent, more: Spent): void {
  // Its own names alone: most of what is added has two or three.
  for (const name in more) {
    const value = more[name as keyof Price]
    if (value) to[name as keyof Price] = (to[name as keyof Price] ?? 0) + value
  }
}

/** The whole of a price. */
export function wholePrice(spent: Spent): Price {
  return Object.fromEntries(priceNames.map((name) => [name, spent[name] ?? 0])) as unknown as Price
}

/** The first name that is over its budget, with both figures. */
export function overBudget(spent: Spent, budget: Budget): { name: keyof Price; limit: number; value: number } | undefined {
  for (const name of priceNames) {
    const limit = budget[name]
    const value = spent[name] ?? 0
    if (limit !== undefined && value > limit) return { name, limit, value }
  }
  return undefined
}

/**
 * Checks what a caller gives as a budget.
 * @throws `INVALID_BUDGET` for names that there are not, and what is no number from 0 on
 */
export function readBudget(budget: unknown): Budget {
  const names = new Set<string>([...priceNames, 'wallMs'])
  const entries = typeof budget === 'object' && budget !== null ? Object.entries(budget) : undefined
  const wrong = entries?.find(([name, value]) => !names.has(name) || (value !== undefined && !(typeof value === 'number' && value >= 0)))
  if (entries && !wrong) return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as Budget
  throw new DotdoError(
    'INVALID_BUDGET',
    `A budget is numbers from 0 on by name, and ${wrong ? `'${wrong[0]}' is ${names.has(wrong[0]) ? 'none' : 'no name of it'}` : 'this is none'}. There are ${[...names].join(', ')}.`,
    { data: { name: wrong?.[0], known: [...names] } },
  )
}
