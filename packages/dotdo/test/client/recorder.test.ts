/** What leaves for which code: units that can be resumed, and plain calls of capnweb, in which order. */
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { connectOver } from '../../src/client/connect.ts'
import type { ConnectOptions } from '../../src/client/options.ts'
import { webPorts } from '../../src/client/ports.ts'

/** A client whose frames are seen and never answered, unless by `answer`. */
function client(options: Partial<ConnectOptions> = {}) {
  const frames: unknown[][] = []
  const listeners: Record<string, ((event: object) => void)[]> = {}
  const socket = {
    readyState: 1,
    addEventListener: (type: string, listener: (event: object) => void) => void (listeners[type] ??= []).push(listener),
    send: (text: string) => frames.push(JSON.parse(text) as unknown[]),
    close: () => {},
  }
  const turns: (() => void)[] = []
  const app = connectOver(
    'http://app.example',
    { token: 'token', ...options },
    {
      ...webPorts(),
      socket: () => socket as unknown as WebSocket,
      newKey: () => 'key',
      endOfTurn: (then) => void turns.push(then),
      timer: () => () => {},
    },
  )
  /** Ends the turn, and tells what left: a unit as `key name(args).name`, a plain call as `path(args)`, `?` for an answer that is asked for. */
  const sent = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    for (const turn of turns.splice(0)) turn()
    for (const listener of listeners['open']?.splice(0) ?? []) listener({})
    const text = frames.splice(0).flatMap(([kind, body]) => {
      if (kind === 'pull') return [`? ${String(body)}`]
      if (kind !== 'push') return []
      const [, on, path, args] = body as [string, number, string[], unknown[]?]
      const passed = args?.map(plain)
      if (path[0] !== 'call') return [`${on}.${path.join('.')}${shown(passed)}`]
      const [noun, name, key, chain] = passed as [string, string, string | null, [string, unknown[]?][]]
      return [`${noun}/${name} ${key ?? 'read'}: ${chain.map(([name, args]) => name + shown(args)).join('.')}`]
    })
    return text.filter((line) => !line.includes('authenticate'))
  }
  const tell = (type: string, event: object) => {
    for (const listener of listeners[type] ?? []) listener(event)
    return new Promise((resolve) => setImmediate(resolve))
  }
  const answer = (frame: unknown[]) => tell('message', { data: JSON.stringify(frame) })
  const lose = () => tell('close', { code: 1006, reason: 'cut off' })
  /** Numbers that were given back since the last turn. */
  const released = () => frames.flatMap(([kind, id]) => (kind === 'release' ? [id] : []))
  return { app, sent, answer, released, lose }
}

/** A list of the user's stands in a list of its own on the wire. */
const plain = (value: unknown): unknown => (Array.isArray(value) && Array.isArray(value[0]) ? (value[0] as unknown[]).map(plain) : value)
const shown = (args: unknown[] | undefined): string => (args ? `(${JSON.stringify(args).slice(1, -1)})` : '')

