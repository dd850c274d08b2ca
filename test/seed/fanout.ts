// "Fanout for Parallel Processing"
import { QueryCoordinator } from 'dotdo'
import type { Scanner } from 'dotdo'

export async function fanout(scanners: Scanner[], sql: string, processBatch: (batch: Record<string, unknown>[]) => Promise<void>) {
  const coordinator = new QueryCoordinator(scanners)

  // Parallel aggregation across shards
  const results = await coordinator.query(
    'SELECT user_id, COUNT(*) FROM events GROUP BY user_id'
  )

  // Stream results as they complete
  for await (const batch of coordinator.queryStream(sql)) {
    await processBatch(batch)
  }
  return results
}
