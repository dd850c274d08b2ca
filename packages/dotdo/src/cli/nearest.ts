/** What somebody may have meant who typed a name that does not exist. Pure. */

/** The candidate that is nearest to what was typed, or `undefined` where none is near: more than a third of the letters would have to change. */
export function nearest(typed: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Infinity
  for (const candidate of candidates) {
    // A name that was not finished is the clearest hint.
    const begins = typed.length > 1 && candidate.startsWith(typed)
    const distance = begins ? 0.5 : editDistance(typed.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best !== undefined && bestDistance <= Math.max(1, Math.floor(Math.max(typed.length, best.length) / 3)) ? best : undefined
}

/** How many letters have to be put in, taken out, changed, or swapped with their neighbour, to make one text of the other. */
export function editDistance(from: string, to: string): number {
  // Rows of the table of distances between beginnings; three are needed at a time, the oldest for swaps.
  let older: number[] = []
  let before = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i++) {
    const row = [i]
    for (let j = 1; j <= to.length; j++) {
      const change = before[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)
      let least = Math.min(change, before[j]! + 1, row[j - 1]! + 1)
      const isSwap = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
      if (isSwap) least = Math.min(least, older[j - 2]! + 1)
      row.push(least)
    }
    ;[older, before] = [before, row]
  }
  return before[to.length]!
}
