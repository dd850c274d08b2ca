/** One alarm, many rooms: the object is woken at the soonest instant that any of them asks for. */
export class Wake {
  #storage: DurableObjectStorage
  #rooms: (() => number | null | undefined)[]
  #setFor: number | null | undefined
  #scheduled = false

  /** @param rooms each tells when it wants to be woken next, epoch milliseconds; `null` or `undefined` for never */
  constructor(storage: DurableObjectStorage, rooms: (() => number | null | undefined)[]) {
    this.#storage = storage
    this.#rooms = rooms
  }

  /** Says that some room's next instant may have changed: looked at once, when the turn's promises have run, inside the same turn's commit. */
  changed(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.arm()
    })
  }

  /** Says that the alarm has fired: the platform has none now. */
  fired(): void {
    this.#setFor = null
  }

  /** Sets the alarm to the soonest instant, or takes it away. Writes only when that changed. */
  arm(): void {
    let soonest: number | null = null
    for (const next of this.#rooms) {
      const at = next() ?? null
      if (at !== null && (soonest === null || at < soonest)) soonest = at
    }
    if (soonest === this.#setFor) return
    this.#setFor = soonest
    // Alarms are part of the turn's commit; a failure to write breaks the output gate and with it the instance.
    void (soonest === null ? this.#storage.deleteAlarm() : this.#storage.setAlarm(Math.max(soonest, Date.now())))
  }
}