describe('one unit', () => {
  test('is a call, a chain of calls, and a property of either; nothing leaves before the turn ends', async () => {
    const { app, sent } = client()
    void app.Stage('a').run(1)
    void app.Pipeline('p').getStage(0).run([1, 2])
    void app
      .Pipeline('p')
      .getStage(1)
      .label.then(() => {})
    void app.Stage('a').value.then(() => {})
    expect(await sent()).toEqual([
      'Stage/a key.0: run(1)',
      '? 2',
      'Pipeline/p key.1: getStage(0).run([1,2])',
      '? 3',
      'Pipeline/p key.2: getStage(1).label',
      '? 4',
      'Stage/a read: value',
      '? 5',
    ])
  })

  test('goes to the object in the jurisdiction that is named, and to no other of the name', async () => {
    const { app, sent } = client()
    void app.Stage('a', { jurisdiction: 'eu' }).run(1)
    void app.Stage('a').run(2)
    void app.Stage('a', { jurisdiction: 'eu' }).run(() => {})
    expect((await sent()).filter((it) => !it.startsWith('?'))).toEqual([
      'eu:Stage/a key.0: run(1)',
      'Stage/a key.1: run(2)',
      '1.eu:Stage("a")',
      '4.run(["export",-1])',
    ])
  })

  test('holds its arguments as they were when it was made', async () => {
    const { app, sent } = client()
    const rows = [{ id: 1 }]
    const bytes = Uint8Array.of(1, 2)
    void app.Stage('a').run(rows, bytes)
    rows[0]!.id = 7
    rows.push({ id: 8 })
    bytes[0] = 9
    expect(await sent()).toEqual(['Stage/a key.0: run([{"id":1}],["bytes","AQI"])', '? 2'])
  })

  test('is no chain whose middle is awaited, used twice, or passed on: its parts are plain calls', async () => {
    const { app, sent } = client()
    const awaited = app.Pipeline('p').getStage(0)
    void awaited.then(() => {})
    void awaited.run(1)
    expect(await sent()).toEqual(['1.Pipeline("p")', '2.getStage(0)', '? 3', '3.run(1)', '? 4'])
    const twice = app.Pipeline('p').getStage(1)
    void twice.run(1)
    void twice.run(2)
    expect(await sent()).toEqual(['2.getStage(1)', '5.run(1)', '? 6', '5.run(2)', '? 7'])
    const passed = app.Source('s').extract()
    void app.Warehouse('w').load(passed)
    // The rows are not asked for.
    expect(await sent()).toEqual(['1.Source("s")', '8.extract()', '1.Warehouse("w")', '10.load(["pipeline",9])', '? 11'])
  })

  test('is no chain with another call on its object in between: calls on one object leave in their order', async () => {
    const { app, sent } = client()
    const stage = app.Pipeline('p').getStage(0)
    void app.Pipeline('p').note('between')
    void stage.run(1)
    expect(await sent()).toEqual(['1.Pipeline("p")', '2.getStage(0)', 'Pipeline/p key.0: note("between")', '? 4', '3.run(1)', '? 5'])
    const other = app.Pipeline('p').getStage(0)
    void app.Pipeline('q').note('elsewhere')
    void other.run(1)
    expect((await sent()).filter((it) => !it.startsWith('?'))).toEqual([
      'Pipeline/q key.1: note("elsewhere")',
      'Pipeline/p key.2: getStage(0).run(1)',
    ])
  })

  test('is sent once, however often it is awaited, and later too', async () => {
    const { app, sent, answer } = client()
    const call = app.Stage('a').run(1)
    const first = Promise.all([call, call])
    expect(await sent()).toEqual(['Stage/a key.0: run(1)', '? 2'])
    await answer(['resolve', 2, 42])
    expect(await first).toEqual([42, 42])
    expect(await call).toBe(42)
    expect(await sent()).toEqual([])
  })

  test('that has left is the start of plain calls', async () => {
    const { app, sent } = client()
    const stage = app.Pipeline('p').getStage(0)
    expect(await sent()).toEqual(['Pipeline/p key.0: getStage(0)', '? 2'])
    void stage.run(1)
    expect(await sent()).toEqual(['2.run(1)', '? 3'])
  })
})

describe('a plain call', () => {
  test('leaves at once, after what was recorded before it: what it passes cannot be kept', async () => {
    const { app, sent } = client()
    void app.Stage('a').run(1)
    void app.Stage('a').each(() => {})
    void app.Stage('a').take(new (class extends RpcTarget {})())
    void app.Stage('a').run(2)
    expect((await sent()).filter((it) => !it.startsWith('?'))).toEqual([
      'Stage/a key.0: run(1)',
      '1.Stage("a")',
      '3.each(["export",-1])',
      '3.take(["export",-2])',
      'Stage/a key.1: run(2)',
    ])
  })

  test('takes references of other objects, of results and of properties, anywhere in its arguments', async () => {
    const { app, sent } = client()
    const rows = app.Source('s').extract()
    void app.Warehouse('w').load({ rows, from: [app.Source('s')], count: rows.length })
    expect(await sent()).toEqual([
      '1.Source("s")',
      '2.extract()',
      '1.Warehouse("w")',
      '4.load({"rows":["pipeline",3],"from":[[["pipeline",2]]],"count":["pipeline",3,["length"]]})',
      '? 5',
    ])
  })

  test('is what `.map` is made of', async () => {
    const { app, sent } = client()
    void app
      .Source('s')
      .list()
      .map((it: { id: string }) => it.id)
      .then(() => {})
    const [root, list] = await sent()
    expect([root, list]).toEqual(['1.Source("s")', '2.list()'])
  })

  test('of the operator is never a unit', async () => {
    const { app, sent } = client()
    void app.dotdo.object('Stage', 'a').trigger('nightly')
    void app.dotdo.describe()
    expect(await sent()).toEqual(['1.dotdo.object("Stage","a")', '2.trigger("nightly")', '? 3', '1.dotdo.describe()', '? 4'])
  })
})

