/** What the events bench runs in workerd: an object that sends, one that handles, and both without dotdo. */
import { DurableObject, exports } from 'cloudflare:workers'
import { DO } from '../../../src/object/do.ts'

/** Between two: what is written after one is over is not a part of the next. */
const pauseMs = 10

/** Resolves when so many events have been handled. */
interface Waiter {
  count: number
  resolve(): void
}

export const Sender = DO.extend({
  async one(count: number) {
    const receiver = this.Receiver('r')
    const before = await receiver.handled()
    let total = 0
    for (let i = 1; i <= count; i++) {
      const begun = Date.now()
      this.send('Tick.came', { i })
      await receiver.reach(before + i)
      total += Date.now() - begun
      await scheduler.wait(pauseMs)
    }
    return total / count
  },
  burst(from: number, count: number) {
    for (let i = 0; i < count; i++) this.send('Tick.came', { i: from + i, text: 'an event as they are: some words' })
  },
})

export const Receiver = DO.extend({
  count: 0,
  waiters: [] as Waiter[],
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS ticks (i INTEGER, text TEXT)')
    this.Sender('s').on.Tick.came(({ i, text = '' }: { i: number; text?: string }) => {
      this.ctx.storage.sql.exec('INSERT INTO ticks VALUES (?, ?)', i, text)
      this.count++
      for (let first = this.waiters[0]; first && first.count <= this.count; first = this.waiters[0]) this.waiters.shift()!.resolve()
    })
  },
  handled() {
    return this.count
  },
  async reach(count: number) {
    if (this.count < count) await new Promise<void>((resolve) => this.waiters.push({ count, resolve }))
  },
  written(from: number) {
    return this.ctx.storage.sql
      .exec<{ i: number }>('SELECT i FROM ticks WHERE i >= ?', from)
      .toArray()
      .map(({ i }) => i)
  },
  ready() {
    return this.events.subscribed().every(({ state }) => state === 'active')
  },
})

/** The Worker's own classes need no binding. */
const own = exports as unknown as Record<string, DurableObjectNamespace>

export class NativeReceiver extends DurableObject {
  constructor(ctx: DurableObjectState, env: never) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS ticks (i INTEGER, text TEXT)')
  }
  write(i: number): void {
    this.ctx.storage.sql.exec('INSERT INTO ticks VALUES (?, ?)', i, '')
  }
  writeAll(rows: { i: number; text: string }[]): void {
    for (const { i, text } of rows) this.ctx.storage.sql.exec('INSERT INTO ticks VALUES (?, ?)', i, text)
  }
}

export class NativeSender extends DurableObject {
  constructor(ctx: DurableObjectState, env: never) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS ticks (i INTEGER, text TEXT)')
  }
  #receiver() {
    return own['NativeReceiver']!.getByName('r') as unknown as {
      write(i: number): Promise<void>
      writeAll(rows: { i: number; text: string }[]): Promise<void>
    }
  }
  async one(count: number): Promise<number> {
    let total = 0
    for (let i = 0; i < count; i++) {
      const begun = Date.now()
      await this.#receiver().write(i)
      total += Date.now() - begun
      await scheduler.wait(pauseMs)
    }
    return total / count
  }
  async burst(from: number, count: number): Promise<void> {
    const rows = Array.from({ length: count }, (_, i) => ({ i: from + i, text: 'an event as they are: some words' }))
    for (const { i, text } of rows) this.ctx.storage.sql.exec('INSERT INTO ticks VALUES (?, ?)', i, text)
    await this.#receiver().writeAll(rows)
  }
}

interface Ends {
  one(count: number): Promise<number>
  burst(from: number, count: number): Promise<void>
  ready(): Promise<boolean>
  reach(count: number): Promise<void>
  handled(): Promise<number>
  written(from: number): Promise<number[]>
}

export default {
  /**
   * `/one?side=…&count=…`, `/burst?side=…&count=…&turns=…`: does it and answers when the last event has been handled, on disk. `/send?from=…&count=…`: sends,
   * and answers when that is on disk. `/written?from=…`: what was handled.
   */
  async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url)
    const isOurs = searchParams.get('side') === 'ours'
    const count = Number(searchParams.get('count'))
    const at = (noun: string, name: string) => own[noun]!.getByName(name) as unknown as Ends
    const [sender, receiver] = isOurs ? [at('Sender', 's'), at('Receiver', 'r')] : [at('NativeSender', 's'), at('NativeReceiver', 'r')]
    if (pathname === '/ready') return new Response(String(await receiver.ready()))
    const from = Number(searchParams.get('from'))
    if (pathname === '/send') await at('Sender', 's').burst(from, count)
    if (pathname === '/written') return Response.json(await at('Receiver', 'r').written(from))
    if (pathname === '/one') return new Response(String(await sender.one(count)))
    if (pathname === '/burst') {
      const turns = Number(searchParams.get('turns'))
      const before = isOurs ? await receiver.handled() : 0
      for (let turn = 0; turn < turns; turn++) await sender.burst(turn * count, count)
      if (isOurs) await receiver.reach(before + turns * count)
    }
    return new Response('done')
  },
}
