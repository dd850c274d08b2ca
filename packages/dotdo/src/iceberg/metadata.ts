/**
 * Table metadata as a value: what a new table is, what a commit may stand on, and what it changes.
 * Pure; the catalog reads and writes the files.
 *
 * 1. Metadata is never changed in place: a commit makes a new one, and the old file stays true.
 * 2. What is not understood is refused by name. An update that is skipped, or an id that is rounded,
 *    would be a table that says something else than was asked for.
 * 3. Sequence numbers and times only grow.
 */
import { DotdoError } from '../base/errors.ts'
import type { CreateTableRequest, Requirement, Schema, Snapshot, TableMetadata, Update } from './types.ts'

/** Earlier metadata files that a table lists, newest last, where `write.metadata.previous-versions-max` says nothing else. */
const PREVIOUS_VERSIONS = 100

/** The metadata of a table without rows. Pure. */
export function newTableMetadata(uuid: string, location: string, request: CreateTableRequest, now: number): TableMetadata {
  const spec = request.partitionSpec ?? { 'spec-id': 0, fields: [] }
  return {
    'format-version': 2,
    'table-uuid': uuid,
    location,
    'last-sequence-number': 0,
    'last-updated-ms': now,
    'last-column-id': lastFieldId(request.schema),
    schemas: [request.schema],
    'current-schema-id': request.schema['schema-id'],
    'partition-specs': [spec],
    'default-spec-id': spec['spec-id'],
    // Ids of partition columns begin at 1000, so that they never meet those of columns.
    'last-partition-id': Math.max(999, ...spec.fields.map((it) => it['field-id'])),
    // Unsorted is order 0 by the specification, and every table has it.
    'sort-orders': [{ 'order-id': 0, fields: [] }],
    'default-sort-order-id': 0,
    properties: { ...request.properties },
    refs: {},
    snapshots: [],
    'snapshot-log': [],
    'metadata-log': [],
  }
}

/**
 * Checks what a commit stands on. Pure.
 * @throws `COMMIT_CONFLICT` (retryable: reload and stage again) for the first requirement that does not hold
 */
export function checkRequirements(metadata: TableMetadata, requirements: readonly Requirement[]): void {
  for (const requirement of requirements) {
    const [found, wanted] = facts(metadata, requirement)
    if (found === wanted) continue
    throw new DotdoError(
      'COMMIT_CONFLICT',
      `The table at ${metadata.location} changed under this commit: ${requirement.type} wants ${String(wanted)} and found ${String(found)}. Load the table again and stage the commit on it.`,
      {
        retryable: true,
        data: { location: metadata.location, requirement: requirement.type, wanted, found },
      },
    )
  }
}

/**
 * The metadata after a commit's updates, in their order. Pure; the base is left as it is.
 *
 * @param now the catalog's clock; the table's own time never goes back
 * @param baseLocation the file that `base` stands in, for the metadata log
 * @throws `INVALID_COMMIT` for updates that contradict the table, `ICEBERG_UNSUPPORTED` for those that this catalog does not apply
 */
export function applyUpdates(base: TableMetadata, updates: readonly Update[], now: number, baseLocation: string): TableMetadata {
  let metadata: TableMetadata = { ...base, 'last-updated-ms': Math.max(now, base['last-updated-ms']) }
  // In their order: an update may build on the one before, as a ref does on its snapshot.
  for (const update of updates) metadata = applyUpdate(metadata, update)
  const keep = Math.max(1, Number(metadata.properties['write.metadata.previous-versions-max'] ?? PREVIOUS_VERSIONS) || PREVIOUS_VERSIONS)
  const log = [...base['metadata-log'], { 'timestamp-ms': base['last-updated-ms'], 'metadata-file': baseLocation }]
  return { ...metadata, 'metadata-log': log.slice(-keep) }
}

