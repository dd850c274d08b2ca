import type { Clock } from '../../src/base/ports.ts'

export { SeededRandom } from '../../src/testing/random.ts'

/** A clock that moves only when told to. */
export class ManualClock implements Clock {
  ms: number
  constructor(ms = Date.UTC(2026, 0, 1)) {
    this.ms = ms
  }
  now(): number {
    return this.ms
  }
  advance(ms: number): void {
    this.ms += ms
  }
}
