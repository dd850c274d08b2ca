/** A small object to hand out capabilities of, and the grants over a real table. */
import { createHash, createHmac } from 'node:crypto'
import { RpcTarget } from 'capnweb'
import { Grants, type GrantPorts } from '../../src/rpc/grants.ts'
import { countedHere } from '../../src/rpc/narrow.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

export const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
export const macOf = (secret: string) => (text: string) => createHmac('sha256', secret).update(text).digest()

/** What was called, by whom it may be seen. */
export class Thing extends RpcTarget {
  readonly #name: string
  readonly #log: unknown[]
  constructor(name: string, log: unknown[]) {
    super()
    this.#name = name
    this.#log = log
  }
  read(n: number) {
    this.#log.push([this.#name, 'read', n])
    return `${this.#name} ${n}`
  }
  write(n: number) {
    this.#log.push([this.#name, 'write', n])
    return Promise.resolve(n)
  }
  get size() {
    this.#log.push([this.#name, 'size'])
    return 3
  }
  part(name: string) {
    return new Thing(`${this.#name}.${name}`, this.#log)
  }
  parts() {
    return Promise.resolve({ list: [new Thing(`${this.#name}.0`, this.#log)], count: 1 })
  }
  reader() {
    return (n: number) => this.read(n)
  }
  plain() {
    return { rows: [1, 2, { at: new Date(5) }] }
  }
  fail(): never {
    throw new Error('no')
  }
}

/** One object's grants over a table that outlives them. */
export function world(options: { secret?: string; name?: string; store?: SqliteStore } = {}) {
  const clock = new ManualClock()
  const random = new SeededRandom(7)
  const store = options.store ?? new SqliteStore()
  const log: unknown[] = []
  const ports: GrantPorts = {
    store,
    clock,
    random,
    sha256,
    mac: macOf(options.secret ?? 'a secret for tests alone'),
    issuer: { noun: 'Shelf', name: options.name ?? 'a' },
    now: () => clock.now(),
    counter: countedHere,
  }
  return { clock, store, log, ports, grants: new Grants(ports), root: new Thing('root', log) }
}
