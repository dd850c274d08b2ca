import type { ScanCursor, Scanner, ScanReply, ScanRequest, TableDescription } from '../../../src/sql/scanner.ts'

/** A promise that is settled by hand. */
export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: unknown) => void } {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/**
 * A scanner that counts what is asked of it and what is disposed, and that can be told to misbehave. It stands for an RPC stub: any property that
 * is not of the contract throws.
 */
export class SpyScanner implements Scanner {
  scans = 0
  describes = 0
  nexts = 0
  /** Replies and cursors handed out, and those disposed. */
  handed = 0
  disposed = 0
  requests: ScanRequest[] = []
  #scanner: Scanner
  /** Called before a scan is answered; what it returns is waited for. */
  beforeScan: () => Promise<void> | void = () => {}
  /** Called before a cursor answers. */
  beforeNext: (count: number) => Promise<void> | void = () => {}
  /** Changes a reply on its way. */
  change: (reply: ScanReply) => ScanReply = (reply) => reply

  constructor(scanner: Scanner) {
    this.#scanner = scanner
  }

  /** The scanner as a stub: only the contract's methods exist. */
  get stub(): Scanner {
    return new Proxy(this as Scanner, {
      get: (target, name) => {
        if (name !== 'scan' && name !== 'describe') throw new Error(`a stub was touched at ${String(name)}`)
        return target[name].bind(target)
      },
      getPrototypeOf: () => Function.prototype,
    })
  }

  async describe(): Promise<TableDescription[]> {
    this.describes++
    return this.#scanner.describe()
  }

  async scan(request: ScanRequest): Promise<ScanReply> {
    this.scans++
    this.requests.push(request)
    await this.beforeScan()
    return this.#handOut(this.change(await this.#scanner.scan(request)))
  }

  #handOut(reply: ScanReply): ScanReply {
    this.handed++
    let disposed = false
    const tracked: ScanReply & Disposable = {
      ...reply,
      [Symbol.dispose]: () => {
        if (!disposed) this.disposed++
        disposed = true
      },
    }
    if (reply.cursor) tracked.cursor = this.#cursor(reply.cursor)
    return tracked
  }

  #cursor(cursor: ScanCursor): ScanCursor {
    this.handed++
    let disposed = false
    return {
      next: async () => {
        await this.beforeNext(++this.nexts)
        const reply = await cursor.next()
        return reply && this.#handOut(this.change(reply))
      },
      [Symbol.dispose]: () => {
        if (!disposed) this.disposed++
        disposed = true
        cursor[Symbol.dispose]?.()
      },
    }
  }
}

/** Lets everything that is ready run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve()
}
