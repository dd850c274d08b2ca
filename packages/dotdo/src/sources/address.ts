import { DotdoError } from '../base/errors.ts'
import type { SourceDeclarations } from './ports.ts'

/**
 * Where data lies. `text` names it in messages and progress: it carries no password and no query string, because those of a signed
 * address are secrets. Keys of buckets are literal: no percent-decoding, and `?` and `#` are part of the key.
 */
export type Address =
  | { kind: 'object'; binding: string; key: string; text: string }
  | { kind: 'prefix'; binding: string; prefix: string; text: string }
  | { kind: 'http'; url: string; text: string }

/** What an address is resolved against: the declared names and the bindings that exist. */
export interface AddressBook {
  sources?: SourceDeclarations
  bucketNames(): string[]
}

/**
 * Finds what `source` stands for. Forms: `s3://bucket/key`, `s3://bucket/prefix/` (a trailing slash is a prefix; `s3://bucket/` is the
 * whole bucket), `r2://BINDING/…`, `https://…`, `http://…`, and bare names declared in `sources`.
 *
 * The bucket of `s3://` is looked up in `sources` first and is otherwise a binding of that very name; the one of `r2://` is always a binding.
 *
 * @throws `SOURCE_UNKNOWN` for a bare name that is not declared (lists those that are), `SCHEME_UNKNOWN`, `BUCKET_UNKNOWN` (lists those that
 * exist), `ADDRESS_INVALID` for one that is malformed, `SOURCE_DECLARATION_INVALID` for an alias of an alias or a cycle. All terminal.
 */
export function resolveAddress(source: string, book: AddressBook): Address {
  const scheme = schemeOf(source)
  if (scheme !== undefined) return resolveUrl(source, scheme, book)
  const value = declared(source, book)
  if (value === undefined) throw sourceUnknown(source, book)
  const target = schemeOf(value)
  if (target === undefined) {
    throw invalid(source, `'${source}' is a declared bucket, and a bucket is read by a key or a prefix. Write 's3://${source}/prefix/'`)
  }
  return resolveUrl(value, target, book)
}

/** The scheme of an address in lower case, without its colon, or `undefined` for a bare name. */
export function schemeOf(source: string): string | undefined {
  return /^([a-z][a-z0-9+.-]*):\/\//i.exec(source)?.[1]?.toLowerCase()
}

/** Resolves what has a scheme. */
function resolveUrl(source: string, scheme: string, book: AddressBook): Address {
  if (scheme === 's3' || scheme === 'r2') return resolveBucket(source, scheme, book)
  if (scheme === 'http' || scheme === 'https') return resolveHttp(source)
  throw new DotdoError('SCHEME_UNKNOWN', `Cannot read '${scheme}://': the schemes are s3, r2, https and http.`, {
    data: { source: redact(source), scheme, known: ['s3', 'r2', 'https', 'http'] },
  })
}

function resolveBucket(source: string, scheme: 's3' | 'r2', book: AddressBook): Address {
  const rest = source.slice(scheme.length + 3)
  const slash = rest.indexOf('/')
  if (slash === -1) {
    throw invalid(
      source,
      `'${source}' names a bucket but nothing in it. Write '${source}/' for all of it, or '${source}/key' for one object`,
    )
  }
  const name = rest.slice(0, slash)
  if (name === '') throw invalid(source, `'${source}' has no bucket. Write '${scheme}://bucket/key'`)
  const binding = scheme === 'r2' ? name : bindingOf(name, source, book)
  if (!book.bucketNames().includes(binding)) throw bucketUnknown(source, name, binding, book)
  // Not parsed as a URL, which would decode, normalise `..` and cut at `?`: a key is any text.
  const key = rest.slice(slash + 1)
  if (key === '' || key.endsWith('/')) return { kind: 'prefix', binding, prefix: key, text: source }
  return { kind: 'object', binding, key, text: source }
}

