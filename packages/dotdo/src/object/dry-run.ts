/** What writers do in a dry run: they write down what they would have written. */
import type { Rows } from '../iceberg/writer.ts'
import type { IntendedWrite } from '../rpc/graph.ts'
import { currentContext, type CallContext } from './context.ts'
import { refused, type Recorder } from './held-back.ts'

/** How many rows of a write are kept to be looked at. */
const sampled = 5

/** Writes of one call that a dry run keeps; those beyond are counted in the last of their kind. */
const mostWrites = 10_000

/** Takes a write of the code that runs now, where that is part of a dry run. */
export function dryRunOf(): Recorder | undefined {
  return recorderIn(currentContext())
}

/** The same of the code of one object alone. */
export function dryRunIn(host: object): Recorder | undefined {
  const context = currentContext()
  return context?.host === host ? recorderIn(context) : undefined
}

const recorders = new WeakMap<IntendedWrite[], Recorder>()

/** The same of the code in a context. */
export function recorderIn(context: CallContext | undefined): Recorder | undefined {
  const records = context?.origin?.records
  if (!context || !records) return undefined
  let recorder = recorders.get(records)
  if (recorder) return recorder
  const { label = 'the Worker' } = context.host as { label?: string }
  recorder = (write) => {
    // A loop that writes says the same again and again.
    const same =
      write.made || records.length >= mostWrites
        ? records.findLast((it) => it.writer === write.writer && it.target === write.target)
        : undefined
    if (same) same.rows += write.rows
    else records.push({ object: label, ...write })
  }
  recorders.set(records, recorder)
  return recorder
}

/** Refuses what would change something, and cannot be written down, in a dry run. @throws `DRY_RUN_REFUSED` */
export function notInDryRun(what: string): void {
  if (dryRunOf()) refused(what)
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
