/** What a client of an app sees: compiled by `npm run check`, never run. */
import { connect, type RunView } from 'dotdo/client'
import type { Probe } from './this.ts'
import { claim, type IsAny, type Same } from './same.ts'

export async function client(): Promise<void> {
  const app = connect<{ Probe: InstanceType<typeof Probe> }>('http://127.0.0.1:8787', { token: 'of a session' })
  const sum = await app.Probe('main').add(1)
  claim<Same<typeof sum, number>>(true)
  // A promise is an argument, and a chain is a call.
  const twice = await app.Probe('main').add(app.Probe('other').add(1))
  claim<Same<typeof twice, number>>(true)
  // @ts-expect-error the method takes a number
  await app.Probe('main').add('1')
  // @ts-expect-error no such method
  await app.Probe('main').subtract(1)
  // @ts-expect-error no such noun
  app.Prob('main')

  const runs = await app.dotdo.object('Probe', 'main').runs()
  claim<Same<typeof runs, RunView[]>>(true)
  claim<IsAny<(typeof runs)[number]['status']>>(false)
  app.close()

  // The whole app, as its module has it: nobody lists its nouns.
  const whole = connect<typeof import('./app.ts')>('http://127.0.0.1:8787', { token: 'of a session' })
  const doubled = await whole.Pipeline('main').getStage(0).run([1])
  claim<Same<typeof doubled, number[]>>(true)
  // @ts-expect-error a batch is of numbers
  void whole.Pipeline('main').getStage(0).run('1')
  // @ts-expect-error the framework's own class is no noun of the app
  whole.DotdoSystem('main')

  // An app that nobody has typed can be called all the same.
  const untyped = connect('http://127.0.0.1:8787', { token: 'of a session' })
  const rows = await untyped.Pipeline('main').query('SELECT 1')
  claim<IsAny<typeof rows>>(true)
  const stage = await untyped.Pipeline('main').getStage(0).run([1])
  claim<IsAny<typeof stage>>(true)
  // @ts-expect-error a noun begins with a capital
  untyped.pipeline('main')
}
