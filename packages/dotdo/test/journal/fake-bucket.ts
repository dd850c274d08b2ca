import type { ValueBucket } from '../../src/journal/spill.ts'

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
