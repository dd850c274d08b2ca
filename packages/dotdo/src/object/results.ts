/** The bucket of results: where streams that steps have stored go on when they are too long for an object's SQLite, and where large results are moved. */
import { env } from '#platform'
import type { ValueBucket } from '../journal/spill.ts'
import { isBucket, resultsBinding } from './buckets.ts'
import { sleep } from './platform.ts'

/** The bucket that is bound for results, if any. */
export function resultsBucket(): R2Bucket | undefined {
  const bound = (env as unknown as Record<string, unknown>)[resultsBinding]
  return isBucket(bound) ? bound : undefined
}

/** How often one operation is tried, and what lies between, times how often it was. A step's own retries are behind that, and would do all of its work again. */
const attempts = 3
const pauseMs = 200

/** The journal's bucket over R2. */
export function valueBucket(bucket: R2Bucket): ValueBucket {
  return {
    put: async (key, bytes) => {
      await tried(() => bucket.put(key, bytes as Uint8Array<ArrayBuffer>))
    },
    get: async (key) => {
      const found = await tried(() => bucket.get(key))
      return found ? new Uint8Array(await found.arrayBuffer()) : undefined
    },
    remove: async (prefix) => {
      const { objects, truncated } = await tried(() => bucket.list({ prefix, limit: 1000 }))
      if (objects.length > 0) await tried(() => bucket.delete(objects.map(({ key }) => key)))
      return truncated
    },
  }
}

/** What comes again is the same: an object is put whole, and nobody else has its key. */
async function tried<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (thrown) {
      if (attempt === attempts || !isPassing(thrown)) throw thrown
      await sleep(pauseMs * attempt, new AbortController().signal)
    }
  }
}

/** R2 says by a number what went wrong: 10001 an error of its own, 10043 that it is busy, 10054 that the client was slow, 10058 too many at once. */
function isPassing(thrown: unknown): boolean {
  return thrown instanceof Error && /\((10001|10043|10054|10058)\)/.test(thrown.message)
}
