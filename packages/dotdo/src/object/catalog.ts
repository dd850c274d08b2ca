/** The catalogs of tables: an object of the framework for each warehouse. */
import type { CatalogClient } from '../iceberg/ports.ts'
import type { Links } from './nouns.ts'

/** The catalog object of a warehouse. Both are asked for at each call: `links` those of whoever calls then. */
export function catalogOf(links: () => Links, warehouse: () => string): CatalogClient {
  const call = (method: string, args: unknown[]) =>
    (links().user('DotdoSystem', `catalog ${warehouse()}`) as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[method]!(
      ...args,
    )
  return new Proxy({} as CatalogClient, {
    get: (_, method) =>
      typeof method === 'string' && method !== 'then' ? async (...args: unknown[]) => await call(method, args) : undefined,
  })
}
