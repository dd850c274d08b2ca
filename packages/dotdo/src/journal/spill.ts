import { DotdoError } from '../base/errors.ts'
import { newId } from '../base/ids.ts'
import type { Clock, Random, Store } from '../base/ports.ts'

/** A bucket as the journal needs it: whole objects by key. The adapter is in `object/`. */
export interface ValueBucket {
  /** Stores an object. Resolves when it is there for good. */
  put(key: string, bytes: Uint8Array): Promise<void>
  /** `undefined` for one that is not there. */
  get(key: string): Promise<Uint8Array | undefined>
  /** Removes objects whose keys begin with a text, a bounded number. Resolves with whether there may be more. */
  remove(prefix: string): Promise<boolean>
}

/** Where what is too much for the object's SQLite goes: the later part of a stored stream, and large results as a whole. */
export interface SpillPorts {
  bucket: ValueBucket
  clock: Clock
  random: Random
  /** What the keys of all objects of this journal begin with. */
  prefix: string
  /** So many bytes of one stream lie in SQLite before the rest goes to the bucket. */
  fromBytes: number
  /** A result of more bytes in rows is moved to the bucket when it is stored. */
  moveFromBytes: number
}

/** An object of the bucket is put when it has so many bytes; at most one chunk more. It is what a reader and a writer hold in memory. */
export const partBytes = 8 * 1024 * 1024

/** How long objects that nothing names any more stay, so that what was on its way when an object died has arrived. Milliseconds. */
export const spillGraceMs = 3_600_000

/** Prefixes that one sweep takes at most. */
const sweptAtOnce = 20

/** The first byte of each part. */
const formatVersion = 1

/**
 * Owns the table `dotdo_value_objects`: which prefixes of the bucket hold parts of values.
 *
 * Invariants: 1. A prefix is in the table before the first object under it is put: what is written before a message is on disk before it leaves. So whatever
 * is in the bucket is found from here, and no bucket is ever listed for what might be lost in it. 2. A prefix is used for one attempt to store one value.
 * 3. The row of a step names parts when all of them are there, in one commit. 4. What nothing names any more is deleted an hour later, and
 * its row when that is done. 5. `parts` says how much of a whole value is there: null for a stream, whose reference says it; 0 for one that is in rows still and is to
 * be moved (`moves.ts`), whose prefix is used for each attempt, since what is put is the same each time.
 */
export class SpillTable {
  readonly #store: Store
  readonly ports: SpillPorts | undefined
  #isSweeping = false

  constructor(store: Store, ports: SpillPorts | undefined) {
    this.#store = store
    this.ports = ports
  }

  /** Begins the parts of a value. `undefined` where there is no bucket. */
  open(valueId: number): SpillWriter | undefined {
    const { ports } = this
    if (!ports) return undefined
    const prefix = `${ports.prefix}${newId('val', ports.clock, ports.random)}/`
    const begin = (): void => {
      this.#store.sql('INSERT INTO dotdo_value_objects (prefix, value_id) VALUES (?, ?)', prefix, valueId)
    }
    return new SpillWriter(ports, prefix, begin)
  }

  /** Says that a value in rows is to be moved. In the transaction that stores it. */
  stage(valueId: number): void {
    const { ports } = this
    if (!ports) return
    const prefix = `${ports.prefix}${newId('val', ports.clock, ports.random)}/`
    this.#store.sql('INSERT INTO dotdo_value_objects (prefix, value_id, parts) VALUES (?, ?, 0)', prefix, valueId)
  }

  /** Where the value is that was staged, if it has been moved. */
  moved(valueId: number): { prefix: string; parts: number } | undefined {
    const found = 'SELECT prefix, parts FROM dotdo_value_objects WHERE value_id = ? AND parts > 0'
    return this.#store.sql<{ prefix: string; parts: number }>(found, valueId)[0]
  }

  /** A value that is to be moved. */
  toMove(): { prefix: string; valueId: number } | undefined {
    const first = 'SELECT prefix, value_id AS valueId FROM dotdo_value_objects WHERE parts = 0 AND value_id IS NOT NULL LIMIT 1'
    return this.#store.sql<{ prefix: string; valueId: number }>(first)[0]
  }

  /** Says that all of a value is there: from now on it is read there. Gives whether it was not removed meanwhile. */
  hasMoved(prefix: string, parts: number): boolean {
    const named = 'UPDATE dotdo_value_objects SET parts = ? WHERE prefix = ? AND value_id IS NOT NULL RETURNING prefix'
    return this.#store.sql(named, parts, prefix).length > 0
  }

  /** Puts chunks of a value that is to be moved. */
  mover(prefix: string): SpillWriter | undefined {
    return this.ports && new SpillWriter(this.ports, prefix, () => {})
  }

  /** Says that a value is gone. In the transaction that removes it. */
  drop(valueId: number): void {
    const now = this.ports?.clock.now() ?? 0
    this.#store.sql('UPDATE dotdo_value_objects SET value_id = NULL, dropped_at = ? WHERE value_id = ?', now, valueId)
  }

