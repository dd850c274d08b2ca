/**
 * One alarm, many rooms: the object is woken at the soonest instant that any of them asks for.
 *
 * An alarm that has to be sooner is set at once, in the commit of what asks for it. One that may be later, or is not needed any more, is left for a
 * second first: a burst of sends would else set and delete it for each, and each costs more than the send. One that fires too soon changes nothing.
 */
import { now, timer } from '#platform'
import { codeOf } from '../base/errors.ts'
import type { Transactions } from './transactions.ts'

/** How long an alarm that is sooner than need be is left. */
const leaveMs = 1000

/** The latest that the alarm is set for, a year from now: the platform refuses dates after 2189. Whoever is woken too soon is woken again. */
const longestMs = 365 * 86_400_000

/** How soon, and how late, an object that could not begin tries again. */
const againMs = 10_000
const longestAgainMs = 3_600_000
/** How late at most what found storage full tries again. */
const longestOffMs = 600_000

/** The alarm of one object; see the head of this file. */
export class Wake {
  #storage: DurableObjectStorage
  #rooms: (() => number | null | undefined)[]
  #setFor: number | null | undefined
  #scheduled = false
  #leaving = false
  /** It is set for no sooner; what was due by then waits. */
  #notBefore = 0

  #armed: (at: number | null) => void
  #transactions: Pick<Transactions, 'whenNone'>

  /**
   * @param rooms each tells when it wants to be woken next, epoch milliseconds; `null` or `undefined` for never
   * @param armed told each time that the alarm was set, to what, or taken away
   * @param transactions those that may take back what is set while one is open
   */
  constructor(
    storage: DurableObjectStorage,
    rooms: (() => number | null | undefined)[],
    armed: (at: number | null) => void = () => {},
    transactions: Pick<Transactions, 'whenNone'> = { whenNone: (work) => work() },
  ) {
    this.#storage = storage
    this.#rooms = rooms
    this.#armed = armed
    this.#transactions = transactions
  }

  /** What the alarm is set to, epoch milliseconds; `null` where there is none. */
  get at(): number | null {
    return this.#setFor ?? null
  }

  /** Says that some room's next instant may have changed: looked at once, when the turn's promises have run, inside the same turn's commit. */
  changed(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    const look = () => {
      this.#scheduled = false
      try {
        this.arm()
      } catch (thrown) {
        // The object is over, with the turn that asked for this: the next life sets its alarm.
        if (codeOf(thrown) !== 'STORAGE_FULL') throw thrown
      }
    }
    queueMicrotask(() => this.#transactions.whenNone(look))
  }

  /** Says that something wants to be woken by an instant, and nothing else sooner than before: nothing is looked at where the alarm comes by then. */
  by(instant: number): void {
    if (typeof this.#setFor !== 'number' || this.#setFor > instant) this.changed()
  }

  /**
   * Says that what wanted to be woken at an instant may not want that any more, and nothing else sooner than before. Where that is what the alarm is set for,
   * it is left for a second, and looked at then.
   */
  eased(instant: number | null): void {
    if (typeof this.#setFor !== 'number' || this.#setFor !== instant) return
    if (this.#setFor > now()) this.#leave()
    else this.changed()
  }

  /** Says that the alarm has fired: the platform has none now. */
  fired(): void {
    this.#setFor = null
  }

  /** Sets the alarm to the soonest instant, or takes it away. Writes only when that changed. */
  arm(): void {
    const soonest = this.#soonest()
    if (soonest === this.#setFor) return
    const isLater = typeof this.#setFor === 'number' && this.#setFor > now() && (soonest === null || soonest > this.#setFor)
    if (isLater) this.#leave()
    else this.#set(soonest)
  }

  /**
   * Says that the object could not begin, and is about to be dropped: where something is to be done and no alarm will come for it, one is set, and on disk when
   * this resolves. It comes the later the longer that is overdue, ten seconds to an hour from now: a bad deploy is put right in minutes or in days.
   */
  async again(): Promise<void> {
    const soonest = this.#soonest()
    const at = now()
    if (soonest === null || ((await this.#storage.getAlarm()) ?? at) > at) return
    const delayMs = Math.min(Math.max(at - soonest, againMs), longestAgainMs)
    this.#set(Math.max(soonest, at + delayMs))
    await this.#storage.sync()
  }

  /** Whether what is due was put off, and waits still. A clock that was set back must not put it off by more than that. */
  get isOff(): boolean {
    const at = now()
    return this.#notBefore > at && this.#notBefore <= at + longestOffMs
  }

  /** Says that what is due cannot be done yet: it is tried again, the later the longer it is overdue, in ten seconds to ten minutes. */
  putOff(): void {
    const at = now()
    this.#notBefore = at + Math.min(Math.max(at - (this.#wanted() ?? at), againMs), longestOffMs)
    this.arm()
  }

  #leave(): void {
    if (this.#leaving) return
    this.#leaving = true
    const look = () => {
      this.#leaving = false
      const still = this.#soonest()
      if (still !== this.#setFor) this.#set(still)
    }
    timer(leaveMs, () => this.#transactions.whenNone(look))
  }

  #soonest(): number | null {
    const wanted = this.#wanted()
    return wanted !== null && this.isOff ? Math.max(wanted, this.#notBefore) : wanted
  }

  #wanted(): number | null {
    let soonest: number | null = null
    for (const next of this.#rooms) {
      const at = next() ?? null
      if (at !== null && (soonest === null || at < soonest)) soonest = at
    }
    return soonest
  }

  #set(soonest: number | null): void {
    this.#setFor = soonest
    this.#armed(soonest)
    // Alarms are part of the turn's commit; a failure to write breaks the output gate and with it the instance.
    const at = now()
    void (soonest === null ? this.#storage.deleteAlarm() : this.#storage.setAlarm(Math.min(Math.max(soonest, at), at + longestMs)))
  }
}
