/** Signed webhooks and chats as their receivers see them: what they are asked, how they know who asks, and what becomes of an answer that is none. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { DO, DotdoSystem, serve, type AlertTarget } from '../../src/index.ts'
import { FleetView } from '../../src/object/fleet-view.ts'
import { testApp } from '../../src/testing.ts'
import { outside } from './simulated.ts'

let app: Awaited<ReturnType<typeof testApp>> | undefined
afterEach(() => {
  app?.close()
  vi.restoreAllMocks()
})

const bytes = 'thirty-two bytes of a secret key'
const env = { HOOK_SECRET: `whsec_${btoa(bytes)}`, OPS_CHAT: 'https://chat.example.com/hooks/T0/secret' }
const hook = 'https://hooks.example.com/orders/private-path'

/** What a receiver was asked. */
interface Asked {
  at: number
  url: string
  redirect: string
  headers: Record<string, string>
  body: string
}

/** Whether a receiver that has the secret takes a request for genuine, as the specification of Standard Webhooks says. */
async function isGenuine({ headers, body }: Asked): Promise<boolean> {
  const text = new TextEncoder()
  const key = await crypto.subtle.importKey('raw', text.encode(bytes), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  const signed = text.encode(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`)
  const mac = new Uint8Array(await crypto.subtle.sign('HMAC', key, signed))
  return headers['webhook-signature'] === `v1,${btoa(String.fromCharCode(...mac))}`
}

/** Notes what is asked, and answers with one status after the other, the last from then on. */
function receiver(statuses: number[]): { asked: Asked[]; fetch: (request: Request) => Promise<Response> } {
  const asked: Asked[] = []
  const fetch = async (request: Request): Promise<Response> => {
    const { url, redirect, headers } = request
    asked.push({ at: app!.now, url, redirect, headers: Object.fromEntries(headers), body: await request.text() })
    const status = statuses[Math.min(asked.length, statuses.length) - 1]!
    return new Response(null, { status, ...(status === 302 && { headers: { location: 'https://elsewhere.example.com/' } }) })
  }
  return { asked, fetch }
}

const Shop = DO.extend({
  init() {
    this.on.Order.paid({ webhook: hook, secret: 'HOOK_SECRET' }, { id: 'hook', retries: { limit: 4, delay: '1m', backoff: 'constant' } })
  },
  pay(order: object) {
    return this.send('Order.paid', order)
  },
  dead() {
    return this.events.deadLetters()
  },
})

describe('a signed webhook', () => {
  test('is one event at every attempt, signed anew for its time, and is sent to no address but its own', async () => {
    const { asked, fetch } = receiver([500, 302, 429, 204])
    app = await testApp({ Shop }, { env, fetch })
    const id = await app.Shop('eu').pay({ euros: 12, name: 'Ünal & Söhne "…"' })
    await app.advance('10m')
    expect(asked.map(({ url, redirect, headers }) => [url, redirect, headers['webhook-id']])).toEqual(Array(4).fill([hook, 'manual', id]))
    expect(await Promise.all(asked.map(isGenuine))).toEqual([true, true, true, true])
    expect(asked.map(({ at }) => String(Math.floor(at / 1000)))).toEqual(asked.map(({ headers }) => headers['webhook-timestamp']))
    expect(new Set(asked.map(({ headers }) => headers['webhook-signature'])).size).toBe(4)
    expect(JSON.parse(asked[0]!.body)).toEqual({
      type: 'Order.paid',
      timestamp: '2026-01-01T00:00:00.000Z',
      data: { euros: 12, name: 'Ünal & Söhne "…"' },
    })
    expect(await isGenuine({ ...asked[0]!, body: asked[0]!.body.replace('12', '21') })).toBe(false)
    expect(await app.Shop('eu').dead()).toEqual([])
  })

  test('that is gone for good is asked once; one that refuses is asked as often as is said. The letters tell neither path nor secret', async () => {
    const { asked, fetch } = receiver([410, 503])
    app = await testApp({ Shop }, { env, fetch })
    await app.Shop('eu').pay({ n: 1 })
    await app.advance('10m')
    expect(asked).toHaveLength(1)
    await app.Shop('eu').pay({ n: 2 })
    await app.advance('10m')
    expect(asked).toHaveLength(6)
    const dead = (await app.Shop('eu').dead()) as { attempts: number; error: { code: string; message: string } }[]
    expect(dead.map(({ attempts, error }) => [attempts, error.code])).toEqual([
      [5, 'WEBHOOK_REFUSED'],
      [1, 'WEBHOOK_REFUSED'],
    ])
    expect(JSON.stringify(dead)).toContain('hooks.example.com')
    expect(JSON.stringify(dead)).not.toMatch(/private-path|thirty-two/)
  })

  test('that does not answer is given up after its time; its letter tells neither path nor what the platform says', async () => {
    const at: number[] = []
    const never = (): Promise<Response> => {
      at.push(app!.now)
      return new Promise(() => {})
    }
    app = await testApp({ Shop }, { env, fetch: never })
    await app.Shop('eu').pay({ n: 1 })
    await app.advance('10m')
    // Fifteen seconds for an answer, and a minute and some until it is asked again.
    expect(at).toHaveLength(5)
    for (let i = 1; i < 5; i++) expect(at[i]! - at[i - 1]!).toBeGreaterThanOrEqual(75_000)
    const [dead] = (await app.Shop('eu').dead()) as { error: { code: string; message: string } }[]
    expect(dead?.error).toMatchObject({ code: 'WEBHOOK_UNREACHABLE', data: { host: 'hooks.example.com', timeoutMs: 15_000 } })
  })

  test('that cannot be reached tells only its host: what the platform says may name the whole address', async () => {
    const fetch = (): never => {
      throw new TypeError(`fetch failed: ${hook}`)
    }
    app = await testApp({ Shop }, { env, fetch })
    await app.Shop('eu').pay({ n: 1 })
    await app.advance('10m')
    const dead = (await app.Shop('eu').dead()) as { error: { code: string } }[]
    expect(dead.map(({ error }) => error.code)).toEqual(['WEBHOOK_UNREACHABLE'])
    expect(JSON.stringify(dead)).not.toContain('private-path')
  })

  test.each<[string, UnderlyingSource]>([
    ['breaks', { start: (controller) => controller.error(new Error('broken')) }],
    ['cannot be let go of', { cancel: () => Promise.reject(new Error('no')) }],
    ['is never let go of', { cancel: () => new Promise(() => {}) }],
  ])('that has taken the event has taken it, though the body of its answer %s', async (_, source) => {
    let asked = 0
    app = await testApp({ Shop }, { env, fetch: () => (asked++, new Response(new ReadableStream(source))) })
    await app.Shop('eu').pay({ n: 1 })
    await app.advance('10m')
    expect(asked).toBe(1)
    expect(await app.Shop('eu').dead()).toEqual([])
  })
})

/** Objects whose schedule fails until it is told to go well, or that cannot begin at all. */
const loads = (to: AlertTarget[], start: 'well' | 'never') => ({
  Load: DO.extend({
    init() {
      if (start === 'never') throw new Error('a bad deploy')
      for (const target of to) {
        this.alerts.onFailure(target)
        this.alerts.onLate('1h', target)
        this.alerts.onRecovered(target)
      }
      this.every.day.at('2am')(() => this.load(), { id: 'nightly' })
    },
    async load() {
      await this.do(() => this.read(), { stepId: 'read', retries: { limit: 0 } })
    },
    read() {
      if (!this.ctx.storage.kv.get('fixed')) throw new Error('no such file')
    },
    fix() {
      this.ctx.storage.kv.put('fixed', true)
    },
  }),
  DotdoSystem,
  default: serve({ singletons: { Load: ['eu'] } }),
})

describe('an alert', () => {
  test('reaches a webhook and a chat once each, when a run fails, when it is late, and when both are over', async () => {
    const { asked, fetch } = receiver([200])
    app = await testApp(loads([{ webhook: hook, secret: 'HOOK_SECRET' }, { chat: 'OPS_CHAT' }], 'well'), { env, fetch })
    await app.advance('4h')
    await app.Load('eu').fix()
    await app.advance('1d')
    const [hooks, chats] = [hook, env.OPS_CHAT].map((address) => asked.filter(({ url }) => url === address))
    expect(await Promise.all(hooks!.map(isGenuine))).toEqual([true, true, true, true])
    expect(new Set(hooks!.map(({ headers }) => headers['webhook-id'])).size).toBe(4)
    const payloads = hooks!.map(({ body }) => JSON.parse(body) as { type: string; data: { object: string; text: string } })
    expect(payloads.map(({ type, data }) => [type, data.object])).toEqual([
      ['Alert.failed', 'Load/eu'],
      ['Alert.late', 'Load/eu'],
      ['Alert.recovered', 'Load/eu'],
      ['Alert.recovered', 'Load/eu'],
    ])
    // A chat gets the same in words, and nothing beside them.
    expect(chats!.map(({ body }) => JSON.parse(body) as object)).toEqual(payloads.map(({ data: { text } }) => ({ text })))
    expect(payloads[0]!.data.text).toBe("The schedule 'nightly' of Load/eu failed. no such file")
    // It had failed and it was late: both are over.
    expect(payloads.slice(2).map(({ data: { text } }) => /it (failed|was late)\.$/.exec(text)?.[1])).toEqual(['failed', 'was late'])
  })

  test('for a function of the object itself comes to the one whose rule means it, by schedule and by deadline', async () => {
    const heard: string[] = []
    const note =
      (name: string) =>
      ({ subject }: { subject: { id: string } }) =>
        void heard.push(`${name}: ${subject.id}`)
    const Load = DO.extend({
      init() {
        const nightly = this.every.day.at('2am')(() => this.fail(), { id: 'nightly' })
        this.every.day.at('3am')(() => this.fail(), { id: 'later' })
        this.alerts.onFailure(note('of the one'), { schedule: nightly })
        this.alerts.onFailure(note('of any'))
        this.alerts.onLate('30m', note('soon'), { schedule: 'later' })
        this.alerts.onLate('2h', note('in the end'), { schedule: 'later' })
      },
      async fail() {
        await this.do(() => Promise.reject(new Error('no')), { stepId: 'read', retries: { limit: 0 } })
      },
    })
    app = await testApp({ Load, DotdoSystem, default: serve({ singletons: { Load: ['eu'] } }) }, { env })
    await app.advance('4h')
    expect(heard).toEqual(['of the one: nightly', 'of any: nightly', 'of any: later', 'soon: later'])
    await app.advance('90m')
    expect(heard.slice(4)).toEqual(['in the end: later'])
  })

  test('that a target never takes says so itself, whichever of its targets was told: in the list, and in the log', async () => {
    const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    const fetch = ({ url }: Request) => Promise.resolve(new Response(null, { status: url === hook ? 410 : 200 }))
    app = await testApp(loads([{ webhook: hook, secret: 'HOOK_SECRET' }, { chat: 'OPS_CHAT' }], 'well'), { env, fetch })
    await app.advance('125m')
    const { items } = await new FleetView(outside()).alerts()
    const to = 'webhook hooks.example.com'
    const error = { code: 'WEBHOOK_REFUSED', message: expect.stringContaining('answered 410') as string }
    expect(items).toMatchObject([{ object: 'Load/eu', kind: 'failed', untold: { to, at: expect.any(Number), error } }])
    const texts = logged.mock.calls.map(([text]) => String(text))
    expect(texts).toEqual([expect.stringMatching(/^Nobody could be told at webhook hooks\.example\.com: WEBHOOK_REFUSED: .*no such file$/)])
    expect(JSON.stringify([items, texts])).not.toMatch(/private-path|thirty-two/)
  })

  test('whose target has no binding says so in the same way', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined)
    app = await testApp(loads([{ chat: 'NO_CHAT' }], 'well'), { env })
    await app.advance('4h')
    const { items } = await new FleetView(outside()).alerts({ state: 'open' })
    expect(items.find(({ kind }) => kind === 'failed')).toMatchObject({
      untold: { to: 'chat NO_CHAT', error: { code: 'BINDING_MISSING' } },
    })
  })

  test('comes although the object that should have run cannot even begin: it is late, and the reason is that it does not answer', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined)
    const { asked, fetch } = receiver([200])
    const targets = [{ chat: 'OPS_CHAT' }]
    app = await testApp(loads(targets, 'well'), { env, fetch })
    await app.Load('eu').fix()
    await app.advance('1h')
    await app.deploy(loads(targets, 'never'), { version: 'v2' }).catch(() => undefined)
    await app.advance('2d')
    const texts = asked.map(({ body }) => (JSON.parse(body) as { text: string }).text)
    expect(texts).toEqual([
      expect.stringMatching(/^The schedule 'nightly' of Load\/eu is late: .* The object does not answer: .*a bad deploy/),
    ])
  })
})
