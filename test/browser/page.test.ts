/** The page over the real app: the one-time link that `npm start` prints, a run before the eyes, a schedule run by hand, a query. */
import { randomBytes } from 'node:crypto'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { signToken } from 'dotdo/tokens'
import { startDemo, until, type RunningApp } from '../support/app.ts'
import { findChromium, launchBrowser } from '../support/chromium.ts'

describe.skipIf((await findChromium()) === undefined)('the page over the running app', () => {
  let demo: RunningApp
  let browser: Awaited<ReturnType<typeof launchBrowser>>
  let page: Page
  const complaints: string[] = []

  beforeAll(async () => {
    demo = await startDemo()
    await demo.app.dotdo.wake()
    browser = await launchBrowser()
    page = await browser.context.newPage()
    page.setDefaultTimeout(30_000)
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(String(error)))
  })
  afterAll(async () => {
    await browser?.close()
    await demo?.stop()
  })

  const link = async () =>
    `${demo.url}#token=${await signToken({ kind: 'once', id: randomBytes(16).toString('hex'), expiresAt: Date.now() + 60_000 }, demo.secret)}`
  const section = (name: string) => page.getByRole('navigation', { name: 'Sections' }).getByRole('link', { name }).click()
  const heading = (name: string | RegExp) => page.getByRole('heading', { name, level: 1 })

  test('a one-time link opens it, once', async () => {
    const address = await link()
    await page.goto(address)
    await heading('Runs').waitFor()
    expect(page.url()).not.toContain('token')

    const other = await browser.context.newPage()
    await other.goto(address)
    await other.getByRole('heading', { name: 'This link has been used' }).waitFor()
    await other.close()
  })

  test('Run now runs the pipeline, and its steps appear as they happen, to the end', async () => {
    await section('Schedules')
    await page.getByText('every day at 02:00').first().waitFor()
    await page
      .getByRole('button', { name: /Run now/ })
      .first()
      .click()
    await section('Runs')
    await page.getByRole('link', { name: /daily/ }).first().click()
    for (const step of ['extract-flights', 'extract-airports', 'enrich-flights', 'load-2001-01-13']) {
      // The list of steps to fork from names them too, and is closed.
      await page.getByText(step).filter({ visible: true }).first().waitFor({ timeout: 60_000 })
    }
    await page
      .getByText(/200,000/)
      .first()
      .waitFor({ timeout: 60_000 })
    // The shards fetch their days in the run of the event.
    const runs = await until(
      'all runs end',
      () => Promise.resolve(demo.app.dotdo.object('Pipeline', 'main').runs()),
      (all) => all.length === 2 && all.every((it) => it.status !== 'running'),
    )
    expect(runs.map((it) => it.status)).toEqual(['done', 'done'])
    await page.getByText('done').first().waitFor()
  })

  test('the run tells its lineage and what its fork would write, and the table who wrote it', async () => {
    const side = (name: string) => page.getByRole('navigation', { name: 'Sides of the run' }).getByRole('link', { name }).click()
    await side('Lineage')
    const drawn = page.getByRole('group', { name: /What leads to what/ })
    await drawn.locator('.node.source').first().waitFor()
    expect(await drawn.locator('.node.snapshot').count()).toBe(13)
    expect(await page.locator('.did dt').first().innerText()).toBe('extract-flights')
    await side('Fork')
    await page.getByLabel('Fork from').selectOption('enrich-flights')
    await page.getByRole('button', { name: 'Dry run' }).click()
    await page.getByText('It would write what the run wrote').waitFor({ timeout: 60_000 })
    await section('Tables')
    await page.getByTitle('Where it comes from').click()
    await page.getByRole('link', { name: 'step load-2001-01-13 of Pipeline/main' }).waitFor()
  })

  test('the table stands on the page with its rows', async () => {
    await section('Tables')
    await page.getByText('analytics.flights').first().waitFor()
    await page.getByText('200,000').first().waitFor()
  })

  test('a query is answered as a table, and a wrong one with a caret', async () => {
    await section('Query')
    const box = page.getByRole('textbox').first()
    await box.fill('SELECT originState, COUNT(*) AS flights FROM flights GROUP BY originState ORDER BY flights DESC LIMIT 5')
    await page.keyboard.press('Control+Enter')
    await page.getByRole('cell', { name: 'CA' }).first().waitFor()
    await box.fill('SELECT FROM flights')
    await page.keyboard.press('Control+Enter')
    await page.getByText('SQL_SYNTAX').first().waitFor()
    expect(await page.locator('pre', { hasText: '^' }).count()).toBeGreaterThan(0)
  })

  test('the browser complained of nothing', () => {
    expect(complaints).toEqual([])
  })
})
