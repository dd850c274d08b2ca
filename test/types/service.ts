/** The module of another Worker, whose nouns stand behind a service. */
import { DO } from 'dotdo'

export { DotdoEntrypoint, DotdoSystem } from 'dotdo'

export const Ferry = DO.extend({
  sail(parcels: string[]) {
    return parcels
  },
  back() {
    return this.Port('a')
  },
})

export const Port = DO.extend({
  harbour() {
    return 'harbour' as const
  },
})
