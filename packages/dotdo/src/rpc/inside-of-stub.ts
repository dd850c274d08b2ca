import { RpcStub } from 'capnweb'

/**
 * The symbol by which capnweb looks inside a stub. It is not exported, so a stub that is looked into tells it. Of a release of capnweb that keeps its stubs in
 * another way it is no symbol: `passing-on.ts` says so before anything is sent.
 */
export const insideOfStub: symbol = (() => {
  let asked: unknown
  // Whatever is asked of it is there, and is itself. What is asked first is the way inside.
  const spy: object = new Proxy(() => spy, {
    get(_, property) {
      asked ??= property
      return spy
    },
  })
  ;(RpcStub.prototype as unknown as { onRpcBroken(): void }).onRpcBroken.call(spy)
  return asked as symbol
})()
