/** The buckets of the app: bindings, and the names that they have in `s3://` addresses. */
import { env } from '#platform'
import { DotdoError } from '../base/errors.ts'
import { appOptions } from './app.ts'

/** The binding of the bucket of results. It is none of the app's own: it has no catalog, no address and no source. */
export const resultsBinding = `DOTDO_RESULTS`

/** The R2 bindings of this Worker that are the app's own, by binding name: that of results (`results.ts`) is none. */
export function bucketBindings(): Record<string, R2Bucket> {
  const bindings = env as unknown as Record<string, unknown>
  return Object.fromEntries(
    Object.entries(bindings).filter((entry): entry is [string, R2Bucket] => entry[0] !== resultsBinding && isBucket(entry[1])),
  )
}

/**
 * The name of a binding in `s3://` addresses: the one under which the app's `sources` declare it, else the binding's own in lower case with
 * hyphens (`R2_BUCKET`: `r2-bucket`), as S3 wants names.
 */
export function addressName(binding: string): string {
  const declared = Object.entries(appOptions().sources ?? {}).find(([, value]) => value === binding)
  return declared?.[0] ?? binding.toLowerCase().replaceAll('_', '-')
}

/** The binding of a bucket. @throws `BUCKET_UNKNOWN` for one that is no binding of this Worker */
export function bindingOf(bucket: unknown): string {
  const found = Object.entries(bucketBindings()).find(([, value]) => value === bucket)
  if (found) return found[0]
  // Bindings may be wrapped anew for each reader: then the only one there is must be meant.
  const names = Object.keys(bucketBindings())
  if (names.length === 1 && isBucket(bucket)) return names[0]!
  throw new DotdoError(
    'BUCKET_UNKNOWN',
    `This bucket is none of the Worker's bindings (${names.join(', ') || 'there are none'}). Say which catalog holds the table: new IcebergWriter({ …, warehouse: 'R2_BUCKET' }).`,
    { data: { known: names } },
  )
}

/** A bucket by its name in addresses, or by its binding; `undefined` where there is none. */
export function bucketNamed(name: string): R2Bucket | undefined {
  const buckets = bucketBindings()
  return buckets[name] ?? Object.entries(buckets).find(([binding]) => addressName(binding) === name)?.[1]
}

/** Whether a binding is one of R2. */
export function isBucket(value: unknown): value is R2Bucket {
  return Object.prototype.toString.call(value).endsWith('R2Bucket]')
}
