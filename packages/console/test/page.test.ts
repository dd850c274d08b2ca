import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findChromium, launchBrowser } from '../../../test/support/chromium.ts'
import { startFakeApp, type FakeApp } from './fake-app.ts'
import { answerOf } from './fake-query.ts'
import { doneSteps, heldRun, runningRun } from './fake-runs.ts'

describe.skipIf((await findChromium()) === undefined)('the page in a browser', () => {
  let browser: Awaited<ReturnType<typeof launchBrowser>>
  let dist: string
  let app: FakeApp
  let page: Page
  /** What the browser complained of: nothing may. */
  let complaints: string[]
  /** Addresses of other origins that were asked for. */
  let strangers: string[]

  beforeAll(async () => {
    dist = await mkdtemp(join(tmpdir(), 'dotdo-console-'))
    await build({
      configFile: fileURLToPath(new URL('../vite.config.ts', import.meta.url)),
      logLevel: 'warn',
      build: { outDir: dist, emptyOutDir: true },
    })
    browser = await launchBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    await rm(dist, { recursive: true, force: true })
  })
  beforeEach(async () => {
    app = await startFakeApp(dist)
    app.pipeline.query = answerOf
    page = await browser.context.newPage()
    page.setDefaultTimeout(15_000)
    complaints = []
    strangers = []
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(String(error)))
    page.on(
      'request',
      (request) => !/^(data:|blob:)/.test(request.url()) && !request.url().startsWith(app.url) && strangers.push(request.url()),
    )
  })
  afterEach(async () => {
    await page.close()
    await app.close()
    expect(strangers).toEqual([])
  })

  const enter = async (hash = '') => {
    await page.goto(app.link())
    await page.getByRole('heading', { name: 'Runs' }).waitFor()
    if (hash !== '') await page.goto(app.url + hash)
  }
  const heading = (name: string | RegExp) => page.getByRole('heading', { name, level: 1 })
  const seen = (text: string | RegExp) => page.getByText(text).first().waitFor()

  test('a link opens the page, leaves the address, and lasts for the tab', async () => {
    await enter()
    expect(page.url()).toBe(`${app.url}#/Pipeline/main/runs`)
    await page.reload()
    await heading('Runs').waitFor()
    expect(complaints).toEqual([])
  })

  test.each([
    ['#token=once-99', 'This link is not valid'],
    ['#token=old', 'This link has expired'],
    ['', 'This page opens with a link'],
  ])('%j says: %s', async (hash, title) => {
    await page.goto(app.url + hash)
    await heading(title).waitFor()
    await seen('npm start')
    expect(page.url()).not.toContain('token=')
  })

  test('a link that was used says so, and a pasted one opens the page', async () => {
    const link = app.link()
    await page.goto(link)
    await heading('Runs').waitFor()
    await page.evaluate(() => sessionStorage.clear())
    await page.goto('about:blank')
    await page.goto(link)
    await heading('This link has been used').waitFor()
    const box = page.getByLabel('Or paste the link here')
    await box.fill('nonsense')
    await page.keyboard.press('Enter')
    await seen('That is no link to this page')
    await box.fill(app.link())
    await page.keyboard.press('Enter')
    await heading('Runs').waitFor()
  })

  test('a session that the app does not know any more ends with words', async () => {
    await enter()
    // Everything is quiet: it is the subscription that notices.
    await seen('Live')
    await page.waitForTimeout(200)
    app.endSessions()
    app.cut()
    await heading('The session has ended').waitFor()
  })

  test('a run grows before the eyes: started, steps side by side, retried, done', async () => {
    await enter()
    const from = Date.now()
    const [users, events] = doneSteps(from)
    app.pipeline.change(
      { runId: 'r1', target: { kind: 'method', name: 'goNow' }, status: 'running', attempt: 1, startedAt: from, steps: [] },
      'run.started',
    )
    await page.getByRole('link', { name: /running goNow\(\)/ }).click()
    await heading('goNow()').waitFor()
    await seen('No step has started yet')
    const step = (name: string) => page.getByRole('button', { name })
    app.pipeline.emit({
      type: 'step.started',
      runId: 'r1',
      step: { stepId: 'extract-users', status: 'running', attempt: 1, startedAt: from + 10 },
    })
    app.pipeline.emit({
      type: 'step.started',
      runId: 'r1',
      step: { stepId: 'extract-events', status: 'running', attempt: 1, startedAt: from + 12 },
    })
    await step('running extract-users').waitFor()
    const width = async () => (await page.locator('.bar.running').first().boundingBox())!.width
    // Bars grow between the events. The axis may take a step meanwhile, so that what counts is the share of the picture that the clock adds.
    const took = page.locator('.run-facts dd').first()
    const before = await took.textContent()
    await expect.poll(() => took.textContent()).not.toBe(before)
    expect(await width()).toBeGreaterThan(0)
    app.pipeline.emit({
      type: 'step.progress',
      runId: 'r1',
      step: { stepId: 'extract-events', status: 'running', attempt: 1, startedAt: from + 12, progress: { rows: 80_000, bytes: 7_400_000 } },
    })
    await seen(/80,000 rows · 7.4 MB/)
    app.pipeline.emit({
      type: 'step.retrying',
      runId: 'r1',
      step: {
        stepId: 'extract-events',
        status: 'waiting',
        attempt: 1,
        startedAt: from + 12,
        nextAttemptAt: Date.now() + 30_000,
        error: { name: 'Error', code: 'SOURCE_UNAVAILABLE', message: 'It answered 503.' },
      },
    })
    await seen(/next attempt in \d+ s/)
    app.pipeline.emit({ type: 'step.done', runId: 'r1', step: users! })
    app.pipeline.emit({ type: 'step.done', runId: 'r1', step: events! })
    await seen('attempt 3')
    const done = {
      ...app.pipeline.runs[0]!,
      status: 'done' as const,
      endedAt: from + 4300,
      steps: [users!, events!],
      result: { text: '{"records":7}', sizeBytes: 13 },
    }
    app.pipeline.change(done, 'run.done')
    await seen('"records": 7')
    await seen('4.3 s')
    expect(await page.getByRole('button', { name: 'Cancel run' }).count()).toBe(0)
    // Parallel steps lie over one another: each begins before the other ends.
    const bars = await page
      .locator('.track .bar.done')
      .evaluateAll((all) => all.map((bar) => bar.getBoundingClientRect()).map(({ left, right }) => [left, right]))
    expect(bars[0]![0]!).toBeLessThan(bars[1]![1]!)
    expect(bars[1]![0]!).toBeLessThan(bars[0]![1]!)
    expect(complaints).toEqual([])
  })

  test('after a lost connection the page reads what it missed', async () => {
    await enter()
    await seen('Live')
    app.isDown = true
    app.cut()
    await seen('Reconnecting')
    const { status: _, ...target } = { ...app.pipeline.runs[1]! }
    app.pipeline.runs.unshift({
      ...target,
      runId: 'missed',
      status: 'failed',
      target: { kind: 'method', name: 'missedOne' },
      startedAt: Date.now(),
    })
    app.isDown = false
    await seen('missedOne()')
    await seen('Live')
  })

  test('a failed run tells code, message and values, and so does its step', async () => {
    await enter('#/Pipeline/main/runs/daily%40failed')
    const error = page.getByRole('alert')
    await error.first().waitFor()
    expect(await error.first().innerText()).toContain('SOURCE_NOT_FOUND')
    expect(await error.first().innerText()).toContain('answered 404. See that the address is right')
    await error.first().getByText('Values').click()
    await seen('"status": 404')
    await page.getByRole('button', { name: 'failed extract-products attempt 2' }).click()
    await expect.poll(() => error.count()).toBe(2)
  })

  test('a step shows its attempts, its result and where it is, and one at a time is open', async () => {
    await enter('#/Pipeline/main/runs/daily%40done')
    const step = page.getByRole('button', { name: 'extract-events' })
    await step.click()
    expect(await step.getAttribute('aria-expanded')).toBe('true')
    await seen('200,000 rows · 18.4 MB · beginning shown')
    await seen('s3://lake/events/2026-11-22.ndjson')
    await page.getByRole('button', { name: 'load' }).click()
    expect(await step.getAttribute('aria-expanded')).toBe('false')
  })

  test('a running run is cancelled in two presses', async () => {
    app.pipeline.runs.unshift(runningRun('r2', Date.now() - 5000))
    await enter('#/Pipeline/main/runs/r2')
    await page.getByRole('button', { name: 'Cancel run' }).click()
    await page.getByRole('button', { name: 'Keep running' }).click()
    expect(app.pipeline.calls).toEqual([])
    await page.getByRole('button', { name: 'Cancel run' }).click()
    await page.getByRole('button', { name: 'Really cancel' }).click()
    await seen('RUN_CANCELLED')
    expect(app.pipeline.calls).toEqual(['cancel r2'])
  })

  test('a run that is not there is an error in words, beside a way back', async () => {
    await enter('#/Pipeline/main/runs/gone')
    await seen('This run cannot be shown')
    await seen('RUN_UNKNOWN')
    await page.getByRole('link', { name: 'All runs' }).click()
    await heading('Runs').waitFor()
  })

  test('an object that is not there is an error in words', async () => {
    await enter('#/Pipeline/other/runs')
    await seen('Pipeline/other could not be read')
    await seen('NOUN_UNKNOWN')
  })

  test('older runs come by pages, until there are no more', async () => {
    await enter()
    const rows = page.getByRole('list', { name: 'Runs, newest first' }).getByRole('listitem')
    await expect.poll(() => rows.count()).toBe(50)
    await page.getByRole('button', { name: 'Show older runs' }).click()
    await expect.poll(() => rows.count()).toBe(64)
    expect(await page.getByRole('button', { name: 'Show older runs' }).count()).toBe(0)
  })

  test('back and forward go where they went', async () => {
    await enter()
    await page.getByRole('link', { name: /failed schedule daily/ }).click()
    await seen('Why it failed')
    await page.getByRole('link', { name: 'Schedules' }).click()
    await heading('Schedules').waitFor()
    await page.goBack()
    await seen('Why it failed')
    await page.goBack()
    await heading('Runs').waitFor()
    await page.goForward()
    await seen('Why it failed')
    await page.getByLabel('Object').selectOption('Report/weekly')
    await seen('No runs yet')
    expect(page.url()).toBe(`${app.url}#/Report/weekly/runs`)
  })

  test('a schedule tells its next instants, runs now, and pauses', async () => {
    await enter('#/Pipeline/main/schedules')
    const daily = page.getByRole('listitem').filter({ hasText: 'every day at 02:00' }).first()
    expect(await daily.locator('.instants li').count()).toBe(5)
    expect(await daily.innerText()).toMatch(/Europe\/Berlin/)
    expect(await daily.innerText()).toContain('1,000 requests, 1 h')
    await daily.getByRole('button', { name: 'Pause' }).click()
    await daily.getByText('Paused: it fires again after Resume.').waitFor()
    await daily.getByRole('button', { name: 'Resume' }).click()
    await daily.locator('.instants').waitFor()
    await daily.getByRole('button', { name: 'Run now' }).click()
    await heading('schedule daily').waitFor()
    await seen('running')
    expect(app.pipeline.calls).toEqual(['pause daily', 'resume daily', 'trigger daily'])
    expect(decodeURIComponent(page.url())).toContain('/runs/daily@manual-3')
  })

  test('a run that keeps its object busy is shown from its events, before the object answers', async () => {
    await enter('#/Pipeline/main/schedules')
    await seen('Live')
    const gate = Promise.withResolvers<void>()
    app.pipeline.busy = gate.promise
    await page.getByRole('button', { name: 'Run now' }).first().click()
    await heading('schedule daily').waitFor()
    const [runId, at] = [app.pipeline.runs[0]!.runId, Date.now()]
    app.pipeline.emit({ type: 'step.started', runId, step: { stepId: 'crunch', status: 'running', attempt: 1, startedAt: at } })
    await page.getByRole('button', { name: 'running crunch' }).waitFor()
    app.pipeline.runs[0]!.steps = [{ stepId: 'crunch', status: 'done', attempt: 1, startedAt: at, endedAt: at + 5 }]
    gate.resolve()
    await page.getByRole('button', { name: 'done crunch' }).waitFor()
    await page.getByRole('link', { name: 'Schedules' }).click()
    await page.getByRole('link', { name: /^for \d/ }).waitFor()
  })

  test('a query shows rows and bars, of the columns that were chosen', async () => {
    await enter('#/Pipeline/main/query')
    await page.getByLabel('SQL').fill('SELECT state, COUNT(*) AS n FROM events GROUP BY state')
    await page.keyboard.press('Control+Enter')
    await seen(/9 rows in \d+ ms/)
    expect(await page.getByRole('cell').allInnerTexts()).toContain('24000')
    await page.getByRole('img', { name: 'Bars of n by state' }).waitFor()
    await page.getByRole('combobox', { name: /^Bars of/ }).selectOption('meanDelay')
    await page.getByRole('img', { name: 'Bars of meanDelay by state' }).waitFor()
    expect(complaints).toEqual([])
  })

  test('a query over time is a line, one over nothing says so, and many rows are bounded', async () => {
    await enter('#/Pipeline/main/query')
    const ask = async (sql: string) => {
      await page.getByLabel('SQL').fill(sql)
      await page.getByRole('button', { name: 'Run query' }).click()
    }
    await ask('SELECT day, n FROM events')
    await page.getByRole('img', { name: 'Line of n over day' }).waitFor()
    await ask('SELECT nothing')
    await seen('No rows')
    await ask('SELECT many')
    await seen(/The first 1,000 of 2,500 rows/)
    expect(await page.locator('tbody tr').count()).toBe(1000)
    await page.reload()
    expect(await page.getByLabel('SQL').inputValue()).toBe('SELECT many')
  })

  test('SQL that does not parse shows its place, and the next query works', async () => {
    await enter('#/Pipeline/main/query')
    await page.getByLabel('SQL').fill('SELEC 1')
    await page.keyboard.press('Control+Enter')
    await seen('SQL_SYNTAX')
    const picture = page.getByLabel('Where in the text')
    expect(await picture.textContent()).toBe('  SELEC 1\n  ^')
    expect(await picture.evaluate((element) => getComputedStyle(element).fontFamily)).toContain('mono')
    await page.getByLabel('SQL').fill('SELECT day')
    await page.keyboard.press('Control+Enter')
    await seen(/14 rows/)
    expect(await page.getByText('SQL_SYNTAX').count()).toBe(0)
  })

  test('queries that the object proposes are a press away, and an object without query says so', async () => {
    app.pipeline.examples = ['SELECT day FROM events']
    await enter('#/Pipeline/main/query')
    await page.getByRole('button', { name: 'SELECT day FROM events' }).click()
    await seen(/14 rows/)
    await page.getByLabel('Object').selectOption('Report/weekly')
    await seen('Report/weekly takes no queries')
  })

  test('tables tell their snapshot, and one without a snapshot says never', async () => {
    await enter('#/tables')
    const table = page.getByRole('listitem').filter({ hasText: 'analytics.events' })
    expect(await table.innerText()).toMatch(/1,200,000[\s\S]*13[\s\S]*7\.2 MB[\s\S]*4673773188832083/)
    expect(await page.getByRole('listitem').filter({ hasText: 'analytics.sessions' }).innerText()).toContain('never')
    app.tables.length = 0
    await page.getByRole('button', { name: 'Read again' }).click()
    await seen('No tables yet')
  })

  test('everything is reached by keyboard, and the focus is seen', async () => {
    await enter('#/Pipeline/main/runs/daily%40done')
    const first = page.getByRole('button', { name: 'extract-users' })
    await first.focus()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    expect(await page.getByRole('button', { name: 'extract-events' }).getAttribute('aria-expanded')).toBe('true')
    await page.keyboard.press('End')
    expect(await page.evaluate(() => document.activeElement?.textContent)).toContain('load')
    await page.keyboard.press('Home')
    expect(await page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle)).toBe('solid')
    // From the top, Tab meets the skip link, the home link, the picker and the tabs in this order.
    await page.evaluate(() => (document.activeElement as HTMLElement).blur())
    await page.goto(`${app.url}#/Pipeline/main/schedules`)
    await heading('Schedules').waitFor()
    const order = await page
      .locator('a, select, button')
      .evaluateAll((all) => all.slice(0, 7).map((element) => element.getAttribute('aria-label') ?? element.textContent?.trim()))
    expect([order[0], order[1], ...order.slice(3)]).toEqual(['Skip to the content', 'dotdo: home', 'Fleet', 'Runs', 'Schedules', 'Query'])
    // A new place has the focus at its beginning.
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('main')
  })

  test.each([360, 390, 768, 1280, 1920])('no view is wider than a window of %d pixels', async (width) => {
    app.pipeline.runs.unshift(runningRun(`daily@2026-11-22T23:40:23.841Z.manual_01m82t3qd1h7mb4zjhf6e7783c`, Date.now() - 5000))
    app.pipeline.examples = ['SELECT state, COUNT(*) AS n, AVG(delay) AS meanDelay FROM events GROUP BY state ORDER BY n DESC']
    await page.setViewportSize({ width, height: 800 })
    await enter()
    const places = ['runs', `runs/${encodeURIComponent(app.pipeline.runs[0]!.runId)}`, 'runs/daily%40failed', 'schedules', 'query'].map(
      (place) => `#/Pipeline/main/${place}`,
    )
    for (const hash of [
      ...places,
      '#/Pipeline/main/runs/daily%40done/lineage',
      '#/tables/analytics.events',
      '#/tables',
      '#/fleet/runs',
      '#/fleet/alerts',
      '#/Report/weekly/runs',
    ]) {
      await page.goto(app.url + hash)
      await page.locator('.card, .rows, .timeline, .query, .empty').first().waitFor()
      if (hash.endsWith('query')) {
        await page.getByLabel('SQL').fill('SELEC a_very_long_name_that_cannot_be_broken_anywhere_at_all_and_goes_on_and_on FROM events')
        await page.keyboard.press('Control+Enter')
        await seen('SQL_SYNTAX')
      }
      expect([hash, await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)]).toEqual([
        hash,
        0,
      ])
    }
  })

  test('the fleet shows its numbers, and runs of all objects by pages and by state, each of which leads to its object', async () => {
    await enter()
    await page.getByRole('link', { name: 'Fleet' }).click()
    await heading('Fleet').waitFor()
    const figure = (label: string) => page.locator('.figures li', { hasText: label }).locator('b')
    await expect.poll(() => figure('objects').textContent()).toBe('1,204')
    expect(await figure('late').textContent()).toContain('!')
    expect(await page.locator('.fleet-row.columns').innerText()).toMatch(/^Status\s+What\s+Started, took$/)
    const rows = page.locator('li.fleet-row')
    await expect.poll(() => rows.count()).toBe(50)
    await page.getByRole('button', { name: 'Show more' }).click()
    await expect.poll(() => rows.count()).toBe(70)
    // They stay: nothing that is read meanwhile takes them back.
    await page.waitForTimeout(300)
    expect(await rows.count()).toBe(70)
    await page.getByLabel('State').selectOption('failed')
    await expect.poll(() => rows.count()).toBe(1)
    expect(app.fleet.asked).toContain('runs failed')
    await rows.getByRole('button', { name: 'Retry' }).click()
    await expect.poll(() => app.pipeline.calls).toContain('retry daily@failed')
    await rows.getByRole('link').first().click()
    await heading(/schedule daily/).waitFor()
    expect(page.url()).toBe(`${app.url}#/Pipeline/main/runs/daily%40failed`)
    expect(complaints).toEqual([])
  })

  test('the list of runs is narrowed by tag and time, which stand in the address, and a number leads to what it counts', async () => {
    await enter('#/fleet/runs')
    const rows = page.locator('li.fleet-row')
    await expect.poll(() => rows.count()).toBe(50)
    // A tag in a row leads to all that have it.
    await page.getByRole('link', { name: 'backlog' }).click()
    await expect.poll(() => rows.count()).toBe(1)
    expect(await page.getByLabel('Tag').inputValue()).toBe('backlog')
    await page.getByLabel('Tag').fill('nobody')
    await page.getByLabel('Tag').press('Enter')
    await seen('No runs like that')
    expect(await page.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('Tag')
    await page.getByRole('link', { name: 'Show all' }).click()
    await expect.poll(() => rows.count()).toBe(50)
    await page.getByLabel('Time').selectOption('last hour')
    await expect.poll(() => rows.count()).toBe(9)
    expect(page.url()).toBe(`${app.url}#/fleet/runs?since=1h`)
    await page.getByLabel('Time').selectOption('between…')
    await page.getByLabel('from').fill('2026-01-01T00:00')
    await page.getByLabel('until').fill('2026-01-02T00:00')
    await expect.poll(() => page.url()).toMatch(/runs\?since=2026-01-01T\d\d%3A\d\dZ&until=2026-01-0\dT\d\d%3A\d\dZ$/)
    await seen('No runs like that')
    await page.locator('.figures li', { hasText: 'failed today' }).getByRole('link').click()
    await expect.poll(() => page.url()).toBe(`${app.url}#/fleet/runs?state=failed&since=1d`)
    await expect.poll(() => rows.count()).toBe(1)
    expect(complaints).toEqual([])
  })

  test('schedules, alerts and dead letters of the fleet say what is wrong, and are acted on where they stand', async () => {
    await enter('#/fleet/schedules')
    await seen('late since')
    await seen('failed 3×')
    const row = (text: string) => page.locator('li.fleet-row', { hasText: text })
    await row('Pipeline/main').getByRole('button', { name: 'Pause' }).click()
    await expect.poll(() => app.pipeline.calls).toContain('pause daily')
    // Its windows are read of the object when they are opened, and filled where they stand.
    await row('Pipeline/main').getByText('Windows').click()
    await row('Pipeline/main').getByText('9 done · 2 missing · 1 failed · 1 stale · 1 running').waitFor()
    await row('Pipeline/main').getByRole('button', { name: 'Backfill 4' }).click()
    await expect.poll(() => app.pipeline.calls.some((call) => call.startsWith('backfill daily'))).toBe(true)
    await page.getByRole('link', { name: 'Alerts', exact: true }).click()
    await seen('The object does not answer')
    await seen('nobody could be told at chat OPS_CHAT: BINDING_MISSING')
    await seen(/due .*, within 1 h/)
    await page.getByRole('link', { name: 'Dead letters', exact: true }).click()
    await row('Pipeline.completed').getByRole('button', { name: 'Replay' }).click()
    await expect.poll(() => app.pipeline.calls).toContain('replay evt_2:https')
    // What cannot be taken back is asked for twice.
    await row('Pipeline.completed').getByRole('button', { name: 'Discard' }).click()
    expect(app.pipeline.calls).not.toContain('discard evt_2:https')
    await row('Pipeline.completed').getByRole('button', { name: 'Really discard' }).click()
    await expect.poll(() => app.pipeline.calls).toContain('discard evt_2:https')
    expect(complaints).toEqual([])
  })

  test('windows of a schedule are shown with their states, and those that are open are filled', async () => {
    await enter('#/Pipeline/main/schedules')
    await page.getByText('Windows').first().click()
    await seen('9 done · 2 missing · 1 failed · 1 stale · 1 running')
    await page.getByRole('button', { name: 'Backfill 4' }).click()
    await expect.poll(() => app.pipeline.calls.some((call) => call.startsWith('backfill daily'))).toBe(true)
    await seen('9 done · 5 running')
    // How far it is is asked again and again, until it has ended.
    const backfill = page.getByRole('list', { name: 'Backfills, newest first' }).getByRole('listitem').first()
    await backfill.getByText('9 of 14 windows · 0 done · 4 running').waitFor()
    Object.assign(app.pipeline.backfills[0]!, { done: 2, running: 3 })
    await backfill.getByText('11 of 14 windows · 2 done · 3 running').waitFor()
    await backfill.getByRole('button', { name: 'Cancel backfill' }).click()
    await backfill.getByText('2 done · 3 cancelled').waitFor()
    expect(app.pipeline.calls).toContain('cancel backfill_1')
    expect(await backfill.getByRole('button').count()).toBe(0)
  })

  test('windows that are more than are read at once say so, in the place of looking like all', async () => {
    app.pipeline.hasMoreWindows = true
    await enter('#/Pipeline/main/schedules')
    await page.getByText('Windows').first().click()
    await seen('these are the first 14 of that time, and there are more')
    await page.getByRole('button', { name: 'Backfill all' }).waitFor()
  })

  test('a run that has ended is taken up again, and forked from one of its steps', async () => {
    await enter('#/Pipeline/main/runs/daily%40done')
    await page.getByRole('link', { name: 'Fork', exact: true }).click()
    await page.getByLabel('Fork from').selectOption('load')
    await page.getByRole('button', { name: 'Fork now' }).click()
    await expect.poll(() => page.url()).toBe(`${app.url}#/Pipeline/main/runs/forked`)
    expect(app.pipeline.calls).toContain('fork daily@done load')
    await page.getByText('Forked from').waitFor()
    // It runs: what is under way cannot be forked.
    expect(await page.getByRole('link', { name: 'Fork', exact: true }).count()).toBe(0)
    await page.goto(`${app.url}#/Pipeline/main/runs/daily%40failed`)
    await page.getByRole('button', { name: 'Retry' }).click()
    await seen('Cancel run')
    expect(app.pipeline.calls).toContain('retry daily@failed')
  })

  test('a dry run tells what a fork would write, in words and data, and what it does not cover; another step is another fork', async () => {
    await enter('#/Pipeline/main/runs/daily%40done/fork')
    await page.getByRole('button', { name: 'Dry run' }).click()
    await heading('schedule daily').waitFor()
    await seen('It would write 5 things otherwise')
    const step = (name: string) => page.getByRole('list', { name: 'Steps of the fork' }).locator(':scope > li', { hasText: name })
    expect(await step('enrich-events').innerText()).toMatch(/was called Geo\/eu\.lookUp ×12[\s\S]*Wien[\s\S]*would be[\s\S]*Genève/)
    expect(await step('enrich-events').innerText()).toMatch(/Geo\/eu would write sql INSERT INTO seen: 2 rows not compared/)
    expect(await step('load').innerText()).toMatch(/new wrote R2_BUCKET\/analytics\.rejected, 17 rows/)
    expect(await step('between steps').innerText()).toMatch(/gone requested POST https:\/\/hooks/)
    expect(await page.getByRole('list', { name: 'What the dry run does not cover' }).innerText()).toContain('env.AUDIT 2 times')
    expect(app.pipeline.calls).toEqual(['rehearse daily@done '])
    await page.getByLabel('Fork from').selectOption('load')
    await expect.poll(() => page.getByText('It would write 5 things').count()).toBe(0)
    await page.getByRole('button', { name: 'Dry run' }).click()
    await seen('It would write what the run wrote')
    expect(await step('extract-users').innerText()).toContain('kept')
    expect(complaints).toEqual([])
  })

  test('a fork of a run that ran with other code is asked for once more', async () => {
    app.pipeline.isOtherCode = true
    await enter('#/Pipeline/main/runs/daily%40failed/fork')
    await page.getByRole('button', { name: 'Fork now' }).click()
    await seen('RUN_VERSION_CHANGED')
    await page.getByRole('button', { name: 'Fork with the code of now' }).click()
    await expect.poll(() => page.url()).toBe(`${app.url}#/Pipeline/main/runs/forked`)
  })

  test('a run that a deploy has held tells what the new code changes for it, and goes on when that is accepted', async () => {
    app.pipeline.runs.unshift(heldRun('h1', Date.now() - 7_200_000))
    await enter('#/Pipeline/main/runs/h1')
    await seen('Why it is held')
    await page.getByRole('button', { name: 'What changed?' }).click()
    await seen(/began with version 41, version 42 runs now/)
    const changed = page.getByRole('list', { name: 'What changed, by step' }).getByRole('listitem')
    expect(await changed.allInnerTexts()).toEqual([
      expect.stringMatching(/^\+\s+check, mail new$/),
      expect.stringMatching(/^−\s+count done, and the new code does without$/),
      expect.stringMatching(/^·\s+load to come$/),
      expect.stringMatching(/^·\s+extract-users done, and stays so$/),
    ])
    // What is done is not written again, nor taken back: it is no part of what is left.
    await seen('What is left would write 2 things')
    const left = page.getByRole('list', { name: 'Steps of the dry run' })
    expect(await left.innerText()).toMatch(/load\s+to come\s+\+\s+new wrote R2_BUCKET\/analytics\.events, 200,000 rows/)
    expect(await left.innerText()).not.toContain('analytics.counts')
    expect(app.pipeline.calls).toEqual(['look at h1'])
    await page.getByRole('button', { name: 'Go on' }).click()
    await seen('running')
    await expect.poll(() => page.getByRole('button', { name: 'What changed?' }).count()).toBe(0)
    expect(app.pipeline.calls).toEqual(['look at h1', 'accept h1'])
    expect(complaints).toEqual([])
  })

  test('what changed is an error in words where it cannot be told, and a run that is held can be cancelled', async () => {
    const { input: _, ...held } = heldRun('h2', Date.now() - 7_200_000)
    app.pipeline.runs.unshift(held)
    await enter('#/Pipeline/main/runs/h2')
    await page.getByRole('button', { name: 'What changed?' }).click()
    await seen('RUN_NOT_RESUMABLE')
    await page.getByRole('button', { name: 'Cancel run' }).click()
    await page.getByRole('button', { name: 'Really cancel' }).click()
    await seen('RUN_CANCELLED')
    expect(app.pipeline.calls).toEqual(['look at h2', 'cancel h2'])
  })

  test('the lineage of a run is a drawing and a list that lead on, and files to take away', async () => {
    await enter('#/Pipeline/main/runs/daily%40done')
    await page.getByRole('link', { name: 'Lineage' }).click()
    const canvas = page.getByRole('group', { name: /What leads to what/ })
    await canvas.getByRole('link', { name: 'run of Report/weekly: refreshAll()' }).waitFor()
    expect(await canvas.locator('.node').count()).toBe(16)
    const did = page.getByRole('region', { name: 'schedule daily of Pipeline/main' })
    expect(await did.locator('dt').allInnerTexts()).toEqual(['extract-users', 'extract-events', 'enrich-events', 'load', 'between steps'])
    const saved = page.waitForEvent('download')
    await page.getByRole('button', { name: 'OpenLineage' }).click()
    const file = await saved
    expect(file.suggestedFilename()).toBe('daily@done.openlineage.ndjson')
    const text = await readFile((await file.path())!, 'utf8')
    const events = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { eventType: string; job: { name: string } })
    expect(events.map(({ job }) => job.name)).toContain('Pipeline/main.daily.load')
    await did.getByRole('link', { name: /^wrote R2_BUCKET/ }).click()
    await heading('analytics.events').waitFor()
    expect(page.url()).toBe(`${app.url}#/tables/analytics.events/4673773188832083/R2_BUCKET`)
    await page.getByRole('link', { name: 'step load of Pipeline/main' }).click()
    await heading('schedule daily').waitFor()
    expect(complaints).toEqual([])
  })

  test('a snapshot leads from its table to who wrote it; a table that is not there is an error in words', async () => {
    await enter('#/tables')
    await page.getByRole('link', { name: '4673773188832083' }).click()
    await heading('analytics.events').waitFor()
    await seen('events of 2026-11-22')
    await page.goto(`${app.url}#/tables/analytics.gone`)
    await seen('The lineage of analytics.gone could not be read')
    await seen('TABLE_NOT_FOUND')
  })

  test('nothing moves while a run goes on', async () => {
    app.pipeline.runs.unshift(runningRun('r3', Date.now() - 5000))
    await enter('#/Pipeline/main/runs/r3')
    await page.getByRole('button', { name: 'running extract-events' }).waitFor()
    const shift = await page.evaluate(
      () =>
        new Promise<number>((resolve) => {
          let sum = 0
          const observer = new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) sum += (entry as unknown as { value: number }).value
          })
          observer.observe({ type: 'layout-shift' })
          setTimeout(() => resolve(sum), 1500)
        }),
    )
    expect(shift).toBeLessThan(0.005)
  })
})
