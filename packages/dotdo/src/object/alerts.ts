/** `this.alerts`: who is told when runs of an object fail, are late, or go well again. Declared in `init()`, as schedules are. */
import type { Duration } from '../base/durations.ts'
import { DotdoError } from '../base/errors.ts'
import type { SentEvent } from '../events/event.ts'
import type { EventHandler } from '../events/handlers.ts'
import type { Outbox } from '../events/outbox.ts'
import { isSink } from '../events/sinks.ts'
import type { AlertPayload } from '../fleet/alerts.ts'
import type { Scheduler } from '../schedule/scheduler.ts'
import { checkRules, readRule, type AlertRule, type AlertTarget } from '../fleet/rules.ts'

/** Who is told: a target outside of this object, or a function of it, which is told when the object is awake again. */
export type AlertTo = AlertTarget | ((alert: AlertPayload, event: SentEvent<AlertPayload>) => unknown)

/** What may stand behind a target. */
export interface AlertOptions {
  /** Only runs of this schedule: its id, or what `this.every` gave. */
  schedule?: string | { readonly id: string }
}

/** See `this.alerts`. Each is declared in `init()`; what the code declares no more holds no more. */
export interface ObjectAlerts {
  /**
   * Tells that a run has failed, or that an event became a dead letter: the first time, and again after a day while it goes on. It is over when a run of
   * the same schedule or method is done.
   * @throws `ALERT_INVALID`, `INVALID_HANDLER`
   */
  onFailure(to: AlertTo, options?: AlertOptions): void
  /**
   * Tells that at `deadline` after an instant of a schedule no run is done that covers it: none has begun, it still runs, or it has failed. The index watches
   * for it, so it is told also where this object never wakes. Once for an instant, and not for later ones until a run is done.
   * @throws `ALERT_INVALID`, `INVALID_HANDLER`, `INVALID_DURATION`
   */
  onLate(deadline: Duration, to: AlertTo, options?: AlertOptions): void
  /** Tells that what had failed or was late is well again. @throws `ALERT_INVALID`, `INVALID_HANDLER` */
  onRecovered(to: AlertTo, options?: AlertOptions): void
}

/** The rules that one object declares. Memory: each incarnation declares them anew, and the index is told where they have changed. */
export class Alerts implements ObjectAlerts {
  readonly #label: string
  readonly #knownAs: string
  readonly #outbox: Outbox
  readonly #rules: AlertRule[] = []
  #settled = false

  /** @param knownAs what the index calls the object: see `renamed.ts` */
  constructor(label: string, knownAs: string, outbox: Outbox) {
    this.#label = label
    this.#knownAs = knownAs
    this.#outbox = outbox
  }

  /** What is declared. */
  get rules(): readonly AlertRule[] {
    return this.#rules
  }

  /**
   * Refuses a rule of a schedule that `init()` has not declared: it would never tell anybody. One that was cancelled by hand is declared still.
   * @throws `ALERT_INVALID` with those that there are
   */
  requireKnown(schedules: Pick<Scheduler, 'handlerOf' | 'ids'>): void {
    const stray = this.#rules.find(({ schedule }) => schedule !== undefined && !schedules.handlerOf(schedule))
    if (!stray) return
    const known = schedules.ids()
    const names = `${known.slice(0, 20).join(', ') || 'none'}${known.length > 20 ? ' and more' : ''}`
    throw new DotdoError(
      'ALERT_INVALID',
      `An alert of ${this.#label} is for the schedule ${JSON.stringify(stray.schedule)}, and init() declares none of that id. There are: ${names}.`,
      { data: { on: stray.on, schedule: stray.schedule, known: known.slice(0, 20) } },
    )
  }

  /** The end of `init()`. */
  settle(): void {
    this.#settled = true
  }

  onFailure(to: AlertTo, options?: AlertOptions): void {
    this.#declare('failed', undefined, to, options)
  }
  onLate(deadline: Duration, to: AlertTo, options?: AlertOptions): void {
    this.#declare('late', deadline, to, options)
  }
  onRecovered(to: AlertTo, options?: AlertOptions): void {
    this.#declare('recovered', undefined, to, options)
  }

  #declare(on: AlertRule['on'], deadline: Duration | undefined, given: AlertTo, { schedule, ...strange }: AlertOptions = {}): void {
    if (this.#settled)
      throw new DotdoError('ALERT_INVALID', `An alert of ${this.#label} was declared after init() had ended: declare it there.`, {
        data: { on },
      })
    const id = typeof schedule === 'object' ? schedule.id : schedule
    const to = typeof given === 'function' ? { object: this.#knownAs } : given
    const rule = readRule({
      on,
      to,
      ...(deadline !== undefined && { deadline }),
      ...(id !== undefined && { schedule: id }),
      // What there is not is refused with the names of what there is.
      ...strange,
    })
    if (typeof given === 'function') this.#handle(rule, given as EventHandler)
    else isSink(to, `alerts of ${this.#label}`)
    checkRules([...this.#rules, rule])
    this.#rules.push(rule)
  }

  /** Alerts that are for this object are events of it; a function gets those that its own rule means. */
  #handle({ on, schedule, deadlineMs }: AlertRule, fn: EventHandler): void {
    const take: EventHandler = (payload, event) => {
      const { object, subject, deadlineMs: passed } = payload as AlertPayload
      const isMeant =
        (object === this.#label || object === this.#knownAs) &&
        (schedule === undefined || (subject.kind === 'schedule' && subject.id === schedule))
      return isMeant && (on !== 'late' || passed === deadlineMs) ? fn(payload, event) : undefined
    }
    this.#outbox.subscribe(`Alert.${on}`, Object.defineProperty(take, 'name', { value: fn.name }))
  }
}
