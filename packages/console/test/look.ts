/** Takes pictures of every view of the fake app, in light and dark, wide and narrow: `node packages/console/test/look.ts FOLDER`. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { launchBrowser } from '../../../test/support/chromium.ts'
import { startFakeApp } from './fake-app.ts'
import { heldRun, runningRun } from './fake-runs.ts'
import { answerOf } from './fake-query.ts'

const folder = process.argv[2] ?? '.dotdo/console-pictures'
const app = await startFakeApp()
app.pipeline.runs.unshift(runningRun('daily@now', Date.now() - 9_000))
app.pipeline.runs.push(heldRun('daily@held', Date.now() - 7_200_000))
app.pipeline.runs.push({ ...app.pipeline.runs[2]!, runId: 'alone' })
app.pipeline.isOtherCode = true
app.pipeline.query = answerOf
app.pipeline.examples = ['SELECT state, COUNT(*) AS n FROM events GROUP BY state']
const browser = await launchBrowser()
try {
  await mkdir(folder, { recursive: true })
  const page = await browser.context.newPage()
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && console.error(message.text()))
  await page.goto(app.url)
  const ask = (sql: string) => async () => {
    await page.getByLabel('SQL').fill(sql)
    await page.getByRole('button', { name: 'Run query' }).click()
    await page.locator('table, .error').first().waitFor()
  }
  const dryRun = async (from?: string) => {
    if (from) await page.getByLabel('Fork from').selectOption(from)
    await page.getByRole('button', { name: 'Dry run' }).click()
    await page.getByRole('list', { name: 'Steps of the fork' }).waitFor()
  }
  const changes = async () => {
    await page.getByRole('button', { name: 'What changed?' }).click()
    await page.getByRole('list', { name: 'What changed, by step' }).waitFor()
  }
  // They may be open from the picture before.
  const windows = async () => {
    if ((await page.locator('details.windows[open]').count()) === 0) await page.getByText('Windows').first().click()
  }
  const fill = async () => {
    await windows()
    await page.getByRole('button', { name: /^Backfill/ }).click()
    await page.getByText('Cancel backfill').first().waitFor()
  }
  const views: [string, string, (() => Promise<unknown>)?][] = [
    ['runs', '#/Pipeline/main/runs'],
    ['running', '#/Pipeline/main/runs/daily%40now', () => page.getByRole('button', { name: /extract-products/ }).click()],
    ['done', '#/Pipeline/main/runs/daily%40done', () => page.getByRole('button', { name: /extract-events/ }).click()],
    ['failed', '#/Pipeline/main/runs/daily%40failed'],
    ['held', '#/Pipeline/main/runs/daily%40held', () => changes()],
    ['lineage', '#/Pipeline/main/runs/daily%40done/lineage'],
    ['lineage-none', '#/Pipeline/main/runs/alone/lineage'],
    ['fork', '#/Pipeline/main/runs/daily%40done/fork', () => dryRun()],
    ['fork-same', '#/Pipeline/main/runs/daily%40done/fork', () => dryRun('load')],
    ['fork-other', '#/Pipeline/main/runs/daily%40done/fork', () => page.getByRole('button', { name: 'Fork now' }).click()],
    ['snapshot', '#/tables/analytics.events'],
    ['schedules', '#/Pipeline/main/schedules'],
    ['query', '#/Pipeline/main/query', ask('SELECT state, COUNT(*) AS n, AVG(delay) AS meanDelay\nFROM events\nGROUP BY state')],
    ['line', '#/Pipeline/main/query', ask('SELECT day, COUNT(*) AS n FROM events GROUP BY day')],
    ['query-error', '#/Pipeline/main/query', ask('SELEC 1')],
    ['tables', '#/tables'],
    ['fleet-runs', '#/fleet/runs'],
    ['fleet-narrowed', '#/fleet/runs?noun=Pipeline&tag=backlog&since=2026-11-22T02:00Z'],
    ['fleet-none', '#/fleet/runs?state=held&since=1h&tag=nobody'],
    ['fleet-schedules', '#/fleet/schedules'],
    ['fleet-windows', '#/fleet/schedules', () => windows()],
    ['fleet-alerts', '#/fleet/alerts'],
    ['fleet-letters', '#/fleet/letters'],
    ['windows', '#/Pipeline/main/schedules', () => windows()],
    ['windows-filling', '#/Pipeline/main/schedules', () => fill()],
    ['empty', '#/Report/weekly/runs'],
  ]
  const only = process.argv[4]
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of (process.argv[3] ?? '1280,390').split(',').map(Number)) {
      // What the pass before has filled is to be filled again.
      app.pipeline.backfills = []
      app.pipeline.calls.length = 0
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      await page.evaluate(() => sessionStorage.clear())
      await page.goto(app.url)
      await page.reload()
      await page.screenshot({ path: join(folder, `entry-${colorScheme}-${width}.png`) })
      await page.goto(app.link())
      await page.getByRole('heading', { name: 'Runs' }).waitFor()
      for (const [name, hash, then] of views) {
        if (only !== undefined && !name.includes(only)) continue
        await page.goto(app.url + hash)
        await page.getByRole('heading').first().waitFor()
        await page.waitForTimeout(250)
        await then?.()
        await page.waitForTimeout(150)
        const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)
        if (wide) console.error(`${name} at ${width} is wider than the page`)
        await page.screenshot({ path: join(folder, `${name}-${colorScheme}-${width}.png`), fullPage: !name.endsWith('runs') })
      }
    }
  }
} finally {
  await browser.close()
  await app.close()
}
