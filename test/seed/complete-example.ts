import { DO, IcebergWriter } from 'dotdo'

export default DO.extend({
  iceberg: null as IcebergWriter | null,

  init() {
    this.iceberg = new IcebergWriter({
      bucket: this.env.R2_BUCKET,
      namespace: 'analytics',
      tableName: 'events'
    })

    this.every.day.at('2am')(async () => {
      // Extract
      const sources = ['events', 'users', 'products']
      const data = await Promise.all(
        sources.map(s => this.do(
          () => fetch(`https://api.example.com/${s}`).then(r => r.json()),
          { stepId: `extract-${s}` }
        ))
      )

      // Transform
      const [events, users, products] = data
      const enriched = events.map(e => ({
        ...e,
        userName: users.find(u => u.id === e.userId)?.name
      }))

      // Load
      await this.do(() => this.iceberg!.write(enriched.map(e => ({
        type: 'event',
        entityId: e.id,
        payload: e,
        ts: Date.now()
      }))), { stepId: 'load' })

      this.send('Pipeline.completed', { count: enriched.length })
    })
  }
})
