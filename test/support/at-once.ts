/** Some at once, and the others in their order after them. */

/**
 * A door that lets `most` in at a time. For tests that share an app: one that has too many callers serves some of them late, and what has a limit of time
 * ends by it.
 */
export function atOnce(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = most
  const waiting: (() => void)[] = []
  return async (work) => {
    if (free > 0) free--
    else await new Promise<void>((enter) => waiting.push(enter))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}
