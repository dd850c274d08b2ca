export class QueryCoordinator { constructor(_s: unknown) {} async query(_sql: string): Promise<Record<string, unknown>[]> { return [] } }
import { RpcTarget } from 'capnweb'
export class SqliteScanner extends RpcTarget { constructor(_t: unknown, _n: string[]) { super() } }
