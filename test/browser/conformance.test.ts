/** The conformance suite in a real browser: the same cases over the same ways in as from Node. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { allCases } from '../../packages/dotdo/test/conformance/cases/all.ts'
import { clients, keptOut, type Address } from '../conformance/clients.ts'
import { startWorker, type RunningApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { bundleForPage } from '../support/bundle.ts'
import { findChromium, launchBrowser } from '../support/chromium.ts'

/** What a test's code finds in the page. */
declare const suite: { run(client: string, at: Address, title: string): Promise<string> }

// As from Node: each case has worlds and a connection of its own, and some of its time is waiting. No more than two: see there.
const turn = atOnce(2)

describe.skipIf((await findChromium()) === undefined)('in Chromium', () => {
  let running: RunningApp
  let server: Server
  let browser: Awaited<ReturnType<typeof launchBrowser>>
  let page: Page

  beforeAll(async () => {
    running = await startWorker(fileURLToPath(new URL('../conformance/app/wrangler.toml', import.meta.url)))
    const script = await bundleForPage(new URL('../conformance/page.ts', import.meta.url), 'suite')
    server = createServer((request, response) => {
      const isScript = request.url === '/suite.js'
      response.setHeader('content-type', isScript ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8')
      response.end(isScript ? script : '<!doctype html><link rel="icon" href="data:,"><script src="/suite.js"></script>')
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    browser = await launchBrowser()
    page = await browser.context.newPage()
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  })
  afterAll(async () => {
    await browser?.close()
    server?.close()
    await running?.stop()
  })

  describe.each(Object.keys(clients))('%s', (client) => {
    const titles = allCases.map((it) => `${it.group}: ${it.title}`).filter((title) => !keptOut(client, title))
    test.concurrent.each(titles)('%s', (title) =>
      turn(async () => {
        const at = { url: running.url, token: running.token }
        expect(await page.evaluate(([client, at, title]) => suite.run(client, at, title), [client, at, title] as const)).toBe('passed')
      }),
    )
  })
})
