/**
 * How long everything is kept that dotdo stores: one list of rules, and for each table the rule by which its rows go. What has no rule here must not be
 * stored: a test holds the list to the tables of the source, and a year of nights to a bounded size.
 */
import { dayMs, toMs, type Duration } from './durations.ts'
import { DotdoError } from './errors.ts'

/** How long what is over is kept, in milliseconds, by the names that `serve({ keep })` takes. */
export interface Retention {
  /** Runs, with their steps and results, from their end on. */
  runs: number
  /** Runs that nothing but somebody's word can end (an event without a timeout, a version to be accepted), from their beginning: then they are cancelled. */
  waitingRuns: number
  /** Events that were received, for waits that begin late. */
  waits: number
  /** Events without a key, from when every handler has taken them. */
  events: number
  /** Events with a key, from then on: so long does the key hold off a second one. */
  eventKeys: number
  /** Dead letters, with their events. */
  deadLetters: number
  /** Subscriptions that are suspended. */
  suspended: number
  /** What a receiver knows of a sender of which it hears nothing, and of events that were passed over. */
  inbox: number
  /** Which calls of other objects' steps have taken effect, from the beginning of their step. */
  stepCalls: number
  /** Which calls of clients have taken effect, and what they gave. */
  calls: number
  /** Capabilities that were handed out and are over. */
  capabilities: number
  /** Backfills that have ended. */
  backfills: number
  /** Schedules that the code does not declare any more, with their windows. */
  schedules: number
  /** Runs and alerts in the index of the fleet, from their end on. */
  index: number
}

/** What holds where `serve({ keep })` says nothing. */
export const defaultRetention: Retention = {
  runs: 30 * dayMs,
  waitingRuns: 365 * dayMs,
  waits: dayMs,
  events: dayMs,
  eventKeys: 7 * dayMs,
  deadLetters: 30 * dayMs,
  suspended: 30 * dayMs,
  inbox: 60 * dayMs,
  stepCalls: 7 * dayMs,
  calls: 10 * 60_000,
  capabilities: 30 * dayMs,
  backfills: 30 * dayMs,
  schedules: 90 * dayMs,
  index: 30 * dayMs,
}

/**
 * By which rule the rows of each table go. `fixed`: they do not grow with time, but with what is declared or exists. `own`: the framework's own object keeps
 * them, for a time that is no app's to say.
 */
export const retentionOf: Readonly<Record<string, keyof Retention | 'fixed' | 'own'>> = {
  dotdo_versions: 'fixed',
  dotdo_runs: 'runs',
  dotdo_run_tags: 'runs',
  dotdo_steps: 'runs',
  dotdo_values: 'runs',
  dotdo_value_objects: 'runs',
  dotdo_rates: 'runs',
  dotdo_signals: 'waits',
  dotdo_schedules: 'schedules',
  dotdo_partitions: 'schedules',
  dotdo_backfills: 'backfills',
  dotdo_outbox: 'eventKeys',
  dotdo_deliveries: 'deadLetters',
  dotdo_dead_letters: 'deadLetters',
  dotdo_subscriptions: 'suspended',
  dotdo_subscribed: 'fixed',
  dotdo_inbox: 'inbox',
  dotdo_inbox_events: 'inbox',
  dotdo_sink_batches: 'deadLetters',
  dotdo_step_calls: 'stepCalls',
  dotdo_calls: 'calls',
  dotdo_calls_floor: 'fixed',
  dotdo_step_calls_size: 'fixed',
  dotdo_grants: 'capabilities',
  dotdo_live: 'fixed',
  dotdo_fleet_marks: 'fixed',
  dotdo_fleet_feed: 'fixed',
  dotdo_fleet_objects: 'index',
  dotdo_fleet_runs: 'index',
  dotdo_fleet_tags: 'index',
  dotdo_fleet_alerts: 'index',
  dotdo_fleet_schedules: 'fixed',
  dotdo_fleet_letters: 'fixed',
  dotdo_fleet_targets: 'fixed',
  dotdo_fleet_state: 'fixed',
  dotdo_used_tokens: 'own',
  dotdo_singletons: 'own',
  dotdo_catalog_namespaces: 'own',
  dotdo_catalog_tables: 'own',
  dotdo_catalog_commits: 'own',
  dotdo_catalog_intents: 'own',
}

/** What `serve({ keep })` takes: lengths of time by name. */
export type KeepOptions = { readonly [Name in keyof Retention]?: Duration }

/**
 * The retention of an app.
 * @throws `KEEP_INVALID` for a name that there is not, for less than a minute, and where a receiver would forget what its sender may send again; `INVALID_DURATION`
 */
export function readRetention(keep: KeepOptions = {}): Retention {
  const retention = { ...defaultRetention }
  for (const [name, value] of Object.entries(keep)) {
    if (!Object.hasOwn(defaultRetention, name))
      throw invalid(name, `there is nothing of that name to be kept: there are ${Object.keys(defaultRetention).join(', ')}`)
    if (value === undefined) continue
    const ms = toMs(value)
    if (!(ms >= 60_000)) throw invalid(name, `it must be a minute or more, not ${ms} ms`)
    retention[name as keyof Retention] = ms
  }
  if (retention.inbox <= retention.deadLetters)
    throw invalid('inbox', 'it must be longer than deadLetters: a dead letter that is replayed would else be handled a second time')
  return retention
}

function invalid(name: string, reason: string): DotdoError {
  return new DotdoError('KEEP_INVALID', `serve({ keep }) has '${name}', and ${reason}.`, { data: { name } })
}
