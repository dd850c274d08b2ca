/**
 * From what a user writes (`{ origin: 'string' }`, `['day(ts)', 'origin']`) to Iceberg's schema and
 * partition spec, and whether a table that is there already is the one that the user means.
 *
 * A writer never changes a table's shape by itself: a column that is missing on either side is an
 * error that names it, because guessing would lose values or make a column nobody asked for.
 */
import { DotdoError } from '../base/errors.ts'
import { checkColumns, type Column, type ColumnType } from '../parquet/schema.ts'
import { transformResult } from './transforms.ts'
import type { PartitionField, PartitionSpec, Schema, TableMetadata } from './types.ts'
import { icebergType } from './values.ts'

/** A table's columns as a user writes them: `{ origin: 'string', delay: { type: 'long', required: true } }`. */
export type SchemaSpec = Record<string, ColumnType | { type: ColumnType; required?: boolean }>

/** The event table: what `IcebergWriter` writes where no schema is given. */
export const eventSchema: SchemaSpec = {
  type: { type: 'string', required: true },
  entityId: { type: 'string', required: true },
  payload: 'json',
  ts: { type: 'timestamptz', required: true },
}

/** How the event table is partitioned. */
export const eventPartitionBy: readonly string[] = ['day(ts)']

/** JSON text is Iceberg's `string`; the field's doc says what it holds. */
const JSON_DOC = 'JSON text'

/**
 * The columns of a {@link SchemaSpec}, with field ids from 1 in the order they are written.
 * @throws `INVALID_SCHEMA`
 */
export function columnsOf(spec: SchemaSpec): Column[] {
  const columns = Object.entries(spec).map(([name, column], index): Column => {
    const { type, required = false } = typeof column === 'string' ? { type: column } : column
    return { name, type, required, fieldId: index + 1 }
  })
  checkColumns(columns)
  return columns
}

/** Columns as an Iceberg schema. */
export function schemaOf(columns: readonly Column[], schemaId = 0): Schema {
  return {
    type: 'struct',
    'schema-id': schemaId,
    fields: columns.map(({ fieldId, name, required, type }) => ({
      id: fieldId,
      name,
      required,
      type: icebergType(type),
      ...(type === 'json' && { doc: JSON_DOC }),
    })),
  }
}

/**
 * The partition spec of texts such as `day(ts)`, `origin`, `bucket(16, id)`, `truncate(4, name)`.
 *
 * @throws `INVALID_PARTITION` for a text that is no transform, a column that is not there, a type that the transform does not take, and
 *   two partition columns of one name
 */
export function partitionSpecOf(partitionBy: readonly string[], columns: readonly Column[], specId = 0): PartitionSpec {
  const fields = partitionBy.map((text, index) => partitionField(text, columns, 1000 + index))
  const names = new Set<string>()
  for (const { name } of fields) {
    if (names.has(name)) throw invalidPartition(name, `Two partition columns are named ${name}`)
    names.add(name)
  }
  return { 'spec-id': specId, fields }
}

/**
 * The columns of a table as a writer of `wanted` columns writes them: with the field ids of the table.
 *
 * @throws `SCHEMA_MISMATCH` where the table's columns or partitioning are others; the message names the first difference
 */
export function matchTable(metadata: TableMetadata, wanted: readonly Column[], wantedSpec: PartitionSpec): Column[] {
  const schema = currentSchema(metadata)
  const differences: string[] = []
  const byName = new Map(schema.fields.map((field) => [field.name, field]))
  const columns = wanted.map((column): Column => {
    const field = byName.get(column.name)
    byName.delete(column.name)
    const says = describe(icebergType(column.type), column.required)
    // Field ids are the table's: data files are read by them, whatever the columns are called later.
    if (!field) differences.push(`column ${column.name} (${says}) is not in the table`)
    else if (says !== describe(field.type, field.required))
      differences.push(`column ${column.name} is ${describe(field.type, field.required)} in the table and ${says} here`)
    return { ...column, fieldId: field?.id ?? 0 }
  })
  for (const field of byName.values())
    differences.push(`column ${field.name} (${describe(field.type, field.required)}) is only in the table`)
  const there = describeSpec(currentSpec(metadata), schema.fields)
  const here = describeSpec(wantedSpec, schemaOf(wanted).fields)
  if (there !== here) differences.push(`the table is partitioned by ${there || 'nothing'} and this writer by ${here || 'nothing'}`)
  if (differences.length === 0) return columns
  throw new DotdoError(
    'SCHEMA_MISMATCH',
    `The table at ${metadata.location} has another shape than this writer: ${differences.slice(0, 5).join('; ')}. Give the writer the table's schema and partitionBy, or another tableName.`,
    {
      data: { location: metadata.location, differences },
    },
  )
}

