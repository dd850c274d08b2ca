/** Names that a definition must not use: compiled by `npm run check types`, never run. What the compiler refuses here is `NAME_RESERVED` at run time. */
import { DO, type Unreserved } from 'dotdo'
import { claim, type Same } from './same.ts'

export const Refused = [
  DO.extend({
    // @ts-expect-error the framework's own
    at() {},
  }),
  DO.extend({
    // @ts-expect-error a field as well
    runs: [] as string[],
  }),
  DO.extend({
    // @ts-expect-error and a getter
    get events(): number {
      return 1
    },
  }),
  DO.extend({
    // @ts-expect-error what the platform calls
    async alarm() {},
    // @ts-expect-error beside another, each on its own line
    fetch(path: string) {
      return path
    },
  }),
  DO.extend({
    // @ts-expect-error every stub answers to it itself
    dup(times: number) {
      return times
    },
  }),
  DO.extend({
    // @ts-expect-error as JavaScript's own objects do
    toString() {
      return 'text'
    },
  }),
]

/** The message says what to do. */
claim<
  Same<Unreserved<{ send(): void; total: number }>['send']['refused'], "The name 'send' is the framework's: give this member another one">
>(true)

/** A field may have a name that only stubs answer to, and what is not reserved keeps its type. */
export const Free = DO.extend({
  finally: [] as string[],
  sent: 0,
  attend(n: number) {
    return (this.sent += n) + this.finally.length
  },
})
claim<Same<ReturnType<InstanceType<typeof Free>['attend']>, number>>(true)