// fetch() of the platforms drops or refuses a password in the address, each in its own way: refused here, in one.
function resolveHttp(source: string): Address {
  if (!URL.canParse(source)) throw invalid(redact(source), `'${redact(source)}' is not a URL`)
  const authority = /^[a-z]+:\/\/([^/?#]*)/i.exec(source)?.[1] ?? ''
  if (authority.includes('@')) {
    throw invalid(redact(source), `'${redact(source)}' carries a password in its address. Pass { headers: { authorization: … } } instead`)
  }
  const url = new URL(source)
  return { kind: 'http', url: url.href, text: `${url.origin}${url.pathname}${url.search === '' ? '' : '?…'}` }
}

/** The binding that a bucket name of `s3://` stands for: the declared one, else the binding of that very name. */
function bindingOf(name: string, source: string, book: AddressBook): string {
  const value = declared(name, book)
  if (value === undefined) return name
  if (schemeOf(value) === undefined) return value
  throw new DotdoError('BUCKET_UNKNOWN', `Cannot read '${source}': '${name}' is a named source, not a bucket. Write extract('${name}').`, {
    data: { source, bucket: name, known: bucketsOf(book) },
  })
}

/** The value that a declared name ends at, after at most one alias; `undefined` for a name that is not declared. */
function declared(name: string, book: AddressBook): string | undefined {
  const first = lookUp(name, book)
  if (first === undefined) return undefined
  const second = lookUp(first, book)
  if (second === undefined) return first
  const third = lookUp(second, book)
  const chain = third === undefined ? [name, first, second] : [name, first, second, third]
  const isCycle = new Set(chain).size < chain.length
  if (third === undefined && !isCycle) return second
  const problem = isCycle ? 'is a cycle' : 'is an alias of an alias, and one step is the limit'
  throw new DotdoError(
    'SOURCE_DECLARATION_INVALID',
    `sources: ${quoteAll(chain, ' -> ')} ${problem}. Let '${name}' name its address or binding directly.`,
    {
      data: { source: name },
    },
  )
}

// Own properties only: a source called `constructor` is not declared by every object.
function lookUp(name: string, book: AddressBook): string | undefined {
  return book.sources !== undefined && Object.hasOwn(book.sources, name) ? book.sources[name] : undefined
}

/** The error of a bare name; it lists the names that can be read as sources, aliases included. */
function sourceUnknown(source: string, book: AddressBook): DotdoError {
  const known = Object.entries(book.sources ?? {})
    .filter(([, value]) => schemeOf(lookUp(value, book) ?? value) !== undefined)
    .map(([name]) => name)
  const list = known.length === 0 ? 'none are declared' : `declared are ${quoteAll(known)}`
  return new DotdoError(
    'SOURCE_UNKNOWN',
    `No source is called '${source}': ${list}. Declare it in sources, or write an address such as 's3://bucket/prefix/'.`,
    {
      data: { source, known },
    },
  )
}

/** The error of a bucket without binding; it lists everything that would have worked. */
function bucketUnknown(source: string, name: string, binding: string, book: AddressBook): DotdoError {
  const known = bucketsOf(book)
  const via = binding === name ? '' : ` (by sources: '${name}' -> '${binding}')`
  const list = known.length === 0 ? 'the app has none' : `the app has ${quoteAll(known)}`
  return new DotdoError(
    'BUCKET_UNKNOWN',
    `Cannot read '${source}': no bucket is bound as '${binding}'${via}; ${list}. Add the binding, or map it in sources.`,
    {
      data: { source, bucket: name, binding, known },
    },
  )
}

/** Every name that works as a bucket of `s3://`: the bindings, and the declared names of bindings. */
function bucketsOf(book: AddressBook): string[] {
  const bindings = book.bucketNames()
  const named = Object.entries(book.sources ?? {}).filter(([, value]) => bindings.includes(value))
  return [...new Set([...named.map(([name]) => name), ...bindings])]
}

/** The error of an address that does not say one place. `problem` is a sentence without its full stop. */
function invalid(source: string, problem: string): DotdoError {
  return new DotdoError('ADDRESS_INVALID', `${problem}.`, { data: { source } })
}

// Anything between `//` and `@`, and after `?`, may be a secret: it stays out of messages.
function redact(source: string): string {
  return source.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, '$1…@').replace(/\?.*$/s, '?…')
}

function quoteAll(names: string[], separator = ', '): string {
  return names.map((name) => `'${name}'`).join(separator)
}