/** The schema that new rows are written by. */
export function currentSchema(metadata: TableMetadata): Schema {
  const id = metadata['current-schema-id']
  const schema = metadata.schemas.find((it) => it['schema-id'] === id)
  if (!schema)
    throw new DotdoError(
      'METADATA_INVALID',
      `The metadata of ${metadata.location} names schema ${id} as current and does not hold it. Roll the table back to an earlier metadata file.`,
      { data: { id } },
    )
  return schema
}

/** The partition spec that new files are written by. */
export function currentSpec(metadata: TableMetadata): PartitionSpec {
  const id = metadata['default-spec-id']
  const spec = metadata['partition-specs'].find((it) => it['spec-id'] === id)
  if (!spec)
    throw new DotdoError(
      'METADATA_INVALID',
      `The metadata of ${metadata.location} names partition spec ${id} as default and does not hold it. Roll the table back to an earlier metadata file.`,
      { data: { id } },
    )
  return spec
}

/** One partition column of its text. */
function partitionField(text: string, columns: readonly Column[], fieldId: number): PartitionField {
  const match =
    /^\s*(?:(year|month|day|hour)\(\s*([^(),]+?)\s*\)|(bucket|truncate)\(\s*(\d{1,9})\s*,\s*([^(),]+?)\s*\)|([^(),]+?))\s*$/.exec(text)
  if (!match) throw invalidPartition(text, `${JSON.stringify(text)} is no partition column`)
  const [, calendar, calendarColumn, sized, size, sizedColumn, plain] = match
  const name = calendarColumn ?? sizedColumn ?? plain!
  const column = columns.find((it) => it.name === name)
  if (!column)
    throw invalidPartition(
      text,
      `Partition column ${JSON.stringify(text)} names ${JSON.stringify(name)}, which is none of ${columns.map((it) => it.name).join(', ')}`,
    )
  const transform = calendar ?? (sized ? `${sized}[${Number(size)}]` : 'identity')
  if (transformResult(transform, column.type) === undefined)
    throw invalidPartition(text, `Partition column ${JSON.stringify(text)}: ${transform} does not take a ${column.type}`)
  // The names that engines give by themselves, so that a table made here looks like one made there.
  const suffix = calendar ?? (sized === 'truncate' ? 'trunc' : sized)
  return { 'source-id': column.fieldId, 'field-id': fieldId, name: suffix ? `${name}_${suffix}` : name, transform }
}

/** A column's type in words, which is also what two schemas are compared by. */
function describe(type: string, required: boolean): string {
  return required ? `${type} required` : type
}

/** A spec in words, by the names of its columns: ids differ between a table and a writer's wish. */
function describeSpec(spec: PartitionSpec, fields: readonly { id: number; name: string }[]): string {
  return spec.fields
    .map((it) => `${it.transform}(${fields.find((field) => field.id === it['source-id'])?.name ?? `field ${it['source-id']}`})`)
    .join(', ')
}

/** A partition column that cannot be. */
function invalidPartition(text: string, why: string): DotdoError {
  return new DotdoError(
    'INVALID_PARTITION',
    `${why}. Write a column's name, day(ts), hour(ts), month(ts), year(ts), bucket(16, id) or truncate(4, name).`,
    { data: { partition: text } },
  )
}
