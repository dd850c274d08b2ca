/**
 * What an object tells the index: how things stand, never what has happened. A fact that comes late, twice or after a later one changes nothing, because
 * each has a number that only grows within its object.
 */
import type { DeadLetter, ScheduleView } from '../base/views.ts'
import type { RunHead } from '../base/fleet-views.ts'
import type { AlertRule } from './rules.ts'

/** The version of {@link FactBatch}. One of another version is refused. */
export const factsVersion = 1

/** How one thing of an object stands. Without its value, it is no more. */
export type Fact =
  | { readonly kind: 'run'; readonly id: string; readonly v: number; readonly value?: RunHead; readonly retold?: true }
  | { readonly kind: 'schedule'; readonly id: string; readonly v: number; readonly value?: ScheduleView; readonly retold?: true }
  | { readonly kind: 'letters'; readonly id: ''; readonly v: number; readonly value: LetterFact; readonly retold?: true }
  | { readonly kind: 'alerts'; readonly id: ''; readonly v: number; readonly value: readonly AlertRule[]; readonly retold?: true }

/** What kinds of facts there are. */
export type FactKind = Fact['kind']

/** The dead letters of an object: the newest, and how many there are. */
export interface LetterFact {
  readonly total: number
  readonly newest: readonly DeadLetter[]
}

/** A message of one object to its shard. */
export interface FactBatch {
  readonly version: typeof factsVersion
  /** Who tells, as `Noun/name`. */
  readonly object: string
  readonly facts: readonly Fact[]
  /** All that there is has been told since this number: what has an older one is no more. */
  readonly sweep?: number
  /** The object tells another set of shards from now on: all of it is to be forgotten here. */
  readonly moved?: true
}

/** How many shards there are where the app does not say. Each is an object that takes some hundred batches a second. */
export const defaultShards = 8

/** Which shard an object tells: FNV-1a over its label, evenly spread, and the same for ever for one number of shards. */
export function shardOf(object: string, shards: number): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < object.length; i++) hash = Math.imul(hash ^ object.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return ((hash ^ (hash >>> 13)) >>> 0) % shards
}

/** The name of a shard. The number of shards is part of it: another number is another set of shards, which begins empty. */
export const shardName = (shard: number, shards: number): string => `fleet ${shard}/${shards}`
