/**
 * The read side of the Iceberg REST catalog protocol as a function from request to response
 * (https://github.com/apache/iceberg/blob/main/open-api/rest-catalog-open-api.yaml). Engines attach
 * by it; the adapter puts it under an address and decides who may ask. Writes go through the catalog's own methods and are refused here.
 */
import { codeOf } from '../base/errors.ts'
import type { CatalogClient } from './ports.ts'
import type { TableIdent, TableMetadata } from './types.ts'

/** A request below the catalog's base address, such as `/v1/namespaces`. */
export interface RestRequest {
  method: string
  /** The path as it came, with its percent-encoding. */
  path: string
  query: URLSearchParams
}

/** A JSON response; `body` is its text, or `null` where there is none. */
export interface RestResponse {
  status: number
  headers: Record<string, string>
  body: string | null
}

/** What an engine is told beside the metadata. */
export interface RestOptions {
  /** For every client, from `/v1/config`: overrides of its own settings. */
  config?: Record<string, string>
  /** With each table: how its files are reached, such as `s3.endpoint` and `s3.path-style-access`. */
  tableConfig?: Record<string, string>
}

/** What parts the levels of a namespace in one segment of an address. */
const SEPARATOR = '\x1f'

/** Most names on one page, where the client asks for pages. */
const MAX_PAGE = 1_000

/** What clients may ask. They read this list and leave alone what is not on it, such as views. */
const endpoints = [
  'GET /v1/{prefix}/namespaces',
  'GET /v1/{prefix}/namespaces/{namespace}',
  'HEAD /v1/{prefix}/namespaces/{namespace}',
  'GET /v1/{prefix}/namespaces/{namespace}/tables',
  'GET /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}',
]

/** Answers one request. Never throws for what a client sends: every fault is a response in the protocol's form. */
export async function serveRest(request: RestRequest, catalog: CatalogClient, options: RestOptions = {}): Promise<RestResponse> {
  try {
    return await route(request, catalog, options)
  } catch (thrown) {
    // Nothing of the inside leaves but its code: messages may name buckets and keys.
    return failure(
      500,
      'InternalServerException',
      `The catalog failed (${codeOf(thrown) ?? 'unexpected error'}). Try again; if it stays, look at the log of the object that holds the catalog.`,
    )
  }
}

/** Finds who answers. The order is that of the segments, so that each check knows all before it. */
async function route(request: RestRequest, catalog: CatalogClient, options: RestOptions): Promise<RestResponse> {
  const segments = decodePath(request.path)
  if (!segments) return failure(400, 'BadRequestException', `The path ${request.path} is not percent-encoded UTF-8.`)
  const [version, kind, namespaceText, collection, table, ...rest] = segments
  if (version !== 'v1' || rest.length > 1)
    return failure(404, 'NotFoundException', `There is nothing at ${request.path}. The protocol starts at v1/config.`)
  const { method } = request
  const reads = method === 'GET' || method === 'HEAD'
  if (kind === 'config' && namespaceText === undefined)
    return method === 'GET' ? json({ defaults: {}, overrides: options.config ?? {}, endpoints }) : notAllowed(method, 'GET')
  if (kind !== 'namespaces')
    return protocolWrite(segments)
      ? unsupported(request)
      : failure(404, 'NotFoundException', `There is nothing at ${request.path}. This catalog serves v1/config and v1/namespaces.`)
  if (rest.length === 1) {
    // Engines report what they scanned. It is taken and dropped: refusing it makes some of them log an error for each query.
    return collection === 'tables' && rest[0] === 'metrics' && method === 'POST'
      ? noContent(204)
      : failure(404, 'NotFoundException', `There is nothing at ${request.path}.`)
  }
  if (!reads) return method === 'POST' || method === 'DELETE' ? unsupported(request) : notAllowed(method, 'GET, HEAD')
  if (namespaceText === undefined) return method === 'GET' ? listNamespaces(request.query, catalog) : notAllowed(method, 'GET')
  const namespace = namespaceText.split(SEPARATOR)
  if (collection === undefined) return loadNamespace(namespace, method, catalog)
  if (collection === 'views' && table === undefined) return method === 'GET' ? json({ identifiers: [] }) : notAllowed(method, 'GET')
  if (collection !== 'tables') return failure(404, 'NotFoundException', `There is nothing at ${request.path}.`)
  if (table === undefined) return method === 'GET' ? listTables(namespace, request.query, catalog) : notAllowed(method, 'GET')
  return loadTable({ namespace, name: table }, request, catalog, options)
}

/** `GET /v1/namespaces`: those at the top, or right below `parent`. */
async function listNamespaces(query: URLSearchParams, catalog: CatalogClient): Promise<RestResponse> {
  const parentText = query.get('parent')
  const parent = parentText ? parentText.split(SEPARATOR) : []
  if (parent.length > 0 && !(await catalog.loadNamespace(parent))) return noNamespace(parent)
  return page('namespaces', await catalog.listNamespaces(parent), (levels) => levels.join(SEPARATOR), query)
}

