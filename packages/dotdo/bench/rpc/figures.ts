/** Two ways of doing one thing, measured in turns, and what their times are to each other. */
import type { BenchResult } from '../../../../bench/run.ts'

/** Times of both sides over the rounds, in ms. */
export interface Compared {
  ours: number
  baseline: number
  /** The median of the rounds' ratios: what disturbed a round disturbed both of its sides. */
  ratio: number
}

/**
 * Measures both sides in turns, `rounds` times after one round that only warms up. Who goes first changes from round to round.
 * @param ours time of one operation in ms
 */
export async function compare(ours: () => Promise<number>, baseline: () => Promise<number>, rounds: number): Promise<Compared> {
  await baseline()
  await ours()
  const pairs: { ours: number; baseline: number }[] = []
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 0) {
      const first = await baseline()
      pairs.push({ baseline: first, ours: await ours() })
    } else {
      const first = await ours()
      pairs.push({ ours: first, baseline: await baseline() })
    }
  }
  return {
    ours: median(pairs.map((pair) => pair.ours)),
    baseline: median(pairs.map((pair) => pair.baseline)),
    ratio: median(pairs.map((pair) => pair.ours / pair.baseline)),
  }
}

/** A result whose bar is an upper one. */
export function atMost(name: string, { ours, baseline, ratio }: Compared, described: string, bar: number): BenchResult {
  return { name, value: ours, unit: 'ms', baseline: described, baselineValue: baseline, ratio, bar: `at most ${bar}`, ok: ratio <= bar }
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
