import { spillGraceMs, type ValueBucket } from '../../src/journal/spill.ts'
import type { TestObject } from './harness.ts'

/** A bucket in memory. What is put leaves when what was written before is on disk, as on the platform; `before` is told of each operation. */
export class FakeBucket implements ValueBucket {
  readonly objects = new Map<string, Uint8Array>()
  flush: () => void = () => undefined
  before: (operation: string) => void | Promise<void> = () => undefined

  async put(key: string, bytes: Uint8Array): Promise<void> {
    this.flush()
    await this.before(`put ${key}`)
    this.objects.set(key, bytes)
    await this.before(`has ${key}`)
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.objects.get(key)
  }

  async remove(prefix: string): Promise<boolean> {
    this.flush()
    await this.before(`remove ${prefix}`)
    const found = [...this.objects.keys()].filter((key) => key.startsWith(prefix))
    for (const key of found.slice(0, 2)) this.objects.delete(key)
    return found.length > 2
  }
}

/** Deploys an object anew with a bucket for its results. What is put there leaves when what the object wrote before is on its disk. */
export function withBucket(object: TestObject): { bucket: FakeBucket; object: TestObject } {
  const bucket = new FakeBucket()
  object.deploy = { bucket: { of: bucket, prefix: 'results/Pipeline/1/' } }
  object.crash()
  bucket.flush = () => object.store.flush()
  return { bucket, object }
}

/** Lets retention pass, and the bucket be swept. */
export async function house(object: TestObject): Promise<void> {
  object.clock.advance(1)
  while (object.journal.prune(object.clock.now()).more);
  object.clock.advance(spillGraceMs)
  await object.journal.sweepBucket()
}
