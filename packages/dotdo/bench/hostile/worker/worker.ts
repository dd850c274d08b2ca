/** The app of the hostile bench: what an attack needs, and one plain call. */
import { DO } from '../../../src/object/do.ts'
import { serve } from '../../../src/object/serve.ts'

export { DotdoSystem } from '../../../src/object/system.ts'

export const Target = DO.extend({
  calls: 0,
  ping() {
    return ++this.calls
  },
  list(length: number) {
    return Array.from({ length: Math.min(length, 100_000) }, (_, i) => i)
  },
  echo(value: unknown) {
    return value
  },
})

export default serve()
