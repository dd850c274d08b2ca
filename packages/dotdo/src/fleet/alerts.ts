/**
 * Owns: what is wrong now, and was (`dotdo_fleet_alerts`).
 *
 * A1. Of one subject, one alert of each kind is open at a time. What is seen again meanwhile is counted; it is told again after a day.
 * A2. An alert is stored in the transaction of the fact that raised it, together with what its targets are owed: none is lost, and none is told twice
 *     because of a crash or because a fact came twice.
 * A3. It is over when the same subject has gone well since; of a schedule, when an instant that came after the failure has, or every window that failed
 *     (`mended.ts`); one of a run that is held, when none is held any more. Only then can it be raised anew.
 * A4. Whom nobody could tell stands in the alert: a target that takes nothing is not passed over in silence.
 */
import type { Clock, Store } from '../base/ports.ts'
import type { AlertSubject, FleetAlert } from '../base/fleet-views.ts'
import type { FleetLimits } from './limits.ts'
import { concerns, recipientOf, targetKey, type AlertRule, type AlertTarget } from './rules.ts'
import { heldCode, textOf } from './alert-text.ts'

/** What a target is given, as the payload of an event `Alert.failed`, `Alert.late` or `Alert.recovered`. Instants are epoch milliseconds. */
export interface AlertPayload {
  alertId: number
  object: string
  subject: AlertSubject
  /** What is over, where it is `Alert.recovered`. */
  kind: FleetAlert['kind']
  openedAt: number
  at: number
  count: number
  runId?: string
  scheduledAt?: number
  deadlineMs?: number
  error?: { code?: string; message: string }
  /** The same in one sentence. */
  text: string
}

/** What {@link Alerts} stand on. */
export interface AlertPorts {
  readonly store: Store
  readonly clock: Clock
  readonly limits: FleetLimits
  /** The rules that hold for an object: its own, and the app's. */
  rules(object: string): readonly AlertRule[]
  /** Stores, in the transaction that is open, that a target gets an alert. */
  owe(to: AlertTarget, event: 'failed' | 'late' | 'recovered', payload: AlertPayload): void
}

/** What has gone wrong. */
export interface Trouble {
  readonly object: string
  readonly noun: string
  readonly subject: AlertSubject
  readonly kind: FleetAlert['kind']
  readonly at: number
  readonly runId?: string
  readonly scheduledAt?: number
  readonly deadlineMs?: number
  readonly error?: { code?: string; message: string }
}

/** A row of `dotdo_fleet_alerts`. */
export type AlertRow = {
  id: number
  object: string
  noun: string
  subject_kind: AlertSubject['kind']
  subject: string
  kind: FleetAlert['kind']
  opened_at: number
  last_at: number
  told_at: number
  count: number
  closed_at: number | null
  run_id: string | null
  scheduled_at: number | null
  deadline_ms: number | null
  error: string | null
  untold: string | null
}

/** The alerts of one shard; see the head of this file. */
export class Alerts {
  readonly #ports: AlertPorts

  constructor(ports: AlertPorts) {
    this.#ports = ports
  }

  /**
   * Something went wrong. Tells those whose rules say so, if it is new, or a step further (a longer deadline has passed), or was told a day ago.
   * @param isStep it is to be told although it is open
   */
  raise(trouble: Trouble, isStep = false): void {
    const { store, clock, limits } = this.#ports
    const { object, noun, subject, kind, at, runId = null, scheduledAt = null, deadlineMs = null, error } = trouble
    const now = clock.now()
    const found = this.#open(object, subject, kind)
    if (found) {
      // That one is held too does not end what has failed: only what goes well does.
      const why = heldCode === error?.code && found.error !== null ? found.error : error ? JSON.stringify(error) : null
      const isDue = isStep || now - found.told_at >= limits.remindMs
      store.sql(
        'UPDATE dotdo_fleet_alerts SET last_at = max(last_at, ?), count = count + 1, told_at = ?, run_id = ?, scheduled_at = ?, deadline_ms = ?, error = ? WHERE id = ?',
        at,
        isDue ? now : found.told_at,
        runId,
        scheduledAt,
        deadlineMs,
        why,
        found.id,
      )
      if (isDue) this.#tell(kind, this.#open(object, subject, kind)!, deadlineMs ?? undefined)
      return
    }
    const [row] = store.sql<AlertRow>(
      `INSERT INTO dotdo_fleet_alerts (object, noun, subject_kind, subject, kind, opened_at, last_at, told_at, count, run_id, scheduled_at, deadline_ms, error)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?) RETURNING *`,
      object,
      noun,
      subject.kind,
      subject.id,
      kind,
      at,
      at,
      now,
      runId,
      scheduledAt,
      deadlineMs,
      error ? JSON.stringify(error) : null,
    )
    this.#tell(kind, row!, deadlineMs ?? undefined)
  }

  /**
   * A subject has gone well at an instant: what is open of it since before is over, and that is told.
   * @param isOver whether that is enough for what is open; it is, where nothing is said
   */
  well(object: string, subject: AlertSubject, kind: FleetAlert['kind'], at: number, isOver?: (row: AlertRow) => boolean): void {
    const row = this.#open(object, subject, kind)
    if (row && row.last_at <= at && (isOver?.(row) ?? true)) this.#close(row, at, true)
  }