/** The table's current snapshot, or `undefined` for a table without rows. */
export function currentSnapshot(metadata: TableMetadata): Snapshot | undefined {
  const id = metadata['current-snapshot-id']
  return id === undefined || id === null || id === -1 ? undefined : metadata.snapshots.find((it) => it['snapshot-id'] === id)
}

/** Metadata as the text of its file. */
export function serializeMetadata(metadata: TableMetadata): string {
  return JSON.stringify(metadata)
}

/**
 * Reads a metadata file.
 * @throws `METADATA_INVALID` for text that is none, `ICEBERG_UNSUPPORTED` for another format version or ids that a double would round
 */
export function parseMetadata(text: string, location: string): TableMetadata {
  // JSON.parse rounds integers above 2^53 without a word, and a rounded snapshot id is another snapshot.
  for (const match of text.matchAll(/"[a-z-]*(?:snapshot-id|sequence-number)"\s*:\s*(\d{16,})/g)) {
    if (!Number.isSafeInteger(Number(match[1])))
      throw new DotdoError(
        'ICEBERG_UNSUPPORTED',
        `${location} holds the id ${match[1]}, above 2^53, which this runtime would round. Write to a table whose snapshots were made here.`,
        { data: { location, id: match[1] } },
      )
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new DotdoError('METADATA_INVALID', `${location} is no JSON. Restore the file, or roll the table back to an earlier one.`, {
      data: { location },
      cause,
    })
  }
  // What the catalog itself relies on is looked at; the rest was written by this code or is passed on.
  const metadata = value as TableMetadata
  if (typeof value !== 'object' || value === null || typeof metadata['table-uuid'] !== 'string' || !Array.isArray(metadata.schemas)) {
    throw new DotdoError(
      'METADATA_INVALID',
      `${location} is no table metadata. Restore the file, or roll the table back to an earlier one.`,
      { data: { location } },
    )
  }
  if (metadata['format-version'] !== 2) {
    throw new DotdoError(
      'ICEBERG_UNSUPPORTED',
      `${location} has format version ${String(metadata['format-version'])}; version 2 is read here. Use another table.`,
      { data: { location } },
    )
  }
  return {
    ...metadata,
    properties: metadata.properties ?? {},
    refs: metadata.refs ?? {},
    snapshots: metadata.snapshots ?? [],
    'snapshot-log': metadata['snapshot-log'] ?? [],
    'metadata-log': metadata['metadata-log'] ?? [],
  }
}

/** What a requirement is about, and what it wants it to be. */
function facts(metadata: TableMetadata, requirement: Requirement): [found: unknown, wanted: unknown] {
  switch (requirement.type) {
    case 'assert-create':
      return ['a table', 'no table']
    case 'assert-table-uuid':
      return [metadata['table-uuid'], requirement.uuid]
    case 'assert-ref-snapshot-id':
      return [metadata.refs[requirement.ref]?.['snapshot-id'] ?? null, requirement['snapshot-id']]
    case 'assert-last-assigned-field-id':
      return [metadata['last-column-id'], requirement['last-assigned-field-id']]
    case 'assert-current-schema-id':
      return [metadata['current-schema-id'], requirement['current-schema-id']]
    case 'assert-last-assigned-partition-id':
      return [metadata['last-partition-id'], requirement['last-assigned-partition-id']]
    case 'assert-default-spec-id':
      return [metadata['default-spec-id'], requirement['default-spec-id']]
    case 'assert-default-sort-order-id':
      return [metadata['default-sort-order-id'], requirement['default-sort-order-id']]
    default:
      throw unsupported('requirement', (requirement as { type?: unknown }).type)
  }
}

