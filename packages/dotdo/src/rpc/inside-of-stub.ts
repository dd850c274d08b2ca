import { RpcStub } from 'capnweb'
import { DotdoError } from '../base/errors.ts'

/** The symbol by which capnweb looks inside a stub. It is not exported, so a stub that is looked into tells it. */
export const insideOfStub: symbol = (() => {
  let asked: symbol | undefined
  const spy = new Proxy(() => {}, {
    get(_, property) {
      if (typeof property === 'symbol') asked = property
      return { pathIfPromise: undefined, hook: { dup: () => undefined } }
    },
  })
  try {
    Reflect.apply(Reflect.get(RpcStub.prototype, 'dup') as () => void, spy, [])
  } catch (error) {
    // What the spy answers is no stub, and need not be: it was asked.
    void error
  }
  if (!asked)
    throw new DotdoError(
      'INTERNAL',
      'This release of capnweb keeps its stubs in another way than dotdo knows. Install the release that dotdo names.',
    )
  return asked
})()