  /** No run of a subject is held any more: the alert of those that were is over, and that is told. What has failed meanwhile is not. */
  heldNoMore(object: string, subject: AlertSubject): void {
    const row = this.#open(object, subject, 'failed')
    if (row && codeIn(row) === heldCode) this.#close(row, this.#ports.clock.now(), true)
  }

  /** The handlers of events of an object of which an alert is open that is not of a run that is held. */
  handlersOf(object: string): string[] {
    const open = `SELECT * FROM dotdo_fleet_alerts WHERE object = ? AND subject_kind = 'event' AND closed_at IS NULL`
    return this.#ports.store.sql<AlertRow>(open, object).flatMap((row) => (codeIn(row) === heldCode ? [] : [row.subject]))
  }

  /** The subject is no more: nothing can go well of it again. Nobody is told. */
  end(object: string, subject: AlertSubject): void {
    for (const kind of ['failed', 'late'] as const) {
      const row = this.#open(object, subject, kind)
      if (row) this.#close(row, this.#ports.clock.now(), false)
    }
  }

  /** A target has not taken what it was owed of an alert, with all attempts. */
  untold(alertId: number, to: AlertTarget, error: { code?: string; message: string }): void {
    const { store, clock } = this.#ports
    const untold: FleetAlert['untold'] = { to: recipientOf(to), at: clock.now(), error }
    store.sql('UPDATE dotdo_fleet_alerts SET untold = ? WHERE id = ?', JSON.stringify(untold), alertId)
  }

  /** Takes away what has been over for long enough, a bite at a time. Gives whether there may be more. */
  prune(most: number): boolean {
    const { store, clock, limits } = this.#ports
    const gone = store.sql(
      `DELETE FROM dotdo_fleet_alerts WHERE id IN (SELECT id FROM dotdo_fleet_alerts WHERE closed_at < ? LIMIT (? + 0)) RETURNING id`,
      clock.now() - limits.keepMs,
      most,
    )
    const over = store.sql(
      `DELETE FROM dotdo_fleet_alerts WHERE id IN (
        SELECT id FROM dotdo_fleet_alerts WHERE closed_at IS NOT NULL ORDER BY id
        LIMIT min(?, max(0, (SELECT count(*) FROM dotdo_fleet_alerts) - ?))) RETURNING id`,
      most,
      limits.alerts,
    )
    return gone.length + over.length >= most
  }

  #open(object: string, subject: AlertSubject, kind: FleetAlert['kind']): AlertRow | undefined {
    return this.#ports.store.sql<AlertRow>(
      'SELECT * FROM dotdo_fleet_alerts WHERE object = ? AND subject_kind = ? AND subject = ? AND kind = ? AND closed_at IS NULL',
      object,
      subject.kind,
      subject.id,
      kind,
    )[0]
  }

  #close(row: AlertRow, at: number, isWell: boolean): void {
    this.#ports.store.sql('UPDATE dotdo_fleet_alerts SET closed_at = ?, last_at = max(last_at, ?) WHERE id = ?', at, at, row.id)
    if (isWell) this.#tell('recovered', { ...row, closed_at: at }, undefined)
  }

  /** Owes it to every target of a rule that means it, once to each. A rule with a deadline means its own deadline alone. */
  #tell(event: 'failed' | 'late' | 'recovered', row: AlertRow, deadlineMs: number | undefined): void {
    const subject: AlertSubject = { kind: row.subject_kind, id: row.subject }
    const targets = new Map<string, AlertTarget>()
    for (const rule of this.#ports.rules(row.object)) {
      if (rule.on !== event || !concerns(rule, row.noun, subject)) continue
      if (event === 'late' && rule.deadlineMs !== deadlineMs) continue
      targets.set(targetKey(rule.to), rule.to)
    }
    if (targets.size === 0) return
    const { closedAt: _, untold: __, lastAt, ...view } = viewOf(row)
    const told = { ...view, at: row.closed_at ?? lastAt }
    const payload: AlertPayload = { ...told, text: textOf(event, told) }
    for (const to of targets.values()) this.#ports.owe(to, event, payload)
  }
}

function codeIn({ error }: AlertRow): string | undefined {
  return error === null ? undefined : (JSON.parse(error) as { code?: string }).code
}

/** An alert, as observers see it. */
export function viewOf(row: AlertRow): FleetAlert {
  return {
    alertId: row.id,
    object: row.object,
    subject: { kind: row.subject_kind, id: row.subject },
    kind: row.kind,
    openedAt: row.opened_at,
    lastAt: row.last_at,
    count: row.count,
    ...(row.closed_at !== null && { closedAt: row.closed_at }),
    ...(row.run_id !== null && { runId: row.run_id }),
    ...(row.scheduled_at !== null && { scheduledAt: row.scheduled_at }),
    ...(row.deadline_ms !== null && { deadlineMs: row.deadline_ms }),
    ...(row.error !== null && { error: JSON.parse(row.error) as { code?: string; message: string } }),
    ...(row.untold !== null && { untold: JSON.parse(row.untold) as FleetAlert['untold'] & {} }),
  }
}
