/** Who is told of what: rules as data, because the object that declared one may be what has failed. */
import { dayMs, toMs, type Duration } from '../base/durations.ts'
import { DotdoError } from '../base/errors.ts'
import type { AlertSubject } from '../base/fleet-views.ts'

/**
 * Where an alert goes. `{ object: 'Ops/main' }`: to the handlers of an object, as its event `Alert.failed`, `Alert.late` or `Alert.recovered`.
 * `{ webhook, secret }`: a request signed as https://www.standardwebhooks.com says; `secret` names the binding that holds the secret. `{ chat: 'CHAT_URL' }`:
 * the address in this binding gets `{ "text": … }`, as the incoming webhooks of Slack, Mattermost, Discord (`/slack`) and others take it.
 */
export type AlertTarget =
  | { readonly object: string }
  | { readonly webhook: string; readonly secret: string; readonly timeout?: Duration }
  | { readonly chat: string; readonly timeout?: Duration }

/** One rule. */
export interface AlertRule {
  readonly on: 'failed' | 'late' | 'recovered'
  readonly to: AlertTarget
  /** Of a `late` one: how long after its instant a run of the schedule has to be done. */
  readonly deadlineMs?: number
  /** Only runs of this schedule. */
  readonly schedule?: string
  /** Only objects of this noun; of rules of the app. */
  readonly noun?: string
}

/** A rule as an app writes it: `serve({ fleet: { alerts: [{ on: 'late', deadline: '1h', to: { chat: 'OPS_CHAT' } }] } })`. */
export interface AppAlertRule {
  readonly on: AlertRule['on']
  readonly to: AlertTarget
  readonly deadline?: Duration
  readonly schedule?: string
  readonly noun?: string
}

/** The rules of one object, or of an app, at most. */
export const mostRules = 100
/** The longest deadline: 366 days. */
const longestDeadlineMs = 366 * dayMs

const names = ['on', 'to', 'deadline', 'schedule', 'noun']

/**
 * Reads a rule. What a target needs beside its shape (a binding, an object) is looked for when an alert goes there.
 * @throws `ALERT_INVALID` with what there is; `INVALID_DURATION`
 */
export function readRule(given: AppAlertRule): AlertRule {
  const { on, to, deadline, schedule, noun } = given
  const strange = Object.keys(given).find((name) => !names.includes(name))
  if (strange !== undefined) throw invalid(`there is no option ${JSON.stringify(strange)}, only ${names.join(', ')}`)
  if (on !== 'failed' && on !== 'late' && on !== 'recovered')
    throw invalid(`on is 'failed', 'late' or 'recovered', not ${JSON.stringify(on)}`)
  if ((on === 'late') !== (deadline !== undefined)) throw invalid(`a deadline belongs to 'late', and to nothing else`)
  const deadlineMs = deadline === undefined ? undefined : Math.round(toMs(deadline))
  if (deadlineMs !== undefined && deadlineMs > longestDeadlineMs) throw invalid(`a deadline is 366 days at most`)
  for (const text of [schedule, noun])
    if (text !== undefined && (typeof text !== 'string' || text === '' || text.length > 200)) throw invalid('schedule and noun are texts')
  checkTarget(to)
  return {
    on,
    to,
    ...(deadlineMs !== undefined && { deadlineMs }),
    ...(schedule !== undefined && { schedule }),
    ...(noun !== undefined && { noun }),
  }
}

function checkTarget(to: unknown): void {
  const target = (typeof to === 'object' && to !== null ? to : {}) as Record<string, unknown>
  const kinds = ['object', 'webhook', 'chat'].filter((kind) => typeof target[kind] === 'string')
  if (kinds.length === 1) {
    const [kind] = kinds
    // Told where it is written, and not by an alert that reaches nobody.
    if (target['timeout'] !== undefined) toMs(target['timeout'] as Duration)
    if (kind !== 'object' || /^[A-Z]\w*\/./s.test(target['object'] as string)) return
  }
  throw invalid(`it goes to { object: 'Ops/main' }, { webhook, secret } or { chat }, with one of the three`)
}

function invalid(reason: string): DotdoError {
  return new DotdoError('ALERT_INVALID', `This rule of alerts cannot be used: ${reason}.`, { data: { reason } })
}

/** @throws `ALERT_INVALID` for more than {@link mostRules} */
export function checkRules(rules: readonly AlertRule[]): readonly AlertRule[] {
  if (rules.length > mostRules) throw invalid(`there are ${rules.length}, and ${mostRules} is the most of one object, or of an app`)
  return rules
}

/** Whether a rule is about what has happened to a subject of an object. */
export function concerns(rule: AlertRule, noun: string, subject: AlertSubject): boolean {
  if (rule.noun !== undefined && rule.noun !== noun) return false
  return rule.schedule === undefined ? true : subject.kind === 'schedule' && subject.id === rule.schedule
}

/** The deadlines of a schedule, the shortest first, each once. */
export function deadlinesOf(rules: readonly AlertRule[], noun: string, scheduleId: string): number[] {
  const subject: AlertSubject = { kind: 'schedule', id: scheduleId }
  const found = rules.flatMap((rule) => (rule.on === 'late' && concerns(rule, noun, subject) ? [rule.deadlineMs!] : []))
  return [...new Set(found)].sort((a, b) => a - b)
}

/** A target as people read it. Of an address its host alone: the rest may be a secret. */
export function recipientOf(to: AlertTarget): string {
  if ('object' in to) return `object ${to.object}`
  return 'chat' in to ? `chat ${to.chat}` : `webhook ${/^\w+:\/\/([^/?#]+)/.exec(to.webhook)?.[1] ?? ''}`
}

/** The name of a target: the same target has the same in every life of a shard. */
export const targetKey = (to: AlertTarget): string => JSON.stringify(to, Object.keys(to).sort())
