/**
 * The framework's own object. One class, so that an app has one migration to write; what an instance is, its name says: `catalog <BINDING>` holds
 * the tables of one bucket, `tokens` remembers which one-time links were used, `singletons` when each of those was woken, `fleet <i>/<n>` is a shard of
 * the index of all objects.
 */
import { DurableObject } from '#platform'
import { RpcTarget } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { migrate, type Migrations } from '../base/migrations.ts'
import type { Store } from '../base/ports.ts'
import { Catalog } from '../iceberg/catalog.ts'
import { currentSnapshot } from '../iceberg/metadata.ts'
import type { CatalogClient } from '../iceberg/ports.ts'
import type { TableOverview } from '../base/views.ts'
import type { Conversation } from '../rpc/conversation.ts'
import type { LinkMessage, LinkReply } from '../rpc/frames.ts'
import { LinkServer } from '../rpc/link-server.ts'
import type { PackedCall } from '../rpc/packed-call.ts'
import { addressName, bucketBindings } from './buckets.ts'
import { appOptions } from './app.ts'
import { FleetShard } from './fleet-shard.ts'
import { linkServerPorts } from './nouns.ts'
import { SingletonsTarget } from './singletons.ts'
import { clock, linkPorts, random, sqlStore } from './platform.ts'

/** The table of one-time links that were used. Entries are never edited after a release, only added to; a test pins them. */
export const tokenMigrations: Migrations = [
  ['CREATE TABLE dotdo_used_tokens (id TEXT PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID'],
  ['CREATE INDEX dotdo_used_tokens_over ON dotdo_used_tokens (expires_at)'],
]

/**
 * The framework's own Durable Object class: export it from the app's entry, and list it under `migrations` in wrangler.toml. It holds the catalog of
 * each bucket's tables, and which one-time links were used; apps never call it themselves.
 */
export class DotdoSystem extends DurableObject {
  readonly #link: LinkServer
  readonly #fleet: FleetShard | undefined

  constructor(ctx: DurableObjectState, env: never) {
    super(ctx, env)
    const store = sqlStore(ctx.storage)
    const [role, binding] = (ctx.id.name ?? '').split(' ')
    const ports = linkPorts(`DotdoSystem/${ctx.id.name}`, (work) => ctx.waitUntil(work))
    if (role === 'fleet') this.#fleet = new FleetShard(ctx, env, store)
    let main: RpcTarget | undefined
    const make = () => {
      if (role === 'catalog') return new CatalogTarget(store, binding ?? '')
      return role === 'singletons' ? new SingletonsTarget(store, clock) : new TokensTarget(store)
    }
    const open = ({ origin }: Conversation) => this.#fleet?.mainFor(origin) ?? (main ??= make())
    this.#link = new LinkServer(open, linkServerPorts(ports), appOptions().limits?.link)
  }

  dotdoLink(message: LinkMessage): Promise<LinkReply> {
    return this.#link.accept(message)
  }

  dotdoCall(...call: PackedCall): unknown {
    return this.#link.called(call)
  }

  override async alarm(): Promise<void> {
    await this.#fleet?.alarm()
  }
}

/** Which one-time links were used. A used one is remembered until it would have expired anyway. */
class TokensTarget extends RpcTarget {
  readonly #store: Store

  constructor(store: Store) {
    super()
    this.#store = store
    migrate(store, 'tokens', tokenMigrations)
  }

  /** Marks a token as used. Answers whether it was the first use. */
  redeem(id: string, expiresAt: number): boolean {
    this.#store.sql(
      'DELETE FROM dotdo_used_tokens WHERE id IN (SELECT id FROM dotdo_used_tokens WHERE expires_at < ? LIMIT 500)',
      clock.now(),
    )
    if (this.#store.sql('SELECT 1 FROM dotdo_used_tokens WHERE id = ?', id).length > 0) return false
    this.#store.sql('INSERT INTO dotdo_used_tokens VALUES (?, ?)', id, expiresAt)
    return true
  }
}

/** The catalog of one bucket, as a capability. */
class CatalogTarget extends RpcTarget implements CatalogClient {
  readonly #catalog: Catalog

  constructor(store: Store, binding: string) {
    super()
    const bucket = bucketBindings()[binding]
    if (!bucket)
      throw new DotdoError(
        'BUCKET_UNKNOWN',
        `There is no bucket binding ${JSON.stringify(binding)} for this catalog. This Worker has: ${Object.keys(bucketBindings()).join(', ') || 'none'}.`,
        { data: { binding } },
      )
    this.#catalog = new Catalog({ store, bucket, clock, random, warehouse: `s3://${addressName(binding)}` })
  }

  loadTable(...args: Parameters<CatalogClient['loadTable']>) {
    return this.#catalog.loadTable(...args)
  }
  createTable(...args: Parameters<CatalogClient['createTable']>) {
    return this.#catalog.createTable(...args)
  }
  beginWrite(...args: Parameters<CatalogClient['beginWrite']>) {
    return this.#catalog.beginWrite(...args)
  }
  findCommit(...args: Parameters<CatalogClient['findCommit']>) {
    return this.#catalog.findCommit(...args)
  }
  commit(...args: Parameters<CatalogClient['commit']>) {
    return this.#catalog.commit(...args)
  }
  dropTable(...args: Parameters<CatalogClient['dropTable']>) {
    return this.#catalog.dropTable(...args)
  }
  createNamespace(...args: Parameters<CatalogClient['createNamespace']>) {
    return this.#catalog.createNamespace(...args)
  }
  loadNamespace(...args: Parameters<CatalogClient['loadNamespace']>) {
    return this.#catalog.loadNamespace(...args)
  }
  listNamespaces(...args: Parameters<CatalogClient['listNamespaces']>) {
    return this.#catalog.listNamespaces(...args)
  }
  listTables(...args: Parameters<CatalogClient['listTables']>) {
    return this.#catalog.listTables(...args)
  }

  /** The tables with their current snapshots, for people. At most 200: a page is no catalog client. */
  async overview(): Promise<TableOverview[]> {
    const tables: TableOverview[] = []
    for (const namespace of await this.#catalog.listNamespaces()) {
      for (const ident of await this.#catalog.listTables(namespace)) {
        const loaded = tables.length < 200 ? await this.#catalog.loadTable(ident) : null
        if (!loaded) continue
        const snapshot = currentSnapshot(loaded.metadata)
        const total = (name: string) => Number(snapshot?.summary[name] ?? 0)
        tables.push({
          name: [...ident.namespace, ident.name].join('.'),
          location: loaded.metadata.location,
          ...(snapshot && { snapshotId: snapshot['snapshot-id'], committedAt: snapshot['timestamp-ms'] }),
          files: total('total-data-files'),
          rows: total('total-records'),
          bytes: total('total-files-size'),
        })
      }
    }
    return tables
  }
}
