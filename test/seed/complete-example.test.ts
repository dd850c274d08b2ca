/** The seed's Complete Example, byte for byte, as an app: its default export behind dotdo's entry and alias. */
import { expect, test } from 'vitest'
import { env } from 'cloudflare:workers'
import { Links } from '../../packages/dotdo/src/object/nouns.ts'
import { linkPorts } from '../../packages/dotdo/src/object/platform.ts'

const links = () => new Links(linkPorts('test', () => {}))
// oxlint-disable-next-line typescript/no-explicit-any
const inspector = (): any => links().inspector('Pipeline', 'main')

test('it runs on its schedule: extracts, joins, loads and notifies', async () => {
  const schedules = await inspector().schedules()
  expect(schedules).toHaveLength(1)
  expect(schedules[0].pattern).toContain('02:00')
  const runId = await inspector().trigger(schedules[0].scheduleId)
  let run = await inspector().run(runId)
  for (let i = 0; run.status === 'running' && i < 400; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    run = await inspector().run(runId)
  }
  expect(run).toMatchObject({ status: 'done' })
  expect(run.steps.map((step: { stepId: string }) => step.stepId)).toEqual(['extract-events', 'extract-users', 'extract-products', 'load'])
  expect(await inspector().events()).toMatchObject([{ eventType: 'Pipeline.completed', payload: { text: '{"count":3}' } }])
})

test('the table holds its rows', async () => {
  // oxlint-disable-next-line typescript/no-explicit-any
  const [table] = await (links().user('DotdoSystem', 'catalog R2_BUCKET') as any).overview()
  expect(table).toMatchObject({ name: 'analytics.events', rows: 3 })
  expect((await (env as unknown as { R2_BUCKET: R2Bucket }).R2_BUCKET.list()).objects.map((it) => it.key).filter((key) => key.endsWith('.parquet'))).toHaveLength(1)
})