/** The metadata after one update. */
function applyUpdate(metadata: TableMetadata, update: Update): TableMetadata {
  switch (update.action) {
    case 'add-snapshot':
      return addSnapshot(metadata, update.snapshot)
    case 'set-snapshot-ref':
      return setRef(metadata, update['ref-name'], update.type, update['snapshot-id'])
    case 'add-schema':
      if (metadata.schemas.some((it) => it['schema-id'] === update.schema['schema-id']))
        throw invalid(metadata, `schema ${update.schema['schema-id']} is there already`)
      return {
        ...metadata,
        schemas: [...metadata.schemas, update.schema],
        'last-column-id': Math.max(metadata['last-column-id'], lastFieldId(update.schema)),
      }
    case 'set-current-schema': {
      // -1 is the protocol's word for the schema that this commit added last.
      const id = update['schema-id'] === -1 ? metadata.schemas.at(-1)!['schema-id'] : update['schema-id']
      if (!metadata.schemas.some((it) => it['schema-id'] === id)) throw invalid(metadata, `schema ${id} is not there`)
      return { ...metadata, 'current-schema-id': id }
    }
    case 'set-properties':
      return { ...metadata, properties: { ...metadata.properties, ...update.updates } }
    case 'remove-properties':
      return {
        ...metadata,
        properties: Object.fromEntries(Object.entries(metadata.properties).filter(([key]) => !update.removals.includes(key))),
      }
    default:
      throw unsupported('update', (update as { action?: unknown }).action)
  }
}

/** Adds a snapshot, which no ref names yet. */
function addSnapshot(metadata: TableMetadata, snapshot: Snapshot): TableMetadata {
  const id = snapshot['snapshot-id']
  const sequence = snapshot['sequence-number']
  if (!Number.isSafeInteger(id) || id <= 0) throw invalid(metadata, `${id} is no snapshot id`)
  if (metadata.snapshots.some((it) => it['snapshot-id'] === id)) throw invalid(metadata, `snapshot ${id} is there already`)
  if (sequence <= metadata['last-sequence-number'])
    throw invalid(metadata, `sequence number ${sequence} is not above ${metadata['last-sequence-number']}`)
  // Clocks of writers differ. History reads by time, so a snapshot is never older than the one before it.
  const at = Math.max(snapshot['timestamp-ms'], metadata.snapshots.at(-1)?.['timestamp-ms'] ?? 0)
  return {
    ...metadata,
    'last-sequence-number': sequence,
    'last-updated-ms': Math.max(metadata['last-updated-ms'], at),
    snapshots: [...metadata.snapshots, { ...snapshot, 'timestamp-ms': at }],
  }
}

/** Points a branch or tag at a snapshot. `main` is the table's present, and moving it is its history. */
function setRef(metadata: TableMetadata, name: string, type: 'branch' | 'tag', id: number): TableMetadata {
  const snapshot = metadata.snapshots.find((it) => it['snapshot-id'] === id)
  if (!snapshot) throw invalid(metadata, `ref ${name} names snapshot ${id}, which is not there`)
  const refs = { ...metadata.refs, [name]: { 'snapshot-id': id, type } }
  if (name !== 'main') return { ...metadata, refs }
  if (type !== 'branch') throw invalid(metadata, 'main is a branch')
  return {
    ...metadata,
    refs,
    'current-snapshot-id': id,
    'snapshot-log': [...metadata['snapshot-log'], { 'timestamp-ms': snapshot['timestamp-ms'], 'snapshot-id': id }],
  }
}

/** The highest field id of a schema: the next column gets the one after. */
function lastFieldId(schema: Schema): number {
  return Math.max(0, ...schema.fields.map((it) => it.id))
}

/** A commit that contradicts the table it is for: trying again as it is cannot help. */
function invalid(metadata: TableMetadata, why: string): DotdoError {
  return new DotdoError(
    'INVALID_COMMIT',
    `The commit to ${metadata.location} was refused: ${why}. Load the table again and stage the commit on it.`,
    { data: { location: metadata.location, why } },
  )
}

/** What the protocol has and this catalog does not apply: skipping it would commit something else. */
function unsupported(kind: string, name: unknown): DotdoError {
  return new DotdoError(
    'ICEBERG_UNSUPPORTED',
    `This catalog does not know the ${kind} ${String(name)}. Use an engine's own catalog for it.`,
    { data: { kind, name: String(name) } },
  )
}