describe('a reference', () => {
  test('of an object is no promise: awaited, it is itself', async () => {
    const { app, sent } = client()
    const stage = app.Stage('a')
    expect((await stage) === stage).toBe(true)
    expect(await sent()).toEqual([])
  })

  test('can be looked at and disposed without a call, and makes no text', async () => {
    const { app, sent } = client()
    const stage = app.Stage('a')
    JSON.stringify({ stage })
    for (const text of [() => String(stage), () => `${stage.value as string}`, () => Number(stage.value)])
      expect(text).toThrow(expect.objectContaining({ code: 'NOT_A_VALUE' }))
    expect(`${stage.toString()}`).toMatch(/^\[object Rpc/)
    expect(Object.keys(stage)).toEqual([])
    stage[Symbol.dispose]()
    expect(() => (stage.value = 1)).toThrow(TypeError)
    expect(await sent()).toEqual([])
  })
})

describe('a failure', () => {
  test('of a call that nobody awaits is told to onFailure, and is no unhandled rejection', async () => {
    const told: unknown[] = []
    const { app, sent, answer } = client({ onFailure: (error) => told.push(error) })
    app.Stage('a').run(1)
    app.Stage('a').each(() => {})
    await sent()
    await answer(['reject', 2, ['error', 'Error', 'one']])
    await answer(['reject', 4, ['error', 'Error', 'two']])
    expect(told.map((it) => (it as Error).message)).toEqual(['one', 'two'])
  })

  test('of a call that is awaited is the caller’s alone', async () => {
    const told: unknown[] = []
    const { app, sent, answer } = client({ onFailure: (error) => told.push(error) })
    const call = Promise.resolve(app.Stage('a').run(1)).catch((error: Error) => error.message)
    await sent()
    await answer(['reject', 2, ['error', 'Error', 'mine']])
    expect(await call).toBe('mine')
    expect(told).toEqual([])
  })

  test('to send a value at all rejects that call, and the others of the turn leave', async () => {
    const { app, sent } = client()
    const refused = Promise.resolve(app.Stage('a').run(new (class Odd {})())).catch((error: Error) => error.message)
    void app.Stage('a').run(2)
    expect(await sent()).toContain('Stage/a key.0: run(2)')
    expect(await refused).toMatch(/cannot be sent/)
  })
})

describe('a call that cannot be made', () => {
  test('is told to onFailure where nobody awaits it, and not where somebody does', async () => {
    const told: unknown[] = []
    const { app, sent } = client({ onFailure: (error) => told.push(error) })
    const awaited = (async () => {
      await app.Stage('a').run(new Map())
    })()
    const refused = expect(awaited).rejects.toMatchObject({ code: 'NOT_SENDABLE' })
    await sent()
    await refused
    expect(told).toEqual([])
    app.Stage('a').run(new Map())
    await sent()
    expect(told).toMatchObject([{ code: 'NOT_SENDABLE' }])
  })
})

describe('what capnweb does with a stub', () => {
  test('what stood in the middle of a unit is refused in a later turn, and its call is never made again', async () => {
    const { app, sent } = client()
    const order = app.Shop('s').createOrder(1)
    void order.total.then(() => {})
    expect(await sent()).toEqual(['Shop/s key.0: createOrder(1).total', '? 2'])
    const paid = order.pay()
    await expect(Promise.all([sent(), paid])).rejects.toMatchObject({ code: 'REFERENCE_GONE', data: { method: 'createOrder' } })
    await expect(order).rejects.toMatchObject({ code: 'REFERENCE_GONE' })
    await expect(app.Bank('b').take(order)).rejects.toMatchObject({ code: 'REFERENCE_GONE' })
    expect(await sent()).toEqual([])
    // Nothing is held by it.
    order[Symbol.dispose]()
  })

  test('an answer that has come goes as the value that it is, and makes its call a unit', async () => {
    const { app, sent, answer } = client()
    const list = app.Source('s').list()
    void list.then(() => {})
    await sent()
    await answer(['resolve', 2, [[3, 4]]])
    expect(await list[1]).toBe(4)
    void app.Stage('a').run(list, { first: list[0] })
    expect(await sent()).toEqual(['Stage/a key.1: run([3,4],{"first":3})', '? 3'])
  })

  test('an answer that was a failure fails the call that it is given to, and nothing is sent', async () => {
    const { app, sent, answer } = client()
    const failed = app.Source('s').list()
    failed.catch(() => {})
    await sent()
    await answer(['reject', 2, ['error', 'RangeError', 'too far']])
    await expect(app.Stage('a').run([failed])).rejects.toThrow('too far')
    expect(await sent()).toEqual([])
  })

  test('a function that a call gives is called, as a plain call', async () => {
    const { app, sent } = client()
    void app.Stage('a').doubler()(4)
    expect(await sent()).toEqual(['1.Stage("a")', '2.doubler()', '3.(4)', '? 4'])
  })

  test('the function of a map is written down: what it calls is not called from here, and leaves objects as they were', async () => {
    const { app, sent } = client()
    const list = app.Source('s').list()
    const base = app.Stage('a').counter()
    const mapped = list.map((n: unknown) => [app.Stage('a').add(1), base.add(n), app.Stage('new').add(n)])
    void mapped.then(() => {})
    // What it takes along: an object, a result, and the app, from which the other object is taken for each element.
    expect(await sent()).toEqual([
      '1.Source("s")',
      '2.list()',
      '1.Stage("a")',
      '4.counter()',
      '? 5',
      '3.(["import",4],["import",5],["import",1])',
      '? 6',
    ])
    // Named within the function first: it is taken anew outside of it.
    void app.Stage('new').run(() => {})
    expect((await sent())[0]).toBe('1.Stage("new")')
  })

  test('of what has come is over calls of the same turn as they are: each is made once, and none is a part of it', async () => {
    const { app, sent, answer } = client()
    const counter = app.Stage('a').counter()
    void counter.then(() => {})
    await sent()
    await answer(['resolve', 2, ['export', -1]])
    // capnweb's own stub, of which nothing is recorded here.
    const held = await counter
    const base = app.Stage('b').counter()
    const mapped = held.list().map((n: unknown) => base.add(n))
    void mapped.then(() => {})
    void app.Stage('b').note('after')
    expect(await sent()).toEqual([
      '-1.list()',
      '1.Stage("b")',
      '4.counter()',
      '? 5',
      '3.(["import",5])',
      '? 6',
      'Stage/b key.1: note("after")',
      '? 7',
    ])
  })

  test('what was let go of is refused with a code, though nothing of it is recorded here', async () => {
    const { app, sent, answer } = client()
    const counter = app.Stage('a').counter()
    void counter.then(() => {})
    await sent()
    await answer(['resolve', 2, ['export', -1]])
    const held = await counter
    held[Symbol.dispose]()
    for (const use of [() => held.add(1), () => held.value]) {
      const refused = expect(Promise.resolve(use())).rejects.toMatchObject({
        code: 'REFERENCE_GONE',
        message: expect.stringContaining('dup()') as string,
      })
      await sent()
      await refused
    }
  })

  test('a promise that was let go of before it left is delivered, and its answer let go of', async () => {
    const failures: unknown[] = []
    const { app, sent, answer, released } = client({ onFailure: (error) => failures.push(error) })
    const held = app.Stage('a').counter()
    held[Symbol.dispose]()
    expect(await sent()).toEqual(['Stage/a key.0: counter()', '? 2'])
    await answer(['resolve', 2, ['export', -1]])
    expect(released()).toContain(-1)
    expect(failures).toEqual([])
  })

  test('of a value that cannot be sent has a code, in one unit, in a plain call, in a .map and in circles', async () => {
    const { app, sent } = client()
    const circle: unknown[] = []
    circle.push(circle)
    class Own {}
    const calls = [() => app.Stage('a').run(new Map()), () => app.Stage('a').run(circle), () => app.Stage('a').run(() => {}, new Own())]
    for (const call of calls) {
      const refused = expect(call()).rejects.toMatchObject({
        code: 'NOT_SENDABLE',
        message: expect.stringMatching(/Map|Object|exceeded/) as string,
      })
      await sent()
      await refused
    }
    expect(() =>
      app
        .Stage('a')
        .list()
        .map(() => app.Stage('a').run(new Own())),
    ).toThrow(expect.objectContaining({ code: 'NOT_SENDABLE', data: { value: 'Object' } }))
  })

  test('of a connection ends a stream that is being read with a code, in a value too, and passes its own errors on', async () => {
    const { app, sent, answer, lose } = client()
    const call = app.Source('s').read()
    await sent()
    await answer(['pipe'])
    await answer(['pipe'])
    await answer([
      'resolve',
      2,
      {
        rows: [
          [
            ['readable', 1],
            ['readable', 2],
          ],
        ],
      },
    ])
    const { rows } = (await call) as { rows: ReadableStream<string>[] }
    const [first, second] = rows.map((it) => it.getReader())
    void answer(['stream', ['pipeline', 1, ['write'], ['one']]])
    expect(await first!.read()).toEqual({ done: false, value: 'one' })
    void answer(['stream', ['pipeline', 2, ['abort'], [['error', 'RangeError', 'too far']]]])
    await expect(second!.read()).rejects.toThrow('too far')
    const cut = expect(first!.read()).rejects.toMatchObject({ code: 'LINK_LOST', retryable: true })
    await lose()
    await cut
  })

  test('properties cannot be assigned, defined or deleted', () => {
    const { app } = client()
    const stage = app.Stage('a')
    for (const change of [() => (stage.label = 1), () => delete stage.label, () => Object.defineProperty(stage, 'label', { value: 1 })])
      expect(change).toThrow(/cannot be assigned to/)
  })
})
