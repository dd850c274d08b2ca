/** What writers do in a dry run: they write down what they would have written. */
import type { Rows } from '../iceberg/writer.ts'
import type { IntendedWrite } from '../rpc/graph.ts'
import { currentContext } from './context.ts'

/** How many rows of a write are kept to be looked at. */
const sampled = 5

/** Takes a write of the code that runs now, where that is part of a dry run. */
export function dryRunOf(): ((write: Omit<IntendedWrite, 'object'>) => void) | undefined {
  const context = currentContext()
  const records = context?.origin?.records
  if (!context || !records) return undefined
  const { label = 'the Worker' } = context.host as { label?: string }
  return (write) => void records.push({ object: label, ...write })
}

/** Counts rows as a writer takes them (a list, or a stream of rows or of batches), and keeps the first few. */
export async function countRows(rows: Rows): Promise<{ rows: number; sample: unknown[] }> {
  const counted = { rows: 0, sample: [] as unknown[] }
  const take = (row: unknown) => {
    if (counted.rows++ < sampled) counted.sample.push(row)
  }
  for await (const part of rows as AsyncIterable<unknown>) {
    if (Array.isArray(part)) part.forEach(take)
    else take(part)
  }
  return counted
}
