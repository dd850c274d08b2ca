import { DotdoError } from '../base/errors.ts'

/** What a column's text becomes. `number` takes JSON's grammar; `boolean` takes `true` and `false`. */
export type ColumnType = 'text' | 'number' | 'boolean'

/** Reads one field; `undefined` where it is not of the type. */
export type Converter = (field: string) => number | boolean | null | undefined

/**
 * One converter a column, in the order of the header; none for text.
 *
 * @throws `OPTION_INVALID` (terminal) for a type of a column that the header lacks (lists the columns), or a type that does not exist.
 */
export function createConverters(
  types: Readonly<Record<string, ColumnType>>,
  header: string[],
  address: string,
): (Converter | undefined)[] {
  for (const [column, type] of Object.entries(types)) {
    if (!header.includes(column)) {
      throw optionInvalid(
        `${address} has no column '${column}' to read as ${type}: its columns are ${quoteAll(header)}. Correct { types }.`,
        column,
      )
    }
    if (type !== 'text' && !Object.hasOwn(converters, type)) {
      throw optionInvalid(`{ types: { '${column}': '${type}' } } is no type: there are 'text', 'number' and 'boolean'.`, column)
    }
  }
  return header.map((column) => {
    const type = Object.hasOwn(types, column) ? types[column] : undefined
    return type === undefined || type === 'text' ? undefined : converters[type]
  })
}

const converters: Record<Exclude<ColumnType, 'text'>, Converter> = {
  number: (field) => {
    if (field === '') return null
    // The grammar of JSON (RFC 8259, section 6): no hexadecimal, no leading zero, no spaces, all of which Number() would take.
    if (!/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(field)) return undefined
    const value = Number(field)
    if (!Number.isFinite(value)) return undefined
    // An integer that a double cannot hold exactly would come out as another number.
    return /^-?\d+$/.test(field) && !Number.isSafeInteger(value) ? undefined : value
  },
  boolean: (field) => (field === 'true' ? true : field === 'false' ? false : field === '' ? null : undefined),
}

function optionInvalid(message: string, column: string): DotdoError {
  return new DotdoError('OPTION_INVALID', message, { data: { option: 'types', column } })
}

function quoteAll(names: string[]): string {
  return names.map((name) => `'${name}'`).join(', ')
}
