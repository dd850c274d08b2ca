/** Two ways of doing one thing, measured in turns, and what their times are to each other. */
import type { BenchResult } from '../../../../bench/run.ts'

/** Times of both sides in ms, and their ratio. */
export interface Compared {
  ours: number
  baseline: number
  ratio: number
}

/** One comparison, told in two ways. */
export interface Comparison {
  /**
   * The quieter rounds of both sides, by the quarter of them that were faster: about what the code costs when nothing else runs. For what takes processor
   * time. The one best round of each side says less: it is luck which side meets the quietest moment of a shared machine, and ratios of single best rounds
   * were 1.1 to 2.0 within minutes where these were 1.2 to 1.5.
   */
  quiet: Compared
  /** The one best round of each side. For what takes long, in few rounds. */
  best: Compared
  /** Medians, and the median of the rounds' ratios: what disturbed a round disturbed both of its sides. For what mostly waits. */
  median: Compared
}

/** The time of one operation in ms. */
export type Timed = () => Promise<number>

/** Measures both sides in turns, `rounds` times after one round that only warms up. Who goes first changes from round to round. */
export async function compare(ours: Timed, baseline: Timed, rounds: number): Promise<Comparison> {
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
  const of = (reduce: (values: number[]) => number) => ({
    ours: reduce(pairs.map((pair) => pair.ours)),
    baseline: reduce(pairs.map((pair) => pair.baseline)),
  })
  const quiet = of((values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 4)]!)
  const best = of((values) => Math.min(...values))
  return {
    best: { ...best, ratio: best.ours / best.baseline },
    quiet: { ...quiet, ratio: quiet.ours / quiet.baseline },
    median: { ...of(median), ratio: median(pairs.map((pair) => pair.ours / pair.baseline)) },
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
