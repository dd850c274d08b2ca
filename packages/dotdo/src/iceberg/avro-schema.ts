/**
 * The part of Avro's schema language that Iceberg's manifests are written in (https://avro.apache.org/docs/1.12.0/specification/).
 * Iceberg adds `field-id` to fields and `element-id` to arrays: readers of manifests find values by them.
 */

/** Avro's types without parts. */
export type AvroPrimitive = 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'bytes' | 'string'

/** A field of a record. `field-id` is Iceberg's: what a reader finds the value by. */
export interface AvroField {
  name: string
  type: AvroType
  doc?: string
  default?: null
  'field-id'?: number
}

/** A record: its fields in the order in which they are stored. */
export interface AvroRecord {
  type: 'record'
  name: string
  fields: AvroField[]
}

/** A list of values of one type. */
export interface AvroArray {
  type: 'array'
  items: AvroType
  'element-id'?: number
  /** Iceberg's maps whose keys are no texts: an array of records of `key` and `value`. */
  logicalType?: 'map'
}

/** Values of one type by text keys. */
export interface AvroMap {
  type: 'map'
  values: AvroType
}

/** So many bytes; `decimal` and `uuid` are stored in it. */
export interface AvroFixed {
  type: 'fixed'
  name: string
  size: number
  logicalType?: string
}

/** A primitive with a meaning, such as `{ type: 'int', logicalType: 'date' }`. Values stay in the primitive's domain. */
export interface AvroLogical {
  type: AvroPrimitive
  logicalType?: string
  'adjust-to-utc'?: boolean
}

/** Unions are arrays; ours hold `null` and one other type. */
export type AvroType = AvroPrimitive | AvroRecord | AvroArray | AvroMap | AvroFixed | AvroLogical | readonly AvroType[]

/**
 * Values as they go in and come out: records are objects, arrays and maps are arrays and objects,
 * bytes and fixed are `Uint8Array`, a long is a number where that is exact and a bigint where it is not.
 */
export type AvroValue = null | boolean | number | bigint | string | Uint8Array | AvroValue[] | { [name: string]: AvroValue }

/** A required field. */
export function required(id: number, name: string, type: AvroType): AvroField {
  return { name, type, 'field-id': id }
}

/** A field that may be null. */
export function optional(id: number, name: string, type: AvroType): AvroField {
  return { name, type: ['null', type], default: null, 'field-id': id }
}

/** Iceberg's map with integer keys: an array of key-value records whose name carries both ids. */
export function intMap(keyId: number, valueId: number, value: AvroType): AvroArray {
  return {
    type: 'array',
    logicalType: 'map',
    items: { type: 'record', name: `k${keyId}_v${valueId}`, fields: [required(keyId, 'key', 'int'), required(valueId, 'value', value)] },
  }
}

/**
 * A name that Avro accepts, made of any text the way Iceberg's own writers do: other characters become `_x` and their code in
 * hexadecimal, and a leading digit gets `_` before it.
 */
export function avroName(name: string): string {
  let out = ''
  for (let i = 0; i < name.length; i++) {
    const char = name[i]!
    if (/[A-Za-z_]/.test(char)) out += char
    else if (/\d/.test(char)) out += i === 0 ? `_${char}` : char
    else out += `_x${name.charCodeAt(i).toString(16).toUpperCase()}`
  }
  return out
}
