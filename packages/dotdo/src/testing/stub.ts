/** What natively calls an object: the stub of a Durable Object namespace. */

/** What a stub leads to. */
export interface Callee {
  readonly id: DurableObjectId
  /** Calls a method of the exported class. */
  call(method: string, args: unknown[]): Promise<unknown>
}

/** A native stub. Every name on it is a method of the far object, but for a few of its own. */
export class Stub {
  constructor(callee: Callee) {
    const stub: this = new Proxy(this, {
      get(target, property) {
        if (property === 'id') return callee.id
        if (property === 'name') return callee.id.name
        // Bindings live as long as the app: a copy is the same.
        if (property === 'dup') return () => stub
        if (typeof property !== 'string' || property === 'then' || property === 'constructor')
          return Reflect.get(target, property) as unknown
        return (...args: unknown[]) => callee.call(property, args)
      },
    })
    return stub
  }
}
