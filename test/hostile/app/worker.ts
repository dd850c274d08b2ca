/** An app with the methods that somebody with bad intentions would look for: lists to map over, references to itself, callbacks, slow answers. */
import { DO, serve } from 'dotdo'

export { DotdoSystem } from 'dotdo'

export const Target = DO.extend({
  calls: 0,
  ping() {
    return ++this.calls
  },
  self() {
    return this.Target(this.id)
  },
  list(length: number) {
    return Array.from({ length: Math.min(length, 100_000) }, (_, i) => i)
  },
  echo(value: unknown) {
    return value
  },
  async slow(ms: number) {
    await new Promise((resolve) => setTimeout(resolve, ms))
    return 'at last'
  },
  async ask(callback: () => Promise<unknown>) {
    return callback()
  },
})

// Each test cuts sessions off from the same address, and none is to wait for those before it.
export default serve({ limits: { client: { comebackMs: 0 } } })
