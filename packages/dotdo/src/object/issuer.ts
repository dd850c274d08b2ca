/** What one object does for the authority over it: it narrows, saves, restores and revokes its own capabilities, for links that ask. */
import type { RpcTarget } from 'capnweb'
import { Grants, type GrantRequest } from '../rpc/grants.ts'
import { countedHere, readGuard, requireMembers, restrict, type NarrowPorts } from '../rpc/narrow.ts'
import { readCaveats, type UseCounter } from '../rpc/caveats.ts'
import type { Origin } from '../rpc/origin.ts'
import type { GrantView } from '../base/views.ts'
import { appRenames, appRetention } from './app.ts'
import type { ObjectHost } from './host.ts'
import { clock, macOf, random, sha256 } from './platform.ts'

/** Narrowings with counted uses that are remembered, at most: the one used longest ago is forgotten first. */
const countersKept = 10_000

/**
 * Owns an object's grants, and the counters of references that were narrowed with `uses` and not saved. Those live as long as the object does:
 * whoever else was given such a reference has it from a session that ends then too.
 */
export class Issuer {
  readonly grants: Grants
  readonly ports: NarrowPorts
  readonly #host: ObjectHost
  readonly #counters = new Map<string, UseCounter>()

  constructor(host: ObjectHost) {
    this.#host = host
    this.ports = { now: () => clock.now(), counter: (uses, key) => this.#counter(uses, key) }
    this.grants = new Grants({
      ...this.ports,
      store: host.store,
      clock,
      random,
      sha256,
      mac: macOf(host.env, host.label),
      keepOverMs: appRetention().capabilities,
      issuer: host.known,
      firstNoun: (noun) => appRenames().firstNoun(noun),
    })
  }

  /** What links call, by the names that they have behind the framework's prefix, for one caller. */
  methods(origin: Origin) {
    return {
      /** A capability of the object itself that is narrowed. @param key under which its uses are counted */
      narrow: (caveats: unknown, key?: string): object => this.narrow(this.#host.reachFor(origin), caveats, key),
      /** A capability that a call of this object has given, narrowed. It is kept for as long as the narrowed one is. */
      narrowed: (cap: unknown, caveats: unknown, key?: string): object =>
        restrict(isStub(cap) ? cap.dup() : cap, readGuard(caveats, this.ports, key, cap), this.ports, true),
      grant: (request: GrantRequest): string => {
        // What a call gives is not known before it is restored.
        if (request.path.length === 0) requireMembers(this.#host.reachFor(origin), readCaveats(request.caveats ?? {}, clock.now()))
        this.#host.kept()
        return this.grants.issue(request, origin.caller)
      },
      restore: (token: unknown, holder?: unknown): Promise<object> =>
        this.grants.restore(token, this.#host.reachFor(origin), holder, origin.caller),
      revoke: (grant: unknown): boolean => this.grants.revoke(grant),
      grants: (limit?: number): GrantView[] => this.list(limit),
    }
  }

  /** What was handed out, newest first, by the names that objects have today. */
  list(limit?: number): GrantView[] {
    const renames = appRenames()
    return this.grants.list(limit).map((view) => ({
      ...view,
      noun: renames.nounNow(view.noun),
      ...(view.by !== undefined && { by: renames.labelNow(view.by) }),
      ...(typeof view.holder === 'object' && { holder: { object: renames.labelNow(view.holder.object) } }),
    }))
  }

  /** Narrows the object's own capability. @throws `INVALID_CAVEAT` */
  narrow(reach: RpcTarget, caveats: unknown, key?: string): object {
    return restrict(reach, readGuard(caveats, this.ports, key, reach), this.ports)
  }

  #counter(uses: number, key: string | undefined): UseCounter {
    if (key === undefined || key.length > 100) return countedHere(uses)
    const counter = this.#counters.get(key) ?? countedHere(uses)
    this.#counters.delete(key)
    this.#counters.set(key, counter)
    if (this.#counters.size > countersKept) this.#counters.delete(this.#counters.keys().next().value!)
    return counter
  }
}

function isStub(value: unknown): value is { dup(): object } {
  return typeof value === 'function' && 'dup' in value
}
