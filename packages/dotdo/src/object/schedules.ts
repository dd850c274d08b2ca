/** Schedules and backfills as capabilities: what `this.every` gives, and what can be handed to a client or another object, and narrowed. */
import { RpcTarget } from 'capnweb'
import type { BackfillView, PartitionPage, RunView, ScheduleView } from '../base/views.ts'
import type { BackfillHandle, BackfillOptions, Declare, InstantLike, ScheduleHandle, TriggerOptions } from '../schedule/declaration.ts'

/** A schedule as a capability. Its operations are those of the handle behind it, each under the same name. */
export class Schedule extends RpcTarget implements ScheduleHandle {
  readonly #handle: ScheduleHandle

  constructor(handle: ScheduleHandle) {
    super()
    this.#handle = handle
  }

  get id(): string {
    return this.#handle.id
  }
  next(count?: number): number[] {
    return this.#handle.next(count)
  }
  view(): ScheduleView {
    return this.#handle.view()
  }
  pause(): void {
    this.#handle.pause()
  }
  resume(): void {
    this.#handle.resume()
  }
  trigger(options?: TriggerOptions): Promise<string> {
    return this.#handle.trigger(options)
  }
  cancel(): void {
    this.#handle.cancel()
  }
  runs(page?: { limit?: number; before?: string }): RunView[] {
    return this.#handle.runs(page)
  }
  partitions(from: InstantLike, to: InstantLike, page?: { limit?: number }): PartitionPage {
    return this.#handle.partitions(from, to, page)
  }
  markStale(from: InstantLike, to: InstantLike): void {
    this.#handle.markStale(from, to)
  }
  backfill(from: InstantLike, to: InstantLike, options?: BackfillOptions): Backfill {
    return new Backfill(this.#handle.backfill(from, to, options))
  }
  backfills(): BackfillView[] {
    return this.#handle.backfills()
  }
  openBackfill(id: string): Backfill {
    return new Backfill(this.#handle.openBackfill(id))
  }
}

/** A backfill as a capability. */
export class Backfill extends RpcTarget implements BackfillHandle {
  readonly #handle: BackfillHandle

  constructor(handle: BackfillHandle) {
    super()
    this.#handle = handle
  }

  get id(): string {
    return this.#handle.id
  }
  progress(): BackfillView {
    return this.#handle.progress()
  }
  cancel(): void {
    this.#handle.cancel()
  }
}

/** A port of the grammar whose handles are capabilities. */
export function declareSchedule(declare: Declare): Declare {
  return (declaration, handler) => new Schedule(declare(declaration, handler))
}
