/** An app with something of everything that the command line shows: runs that end well, badly and late, an event that nobody takes, and rows. */
import { codeOf, DO, graph, NonRetryableError, secret, serve, type StepContext } from 'dotdo'

export { DotdoSystem } from 'dotdo'

export const Pipeline = DO.extend({
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS flights (origin TEXT)')
    this.every.day.at('2am')(() => this.count(), { id: 'daily', timeZone: 'Europe/Zurich' })
    this.every.day.at('3am')(() => this.spill(), { id: 'faulty' })
    this.every.day.at('4am')(() => this.linger(), { id: 'slow' })
    this.on.Order.paid(
      () => {
        if (!this.ctx.storage.kv.get('mended')) throw new NonRetryableError('the printer is out of paper', { code: 'NO_PAPER' })
      },
      { id: 'print' },
    )
  },

  async count() {
    await this.do(() => [{ n: 1 }, { n: 2 }], { stepId: 'read' })
    await this.do(() => new Promise((resolve) => setTimeout(resolve, 20)), { stepId: 'write' })
    console.log('counted')
    return { orders: 2 }
  },

  async spill() {
    await this.do(() => 1, { stepId: 'fill' })
    if (this.ctx.storage.kv.get('mended')) return this.do(() => 2, { stepId: 'pour' })
    // What an app says must not be able to write on the terminal.
    await this.do(() => Promise.reject(new NonRetryableError('the milk\nis \u001b[2Jspilled', { code: 'SPILLED' })), { stepId: 'pour' })
  },

  async linger() {
    await this.do(() => new Promise((resolve) => setTimeout(resolve, 60_000)), { stepId: 'wait' })
  },

  /** Uses a secret wherever one could be left. Answers with what became of each. */
  async hide(given: unknown) {
    const key = secret('API_KEY', this.env['API_KEY'])
    const text = key.reveal()
    const once = { retries: { limit: 0 } }
    const tries: Record<string, () => unknown> = {
      result: () => this.do(() => ({ text }), { stepId: 'result', ...once }),
      secret: () => this.do(() => [key], { stepId: 'secret', ...once }),
      stepId: () => this.do(() => 1, { stepId: text, ...once }),
      error: () => this.do(() => Promise.reject(new Error(`GET /?key=${text}`)), { stepId: 'error', ...once }),
      event: () => this.send('Key.told', { text }),
      key: () => this.send('Key.told', {}, { key: text }),
      start: () => this.runs.start('count', [text]),
      tags: () => this.runs.start('count', [], { tags: [text] }),
      graph: () => graph(() => (this as any).Till('t').query_(text)).save(),
      call: () => (this as any).Till('t').query_(key),
      header: () => fetch('https://example.com/', { headers: { authorization: `Bearer ${String(key)}` } }),
    }
    const became: Record<string, string> = { given: typeof given }
    for (const [name, use] of Object.entries(tries)) {
      try {
        await use()
        became[name] = 'done'
      } catch (error) {
        became[name] = codeOf(error) ?? String(error)
      }
    }
    await this.do((step: StepContext) => step.progress({ at: `https://x.example/${text}` }), { stepId: 'progress' })
    console.log(key, String(key), { key })
    return became
  },

  async leak() {
    throw new Error(`it is ${secret('API_KEY', this.env['API_KEY']).reveal()}`)
  },

  order(n: number) {
    this.send('Order.paid', { n })
  },

  mend() {
    this.ctx.storage.kv.put('mended', true)
  },

  query(sql: string) {
    return this.ctx.storage.sql.exec(sql).toArray()
  },
})

/** Has no query, and no schedules. */
export const Till = DO.extend({
  total: 0,
  query_(n: number) {
    return n
  },
})

export default serve({ singletons: { Pipeline: ['main'] } })
