/** The client in a real browser: the same calls, the same resume, the same batches. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { AnyApp, AppStub, ConnectOptions, LiveEvent } from 'dotdo/client'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startWorker, until, type RunningApp } from '../support/app.ts'
import { bundleForPage } from '../support/bundle.ts'
import { findChromium, launchBrowser } from '../support/chromium.ts'
import { tcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

/** What a test's code finds in the page. */
declare const client: { connect(url: string, options: ConnectOptions): AppStub<AnyApp> }

describe.skipIf((await findChromium()) === undefined)('in Chromium', () => {
  let running: RunningApp
  let proxy: TcpProxy
  let server: Server
  let browser: Awaited<ReturnType<typeof launchBrowser>>
  let page: Page
  const complaints: string[] = []

  beforeAll(async () => {
    running = await startWorker(fileURLToPath(new URL('app/wrangler.toml', import.meta.url)))
    proxy = await tcpProxy(running.url)
    const script = await bundleForPage(new URL('../../packages/dotdo/src/client.ts', import.meta.url), 'client')
    server = createServer((request, response) => {
      const isScript = request.url === '/client.js'
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
      response.end(isScript ? script : '<!doctype html><link rel="icon" href="data:,"><script src="/client.js"></script>')
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    browser = await launchBrowser()
    page = await browser.context.newPage()
    page.on('pageerror', (error) => complaints.push(String(error)))
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  })
  afterAll(async () => {
    await browser?.close()
    server?.close()
    await proxy?.stop()
    await running?.stop()
    expect(complaints).toEqual([])
  })
  const setting = (transport: 'socket' | 'batch' = 'socket') => ({ url: proxy.url, options: { token: running.token, transport } })

  test.each(['socket', 'batch'] as const)('calls, chains, promises as arguments and errors go by %s', async (transport) => {
    const answers = await page.evaluate(async ({ url, options }) => {
      const app = client.connect(url, options)
      const sum = app.Counter(`chromium ${options.transport}`).add(4)
      const answers = await Promise.all([
        sum,
        app.Counter(`chromium other ${options.transport}`).add(sum),
        app.Counter('chromium').next(`chromium last ${options.transport}`).add(2),
        app
          .Counter('chromium')
          .fail()
          .catch((error: { code: string }) => error.code),
      ])
      app.close()
      return answers
    }, setting(transport))
    expect(answers).toEqual([4, 4, 2, 'COUNTER_BROKE'])
  })

  test('a call whose answer was cut off is resumed, and takes effect once', async () => {
    const underWay = page.evaluate(async ({ url, options }) => {
      const seen: string[] = []
      const app = client.connect(url, { ...options, onStatus: (status) => seen.push(status) })
      await app.Counter('chromium cut').value
      const answer = (await app.Counter('chromium cut').addSlowly(5, 800)) as number
      app.close()
      return { answer, seen }
    }, setting())
    await until(
      'it has taken effect',
      () => running.app.Counter('chromium cut').value,
      (it) => it === 5,
    )
    proxy.cut()
    expect(await underWay).toEqual({ answer: 5, seen: ['connecting', 'open', 'lost', 'connecting', 'open', 'closed'] })
    expect(await running.app.Counter('chromium cut').value).toBe(5)
  })

  test('live events that were missed come when the socket stands again', async () => {
    const watching = page.evaluate(async ({ url, options }) => {
      const app = client.connect(url, options)
      const notes: string[] = []
      const seqs: number[] = []
      const events: LiveEvent[] = []
      const ended = Promise.withResolvers<void>()
      app.watch('Runner', 'chromium', {
        event: (event) => {
          events.push(event)
          seqs.push(event.seq - events[0]!.seq)
          if (event.type === 'run.done' && notes.includes('resumed')) ended.resolve()
        },
        refresh: () => notes.push('refresh'),
        lost: () => notes.push('lost'),
        resumed: () => notes.push('resumed'),
      })
      await ended.promise
      app.close()
      return { notes, seqs }
    }, setting())
    const inspector = running.app.dotdo.object('Runner', 'chromium')
    await until(
      'it watches',
      async () => proxy.connections,
      (it) => it >= 2,
    )
    await new Promise((resolve) => setTimeout(resolve, 500))
    const done = async (runId: string) =>
      until(
        'the run ends',
        () => Promise.resolve(inspector.run(runId)),
        (it) => it.status === 'done',
      )
    await done(await inspector.trigger('nightly'))
    proxy.isUp = false
    proxy.cut()
    await done(await inspector.trigger('nightly'))
    proxy.isUp = true
    const { notes, seqs } = await watching
    expect([...new Set(notes)]).toEqual(['refresh', 'lost', 'resumed'])
    expect(notes.filter((it) => it === 'refresh')).toHaveLength(1)
    expect(seqs).toEqual(seqs.map((_, i) => i))
  })
})