/** `GET` and `HEAD /v1/namespaces/{namespace}`. */
async function loadNamespace(namespace: string[], method: string, catalog: CatalogClient): Promise<RestResponse> {
  const properties = await catalog.loadNamespace(namespace)
  if (!properties) return method === 'HEAD' ? noContent(404) : noNamespace(namespace)
  return method === 'HEAD' ? noContent(204) : json({ namespace, properties })
}

/** `GET /v1/namespaces/{namespace}/tables`. */
async function listTables(namespace: string[], query: URLSearchParams, catalog: CatalogClient): Promise<RestResponse> {
  if (!(await catalog.loadNamespace(namespace))) return noNamespace(namespace)
  return page('identifiers', await catalog.listTables(namespace), (ident) => ident.name, query)
}

/** `GET` and `HEAD /v1/namespaces/{namespace}/tables/{table}`. */
async function loadTable(ident: TableIdent, request: RestRequest, catalog: CatalogClient, options: RestOptions): Promise<RestResponse> {
  const found = await catalog.loadTable(ident)
  if (request.method === 'HEAD') return noContent(found ? 204 : 404)
  if (!found)
    return failure(
      404,
      'NoSuchTableException',
      `There is no table ${[...ident.namespace, ident.name].join('.')} in this catalog. List the tables of the namespace for those that exist.`,
    )
  const metadata = request.query.get('snapshots') === 'refs' ? onlyReferenced(found.metadata) : found.metadata
  return json({ 'metadata-location': found.metadataLocation, metadata, config: tableConfig(options) })
}

/** ClickHouse takes the endpoint off the front of a location and finds no file where that leaves a slash: the endpoint ends with one. */
function tableConfig(options: RestOptions): Record<string, string> {
  const endpoint = options.tableConfig?.['s3.endpoint']
  return { ...options.tableConfig, ...(endpoint !== undefined && { 's3.endpoint': endpoint.replace(/\/*$/, '/') }) }
}

/** The snapshots that a branch or tag names: what a reader of the present needs. */
function onlyReferenced(metadata: TableMetadata): TableMetadata {
  const named = new Set(Object.values(metadata.refs).map((ref) => ref['snapshot-id']))
  return { ...metadata, snapshots: metadata.snapshots.filter((it) => named.has(it['snapshot-id'])) }
}

/**
 * One page of a sorted list. A page ends with the name that the next one starts after, so names that come and go between two pages
 * neither repeat nor hide others.
 */
function page<Item>(name: string, items: readonly Item[], nameOf: (item: Item) => string, query: URLSearchParams): RestResponse {
  const size = Number(query.get('pageSize') ?? 'NaN')
  const token = query.get('pageToken')
  // Without a token the client does not page: it gets all.
  if (token === null) return json({ [name]: items, 'next-page-token': null })
  if (query.has('pageSize') && !(Number.isInteger(size) && size > 0))
    return failure(400, 'BadRequestException', `pageSize is ${query.get('pageSize')}: give a whole number above 0.`)
  const rest = items.filter((item) => nameOf(item) > token)
  const some = rest.slice(0, Math.min(size || MAX_PAGE, MAX_PAGE))
  const last = some.at(-1)
  return json({ [name]: some, 'next-page-token': last !== undefined && some.length < rest.length ? nameOf(last) : null })
}

/** Addresses that the protocol has and this catalog does not serve. */
function protocolWrite(segments: readonly string[]): boolean {
  return segments[1] === 'transactions' || segments[1] === 'tables' || segments[1] === 'oauth'
}

/** The segments of a path. Decoded after the split: `%2F` belongs to a name, `/` does not. */
function decodePath(path: string): string[] | undefined {
  try {
    return path
      .replace(/^\/+|\/+$/g, '')
      .split('/')
      .map(decodeURIComponent)
  } catch (cause) {
    if (cause instanceof URIError) return undefined
    throw cause
  }
}

/** A write. 501 says that the server lacks it, not that the client did wrong. */
function unsupported(request: RestRequest): RestResponse {
  return failure(
    501,
    'UnsupportedOperationException',
    `${request.method} ${request.path} is not served: other engines read these tables, and dotdo's IcebergWriter writes them.`,
  )
}

/** A method that the protocol does not have at an address. */
function notAllowed(method: string, allow: string): RestResponse {
  const response = failure(405, 'UnsupportedOperationException', `${method} is not a method of this address. Use ${allow}.`)
  return { ...response, headers: { ...response.headers, allow } }
}

function noNamespace(namespace: readonly string[]): RestResponse {
  return failure(
    404,
    'NoSuchNamespaceException',
    `There is no namespace ${namespace.join('.')} in this catalog. List v1/namespaces for those that exist.`,
  )
}

/** The protocol's `ErrorModel`. */
function failure(code: number, type: string, message: string): RestResponse {
  return { ...json({ error: { message, type, code } }), status: code }
}

/** A 200 with a body. */
function json(value: unknown): RestResponse {
  return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) }
}

/** A status that says all. */
function noContent(status: number): RestResponse {
  return { status, headers: {}, body: null }
}
