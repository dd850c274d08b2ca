/** Numbers that one seed gives, so that a failing test can be run again as it was: `DOTDO_SEED=… vitest run …`. */

/** The seed of this run: `DOTDO_SEED`, or one of the clock. Print it. */
export const seed = Number(process.env['DOTDO_SEED'] ?? Date.now() % 1_000_000_007)

/** mulberry32: each call gives the next number from 0 to below 1. */
export function randomOf(start: number): () => number {
  let state = start >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
