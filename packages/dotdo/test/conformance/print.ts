/**
 * A value as text, with everything in it that a wire could change: types, -0, holes, undefined, bytes, dates, own properties of errors.
 * Two values print the same when a user could not tell them apart by looking at what they hold; which parts are one object is not said.
 */
export function print(value: unknown, depth = 0): string {
  if (depth > 300) return '…'
  const inner = (part: unknown) => print(part, depth + 1)
  switch (typeof value) {
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value)
    case 'bigint':
      return `${value}n`
    case 'string':
      // Lone surrogates are shown by their number.
      return JSON.stringify(value)
    case 'function':
    case 'symbol':
      return typeof value
    case 'object':
      return value === null ? 'null' : printObject(value, inner)
    default:
      return String(value)
  }
}

function printObject(value: object, inner: (part: unknown) => string): string {
  if (Array.isArray(value)) {
    return `[${Array.from({ length: value.length }, (_, i) => (i in value ? inner(value[i]) : '<hole>')).join(', ')}]`
  }
  if (value instanceof Date) return `Date(${value.getTime()})`
  if (value instanceof URL) return `URL(${value.href})`
  if (value instanceof Error) return printError(value, inner)
  if (value instanceof ArrayBuffer) return `ArrayBuffer(${[...new Uint8Array(value)].join(' ')})`
  if (ArrayBuffer.isView(value)) {
    // A Buffer is a Uint8Array that Node has made its own: links in Node give one.
    const type = value instanceof Uint8Array ? 'Uint8Array' : Object.prototype.toString.call(value).slice(8, -1)
    return `${type}(${[...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)].join(' ')})`
  }
  if (typeof Headers === 'function' && value instanceof Headers) return `Headers(${inner([...(value as Iterable<unknown> & Headers)])})`
  if (typeof Blob === 'function' && value instanceof Blob) return `Blob(${value.type}, ${value.size})`
  const type = Object.prototype.toString.call(value).slice(8, -1)
  const keys = Object.keys(value)
  return `${type === 'Object' ? '' : type}{${keys.map((key) => `${JSON.stringify(key)}: ${inner((value as Record<string, unknown>)[key])}`).join(', ')}}`
}

function printError(error: Error, inner: (part: unknown) => string): string {
  const more = Object.keys(error).filter((key) => !['name', 'message', 'stack'].includes(key))
  const hidden = ['cause', 'errors'].filter((key) => key in error && !more.includes(key))
  const parts = [...more, ...hidden].sort().map((key) => `${key}: ${inner((error as unknown as Record<string, unknown>)[key])}`)
  return `${error.name}(${[JSON.stringify(error.message), ...parts].join(', ')})`
}