  /** Deletes what nothing names any more and has stayed for its time. Resolves when that is done; rejects with what the bucket says: later calls go on. */
  async sweep(): Promise<void> {
    const { ports } = this
    if (!ports || this.#isSweeping) return
    this.#isSweeping = true
    try {
      const due = this.#store.sql<{ prefix: string }>(
        'SELECT prefix FROM dotdo_value_objects WHERE dropped_at <= ? ORDER BY dropped_at LIMIT (? + 0)',
        ports.clock.now() - spillGraceMs,
        sweptAtOnce,
      )
      for (const { prefix } of due) {
        while (await ports.bucket.remove(prefix));
        this.#store.sql('DELETE FROM dotdo_value_objects WHERE prefix = ?', prefix)
      }
    } finally {
      this.#isSweeping = false
    }
  }

  /** When {@link SpillTable.sweep} has something to do, epoch milliseconds; null where there is nothing, or no bucket. */
  nextMs(): number | null {
    if (!this.ports) return null
    const first = 'SELECT min(dropped_at) AS at FROM dotdo_value_objects WHERE dropped_at IS NOT NULL'
    const at = this.#store.sql<{ at: number | null }>(first)[0]?.at ?? null
    return at === null ? null : at + spillGraceMs
  }
}

/** Puts chunks of one value into the bucket, some to an object. Memory: the chunks of one object. */
export class SpillWriter {
  readonly prefix: string
  readonly fromBytes: number
  readonly #bucket: ValueBucket
  readonly #begin: () => void
  #frames: Uint8Array[] = []
  #bytes = 0
  /** Objects that are there. */
  parts = 0
  /** Whether anything of the value is here. */
  used = false

  constructor({ bucket, fromBytes }: SpillPorts, prefix: string, begin: () => void) {
    this.#bucket = bucket
    this.fromBytes = fromBytes
    this.prefix = prefix
    this.#begin = begin
  }

  /** Takes a chunk, as it would lie in a row. To be followed by {@link SpillWriter.drain} when {@link SpillWriter.isFull}. */
  add(chunk: string | Uint8Array): void {
    this.used = true
    const bytes = typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk
    const head = new Uint8Array(5)
    new DataView(head.buffer).setUint32(0, bytes.length)
    head[4] = typeof chunk === 'string' ? 0 : 1
    this.#frames.push(head, bytes)
    this.#bytes += 5 + bytes.length
  }

  get isFull(): boolean {
    return this.#bytes >= partBytes
  }

  /** Puts what has been taken, in as many objects as it takes. Resolves when all of it is there. */
  async drain(): Promise<void> {
    const frames = this.#frames
    this.#frames = []
    this.#bytes = 0
    for (let from = 0; from < frames.length;) {
      let to = from
      let bytes = 1
      while (to < frames.length && bytes < partBytes) {
        // A head and its chunk stay together.
        bytes += frames[to]!.length + frames[to + 1]!.length
        to += 2
      }
      if (this.parts === 0) this.#begin()
      await this.#bucket.put(partKey(this.prefix, this.parts), partOf(frames.slice(from, to), bytes))
      this.parts++
      from = to
    }
  }
}

function partOf(frames: readonly Uint8Array[], bytes: number): Uint8Array {
  const part = new Uint8Array(bytes)
  part[0] = formatVersion
  let at = 1
  for (const frame of frames) {
    part.set(frame, at)
    at += frame.length
  }
  return part
}

/** The chunks of a part of a value, as they would lie in rows. @throws `VALUE_LOST`, `STATE_TOO_NEW` */
export async function readPart(bucket: ValueBucket | undefined, prefix: string, part: number): Promise<(string | Uint8Array)[]> {
  const key = partKey(prefix, part)
  const bytes = await bucket?.get(key)
  if (!bytes) throw partLost(key, bucket ? 'the bucket of results has no such object' : 'this Worker has no bucket bound as DOTDO_RESULTS')
  if (bytes[0] !== formatVersion)
    throw new DotdoError(
      'STATE_TOO_NEW',
      `Object ${key} has form ${bytes[0]}; this code knows ${formatVersion}. Deploy the release that wrote it.`,
      {
        data: { key, found: bytes[0] },
      },
    )
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const chunks: (string | Uint8Array)[] = []
  for (let at = 1; at < bytes.length;) {
    const length = at + 5 <= bytes.length ? view.getUint32(at) : Infinity
    if (at + 5 + length > bytes.length) throw partLost(key, 'it ends before its time')
    const chunk = bytes.subarray(at + 5, at + 5 + length)
    chunks.push(bytes[at + 4] === 0 ? new TextDecoder().decode(chunk) : chunk)
    at += 5 + length
  }
  return chunks
}

function partKey(prefix: string, part: number): string {
  return prefix + String(part).padStart(7, '0')
}

function partLost(key: string, reason: string): DotdoError {
  return new DotdoError(
    'VALUE_LOST',
    `A part of a stored value cannot be read: ${reason} (${key}). Bind the bucket that the value was written to, and delete nothing in it by hand; retry or fork the run from the step that made it.`,
    { data: { key } },
  )
}
