/** The classes of another Worker. */
import { DO } from 'dotdo'

export const ColdStore = DO.extend({
  freeze(rows: { id: string }[]) {
    return rows.length
  },
})

/** A type of the class's name beside it, so that `wrangler types` can name it: `import('./elsewhere').Archive`. */
export type Archive = InstanceType<typeof Archive>
export const Archive = DO.extend({
  find(key: string) {
    return key === '' ? null : new Uint8Array(1)
  },
})

/** Reached through a service: no binding says what it is. */
export const Courier = DO.extend({
  carry(parcel: string) {
    return [parcel]
  },
})
