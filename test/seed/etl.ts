// "Extract-Transform-Load", with the types that it leaves to the reader.
import type { IcebergWriter } from 'dotdo'

/** As a source promises it; the filter drops those that break the promise. */
export interface RawEvent {
  ts: string | number
  user: string
  action: string
  meta?: Record<string, unknown>
}

export interface CleanEvent {
  timestamp: Date
  userId: string
  action: string
  metadata: Record<string, unknown>
}

// Extract: pull from any source
async function extract(source: string): Promise<RawEvent[]> {
  return fetch(source).then(r => r.json())
}

// Transform: pure functions
function transform(events: RawEvent[]): CleanEvent[] {
  return events
    .filter(e => e.ts && e.user)
    .map(e => ({
      timestamp: new Date(e.ts),
      userId: e.user.toLowerCase(),
      action: e.action,
      metadata: e.meta ?? {}
    }))
}

// Load: write to Iceberg
async function load(events: CleanEvent[], iceberg: IcebergWriter) {
  await iceberg.write(events.map(e => ({
    type: e.action,
    entityId: e.userId,
    payload: e.metadata,
    ts: e.timestamp.getTime()
  })))
}

export { extract, load, transform }
