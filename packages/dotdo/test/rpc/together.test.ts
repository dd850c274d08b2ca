import { RpcTarget, type RpcStub } from 'capnweb'
import { expect, test } from 'vitest'

import { pair, turns } from './pair.ts'

class Slow extends RpcTarget {
  gates: PromiseWithResolvers<void>[] = []
  self(): Slow {
    return this
  }
  async next(): Promise<Slow> {
    const gate = Promise.withResolvers<void>()
    this.gates.push(gate)
    await gate.promise
    return this
  }
}

/** An object that is starting takes in what has come in the meantime all at once. */
test('messages of one session that arrive together are each answered, though both wait', async () => {
  const main = new Slow()
  const together: (() => void)[] = []
  const { link } = pair(main, {
    carry: async (message, send) => {
      if (!('seq' in message) || message.seq > 1) return send()
      await new Promise<void>((arrive) => together.push(arrive))
      return send()
    },
  })
  const root = link.root() as unknown as RpcStub<Slow>
  const first = root.self().next()
  await turns()
  const second = first.next()
  await turns()
  expect(together).toHaveLength(2)
  for (const arrive of together) arrive()
  await turns()

  // Their answers come one after the other.
  main.gates[0]!.resolve()
  await turns(20)
  expect(main.gates).toHaveLength(2)
  main.gates[1]!.resolve()
  expect(await Promise.race([second.then(() => 'answered'), new Promise((resolve) => setTimeout(resolve, 5000, 'never'))])).toBe('answered')
})
