/** What `this` is inside of `DO.extend({...})`: compiled by `npm run check`, never run. */
import {
  DO,
  extract,
  IcebergWriter,
  QueryCoordinator,
  type DotdoObject,
  type Env,
  type Every,
  type ScheduleHandle,
  type StoredStream,
  type TableStatus,
} from 'dotdo'
import { claim, type IsAny, type Same } from './same.ts'

interface Flight {
  origin: string
  delay: number
}

export const Probe = DO.extend({
  iceberg: null as IcebergWriter | null,
  seen: [] as string[],
  total: 0,

  init() {
    // Of the definition itself: fields as they were written, methods with their results.
    claim<IsAny<typeof this>>(false)
    claim<Same<typeof this.iceberg, IcebergWriter | null>>(true)
    claim<Same<typeof this.seen, string[]>>(true)
    claim<Same<typeof this.total, number>>(true)
    claim<Same<ReturnType<typeof this.add>, number>>(true)
    claim<Same<Awaited<ReturnType<typeof this.steps>>, number>>(true)

    // Of the framework.
    claim<Same<typeof this.env, Env>>(true)
    claim<Same<typeof this.id, string>>(true)
    claim<Same<typeof this.ctx, DurableObjectState>>(true)
    claim<Same<typeof this.every, Every>>(true)
    claim<Same<typeof this.do, DotdoObject['do']>>(true)
    claim<Same<ReturnType<typeof this.send>, string>>(true)

    // A binding that env.d.ts declares has its type; one that nobody has declared is free.
    claim<Same<typeof this.env.R2_BUCKET, R2Bucket>>(true)
    claim<IsAny<typeof this.env.ANOTHER>>(true)
    this.iceberg = new IcebergWriter({ bucket: this.env.R2_BUCKET, namespace: 'analytics', tableName: 'flights' })
  },

  schedules() {
    const handle = this.every.day.at('2am')((event) => {
      claim<Same<typeof event.window, { start: number; end: number }>>(true)
    })
    claim<Same<typeof handle, ScheduleHandle>>(true)
    // @ts-expect-error no such word: a schedule that is misspelt does not compile
    this.every.dya.at('2am')(() => {})
    // @ts-expect-error a time is text
    this.every.day.at(2)(() => {})

    this.on.Pipeline.completed((event: { days: string[] }, { type }) => {
      claim<Same<typeof type, string>>(true)
      this.total += event.days.length
    })
  },

  add(n: number) {
    return (this.total += n)
  },

  async steps() {
    // Rows keep their type through a step.
    const flights = await this.do(() => extract<Flight>('flights'), { stepId: 'extract' })
    claim<Same<typeof flights, Flight[]>>(true)
    const count = await this.do(({ attempt }) => flights.length + attempt, { stepId: 'count' })
    claim<Same<typeof count, number>>(true)
    // A stream comes back as what was stored of it, batch by batch.
    const stored = await this.do(() => extract<Flight>('flights').batches(), { stepId: 'store' })
    claim<Same<typeof stored, StoredStream<Flight[]>>>(true)
    // What nobody has typed is as free as JSON is.
    const json = await this.do(() => fetch('https://api.example.com/users').then((r) => r.json()), { stepId: 'json' })
    claim<IsAny<typeof json>>(true)
    // @ts-expect-error a step has a name
    await this.do(() => 1, {})
    // @ts-expect-error `flights` are rows, not text
    flights.toUpperCase()
    return count
  },

  async load(flights: Flight[]) {
    const receipt = await this.iceberg!.write(flights, { commitKey: 'flights of today' })
    claim<Same<typeof receipt.rows, number>>(true)
    const status = await this.iceberg!.snapshot()
    claim<Same<typeof status, TableStatus | null>>(true)
    // @ts-expect-error a row is an object
    await this.iceberg!.write([1, 2])
    return await new QueryCoordinator([]).query('SELECT 1')
  },
})

/** From outside, the public methods and nothing else. */
export type ProbeInstance = InstanceType<typeof Probe>
claim<Same<ReturnType<ProbeInstance['add']>, number>>(true)
claim<'init' extends keyof ProbeInstance ? true : false>(false)
claim<'seen' extends keyof ProbeInstance ? true : false>(false)
