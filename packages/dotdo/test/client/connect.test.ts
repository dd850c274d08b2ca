/** How a connection begins, and what it tells of batches: each is an HTTP request of its own, and its end is no loss. */
import { newHttpBatchRpcResponse, RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { connectOver } from '../../src/client/connect.ts'
import { webPorts } from '../../src/client/ports.ts'

class Thing extends RpcTarget {
  add(n: number) {
    return n + 1
  }
  fail(): never {
    throw new Error('it broke')
  }
}

class App extends RpcTarget {
  call(_noun: string, _name: string, _key: string | null, [[method, args]]: [['add' | 'fail', [number]]]) {
    return new Thing()[method](...args)
  }
  Thing() {
    return new Thing()
  }
}

class Door extends RpcTarget {
  authenticate() {
    return new App()
  }
}

/** A client whose batches are answered in this process, or as `answer` says. */
function open(answer?: () => Promise<{ status: number; text(): Promise<string> }>) {
  const told: string[] = []
  const ports = {
    ...webPorts(),
    async post(address: string, body: string) {
      if (answer) return answer()
      const response = await newHttpBatchRpcResponse(new Request(address, { method: 'POST', body }), new Door())
      return { status: response.status, text: () => response.text() }
    },
  }
  const options = { token: 'token', transport: 'batch' as const, giveUpMs: 0, onStatus: (status: string) => told.push(status) }
  return { app: connectOver('http://app.example', options, ports), told }
}

/** Until everything that a turn has set going has been told. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 5))

describe('a batch', () => {
  test('that was answered is not told as a connection that was lost', async () => {
    const { app, told } = open()
    for (const n of [1, 2]) {
      expect(await app['Thing']('a').add(n)).toBe(n + 1)
      await settled()
    }
    expect(told).toEqual(['connecting', 'open', 'connecting', 'open'])
    await expect(app['Thing']('a').fail()).rejects.toThrow('it broke')
    // One that is sent once, because its argument is a promise.
    expect(await app['Thing']('a').add(app['Thing']('a').add(1))).toBe(3)
    await settled()
    expect(told).not.toContain('lost')
    app.close()
    expect(told.at(-1)).toBe('closed')
  })

  test.each([
    ['was refused', () => Promise.resolve({ status: 403, text: () => Promise.resolve('') })],
    ['did not arrive', () => Promise.reject(new Error('no network'))],
  ])('that %s is told as lost, and so are its calls', async (_, answer) => {
    const { app, told } = open(answer)
    await expect(app['Thing']('a').add(1)).rejects.toMatchObject({ code: 'LINK_LOST' })
    await settled()
    expect(told).toEqual(['connecting', 'lost'])
    app.close()
  })
})

describe('connect', () => {
  test('without options says that it needs a token', () => {
    expect(() => connectOver('http://app.example', undefined as never, webPorts())).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringContaining('connect(url, { token })') as string }),
    )
  })

  test('where there is no WebSocket rejects its calls, and says what to take', async () => {
    const { WebSocket } = globalThis
    Reflect.deleteProperty(globalThis, 'WebSocket')
    try {
      const app = connectOver('http://app.example', { token: 'token' }, webPorts())
      await expect(app['Thing']('a').add(1)).rejects.toMatchObject({
        code: 'INVALID_OPTIONS',
        message: expect.stringContaining('Node 22') as string,
      })
    } finally {
      globalThis.WebSocket = WebSocket
    }
  })

  test.each([
    ['localhost:8971', /Write http:\/\/localhost:8971$/],
    ['app.example:80/rpc', /Write http:\/\/app\.example:80\/rpc$/],
    ['ftp://app.example', /Write http:\/\/app\.example$/],
    ['app.example', /is no address/],
  ])('to %s says what to write', (url, message) => {
    expect(() => connectOver(url, { token: 'token' }, webPorts())).toThrow(
      expect.objectContaining({ code: 'INVALID_URL', message: expect.stringMatching(message) as string }),
    )
  })
})
