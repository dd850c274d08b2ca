import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ListQuery, ObjectInfo, ObjectPage, ObjectRange, ObjectStore, StoredObject } from '../../../src/iceberg/ports.ts'

/** What happens at the gate of an operation: a throw fails it before it has an effect; a promise delays it. */
export type Gate = (operation: 'get' | 'put' | 'delete', key: string) => void | Promise<void>

/** An {@link ObjectStore} in memory that pages and ranges as R2 does, with a gate before and after every effect. */
export class MemoryBucket implements ObjectStore {
  readonly objects = new Map<string, { bytes: Uint8Array; uploaded: Date }>()
  /** Runs before the effect. */
  before: Gate = () => {}
  /** Runs after the effect: a throw here is a failure whose effect stands. */
  after: Gate = () => {}
  /** Keys that were put more than once: no file of a table ever is. */
  readonly overwritten: string[] = []

  async get(key: string, options?: { range: ObjectRange }): Promise<StoredObject | null> {
    await this.before('get', key)
    const object = this.objects.get(key)
    if (!object) return null
    const bytes = options ? cut(object.bytes, options.range) : object.bytes
    return { ...info(key, object), body: bytes, arrayBuffer: async () => new Uint8Array(bytes).buffer }
  }

  async head(key: string): Promise<ObjectInfo | null> {
    const object = this.objects.get(key)
    return object ? info(key, object) : null
  }

  async put(key: string, bytes: Uint8Array): Promise<ObjectInfo> {
    await this.before('put', key)
    if (this.objects.has(key)) this.overwritten.push(key)
    const object = { bytes: bytes.slice(), uploaded: new Date(Date.UTC(2026, 0, 1)) }
    this.objects.set(key, object)
    await this.after('put', key)
    return info(key, object)
  }

  async delete(keys: string[]): Promise<void> {
    if (keys.length > 1000) throw new Error('delete: at most 1000 keys')
    for (const key of keys) {
      await this.before('delete', key)
      this.objects.delete(key)
    }
  }

  async list(query: ListQuery = {}): Promise<ObjectPage> {
    const { prefix = '', delimiter, cursor, startAfter, limit = 1000 } = query
    const after = cursor ?? startAfter
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix)).toSorted(byBytes)
    const objects: ObjectInfo[] = []
    const prefixes = new Set<string>()
    let last = ''
    for (const key of keys) {
      const end = delimiter ? key.indexOf(delimiter, prefix.length) : -1
      const entry = end < 0 ? key : key.slice(0, end + delimiter!.length)
      if (prefixes.has(entry) || (after !== undefined && byBytes(entry, after) <= 0)) continue
      if (objects.length + prefixes.size >= limit) return { objects, delimitedPrefixes: [...prefixes], truncated: true, cursor: last }
      if (end < 0) objects.push(info(key, this.objects.get(key)!))
      else prefixes.add(entry)
      last = entry
    }
    return { objects, delimitedPrefixes: [...prefixes], truncated: false }
  }

  /** Writes every object below a folder. */
  dump(folder: string): void {
    for (const [key, { bytes }] of this.objects) {
      const path = join(folder, key)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, bytes)
    }
  }
}

function info(key: string, object: { bytes: Uint8Array; uploaded: Date }): ObjectInfo {
  return { key, size: object.bytes.length, etag: createHash('md5').update(object.bytes).digest('hex'), uploaded: object.uploaded }
}

function cut(bytes: Uint8Array, range: ObjectRange): Uint8Array {
  if ('suffix' in range) return bytes.slice(Math.max(0, bytes.length - range.suffix))
  if (range.offset >= bytes.length) throw new Error('get: The requested range is not satisfiable (10039)')
  return bytes.slice(range.offset, range.length === undefined ? undefined : range.offset + range.length)
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
