import { sqlParserModule } from '#sqlparser'
import { RpcTarget } from 'capnweb'
import { QueryCoordinator as Coordinator, type CoordinatorOptions } from '../sql/coordinator.ts'
import { createSqlParser, type SqlParser } from '../sql/parser.ts'
import type { Scanner, ScanCursor, ScanReply, ScanRequest, TableDescription } from '../sql/scanner.ts'
import { SqliteScanner as Core, type SqliteScannerOptions } from '../sql/sqlite-scanner.ts'
import * as glue from '../vendor/sqlparser/sqlparser_rs_wasm.js'
import { iterateSql, sqlStore } from './platform.ts'

let parser: SqlParser | undefined

/** The parser is instantiated by the first query: a Worker that asks none pays nothing for it. */
function sqlParser(): SqlParser {
  if (!parser) {
    const module = sqlParserModule()
    glue.initSync({ module })
    parser = createSqlParser({ parse_sql: (dialect, sql) => glue.parse_sql(dialect, sql), restart: () => void glue.initSync({ module }) })
  }
  return parser
}

/**
 * SQL over sharded objects: one SELECT, asked of all scanners at once and merged into the one answer that SQLite would give had it all rows. What
 * cannot be answered rightly is refused, with the part that is the reason.
 *
 * @example
 * const scanners = ['a', 'b'].map((id) => this.Shard(id).scanner())
 * const rows = await new QueryCoordinator(scanners).query('SELECT user_id, COUNT(*) FROM events GROUP BY user_id')
 */
export class QueryCoordinator extends Coordinator {
  /**
   * @param scanners one a shard; stubs and promises of stubs, so that taking the scanner and asking it is one round trip
   * @throws `NO_SCANNERS`, `TOO_MANY_SHARDS`
   */
  constructor(scanners: Iterable<Scanner | PromiseLike<Scanner>>, options: Partial<CoordinatorOptions> = {}) {
    super(scanners as Iterable<Scanner | Promise<Scanner>>, {
      ...options,
      get parser() {
        return options.parser ?? sqlParser()
      },
    })
  }
}

/**
 * The read side of an object's SQLite, as a capability: whoever holds it can read these tables and nothing else.
 *
 * @example
 * scanner() {
 *   return new SqliteScanner(this, ['events'])
 * }
 */
export class SqliteScanner extends RpcTarget implements Scanner {
  readonly #core: Core

  /** @throws `SCAN_REFUSED` for a table of the framework */
  constructor(object: { readonly ctx: DurableObjectState }, tables: Iterable<string>, options: Omit<SqliteScannerOptions, 'tables'> = {}) {
    super()
    const { storage } = object.ctx
    this.#core = new Core(
      { ...sqlStore(storage), iterate: (statement, ...parameters) => iterateSql(storage, statement, parameters) },
      { ...options, tables },
    )
  }

  describe(): Promise<TableDescription[]> {
    return this.#core.describe()
  }

  /** @throws `TABLE_UNKNOWN`, `SCAN_REFUSED`, `SCAN_STALE` */
  async scan(request: ScanRequest): Promise<ScanReply> {
    const reply = await this.#core.scan(request)
    return reply.cursor ? { ...reply, cursor: new Cursor(reply.cursor) } : reply
  }
}

/** A cursor goes by reference; its core is plain. */
class Cursor extends RpcTarget implements ScanCursor {
  readonly #core: ScanCursor

  constructor(core: ScanCursor) {
    super()
    this.#core = core
  }

  next(): Promise<ScanReply | null> {
    return this.#core.next()
  }

  [Symbol.dispose](): void {
    this.#core[Symbol.dispose]?.()
  }
}
