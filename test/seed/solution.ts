// "The Solution": the file's default export is the object; its free names are the seed's own functions.
import { DO } from 'dotdo'
import { extract, load, transform } from './etl.ts'
import { iceberg } from './table.ts'

export default DO.extend({
  init() {
    this.every.day.at('2am')(async () => {
      const raw = await extract('s3://data-lake/events/')
      const clean = transform(raw)
      await load(clean, iceberg)
    })
  }
})
