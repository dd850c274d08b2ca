// "Pipeline DAG with Dependencies"
import { DO, extract, type IcebergWriter } from 'dotdo'
import { iceberg } from './table.ts'

interface Enriched {
  id: string
  userName: string | undefined
  productName: string | undefined
}

function enrichEvents(events: { id: string; userId: string; productId: string }[], users: { id: string; name: string }[], products: { id: string; name: string }[]): Enriched[] {
  return events.map((event) => ({
    id: event.id,
    userName: users.find((user) => user.id === event.userId)?.name,
    productName: products.find((product) => product.id === event.productId)?.name,
  }))
}

async function load(events: Enriched[], writer: IcebergWriter) {
  await writer.write(events.map((event) => ({ type: 'enriched', entityId: event.id, payload: event, ts: Date.UTC(2026, 0, 1) })))
}

export const Dag = DO.extend({
  completed: [] as { records: number }[],
  init() {
    this.on.Pipeline.completed((payload: { records: number }) => {
      this.completed.push(payload)
    })
  },
  async dailyPipeline() {
    // Stage 1: Parallel extract
    const [users, events, products] = await Promise.all([
      this.do(() => extract('users'), { stepId: 'extract-users' }),
      this.do(() => extract('events'), { stepId: 'extract-events' }),
      this.do(() => extract('products'), { stepId: 'extract-products' })
    ])

    // Stage 2: Transform (depends on Stage 1)
    const enriched = await this.do(
      () => enrichEvents(events, users, products),
      { stepId: 'enrich-events' }
    )

    // Stage 3: Load to Iceberg
    await this.do(() => load(enriched, iceberg), { stepId: 'load' })

    // Stage 4: Notify (fire-and-forget)
    this.send('Pipeline.completed', { records: enriched.length })
  },
  seen() {
    return this.completed
  },
})
