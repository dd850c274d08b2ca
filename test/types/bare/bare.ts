/** Stubs are typed in the barest of projects too: compiled by `npm run check types`, never run. */
import { connect, type Pending, type Remote } from 'dotdo/client'
import { claim, type IsAny, type Same } from '../same.ts'

interface Line {
  getStage(n: number): Stage
  stages(): Stage[]
  rows(): { id: string; at: Date; bytes: Uint8Array }[]
  take(rows: { id: string }[]): number
}

/** Goes by reference: the mark is that of every `RpcTarget`. */
interface Stage {
  readonly __RPC_TARGET_BRAND: never
  run(batch: number[]): number[]
}

export async function bare(): Promise<void> {
  const app = connect<{ Line: Line }>('http://127.0.0.1:8787', { token: 'of a session' })
  const line = app.Line('main')
  claim<IsAny<typeof line>>(false)
  claim<Same<typeof line, Remote<Line>>>(true)
  const pending = line.getStage(0).run([1])
  claim<IsAny<typeof pending>>(false)
  claim<Same<typeof pending, Pending<number[]>>>(true)
  const doubled = await pending
  claim<Same<typeof doubled, number[]>>(true)
  const stage = await line.getStage(0)
  claim<Same<typeof stage, Remote<Stage>>>(true)
  const rows = await line.rows()
  claim<Same<typeof rows, { id: string; at: Date; bytes: Uint8Array }[]>>(true)
  const runs = await line.stages().map((each) => each.run([1]))
  claim<Same<typeof runs, number[][]>>(true)
  await line.take(line.rows())
  // @ts-expect-error a batch is of numbers
  void line.getStage(0).run('1')
  // @ts-expect-error numbers are no rows
  void line.take(line.getStage(0).run([1]))
  // @ts-expect-error no such method
  void line.getStage(0).walk()
}
