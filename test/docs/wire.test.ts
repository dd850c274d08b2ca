/**
 * docs/reference/wire.md says what the code says: each message on the page is given to the receiving end of a link, and its answer is that of the
 * page; each field, frame, record and method of the source stands in its table, and no other.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { recordKinds } from '../../packages/dotdo/dist/rpc/chunk-codec.js'
import { linkVersion, type Frame, type LinkMessage } from '../../packages/dotdo/dist/rpc/frames.js'
import { graphVersion } from '../../packages/dotdo/dist/rpc/graph-data.js'
import { LinkServer } from '../../packages/dotdo/dist/rpc/link-server.js'
import { defaultClientLimits } from '../../packages/dotdo/dist/rpc/limits.js'
import { ServedClient } from '../../packages/dotdo/dist/rpc/served-client.js'
import { root } from '../support/app.ts'
import { blocksOf, type Block } from './blocks.ts'

const page = readFileSync(join(root, 'docs/reference/wire.md'), 'utf8')
const blocks = blocksOf(page)
const source = (path: string) => readFileSync(join(root, 'packages/dotdo/src', path), 'utf8')

/** What `slow` waits for: the next message. */
let goOn = () => {}

/** The object that the page's messages are for. */
class Stage extends RpcTarget {
  run(batch: number[]) {
    return batch.map((value) => value * 2)
  }
  sum(batch: number[]) {
    return batch.reduce((sum, value) => sum + value, 0)
  }
  fail() {
    throw Object.assign(new Error('no rows'), { code: 'EMPTY' })
  }
  charge() {
    throw Object.assign(new Error('declined'), { name: 'PaymentError', code: 'DECLINED' })
  }
  async slow(value: number) {
    await new Promise<void>((resolve) => (goOn = resolve))
    return value
  }
  meter() {
    return new Meter()
  }
  async read(bytes: ReadableStream<Uint8Array>) {
    return (await textOf(bytes)).length
  }
  rows() {
    return ReadableStream.from([{ a: 1 }])
  }
}

class Meter extends RpcTarget {
  add(n: number) {
    return n
  }
}

class Door extends RpcTarget {
  authenticate() {
    return new App()
  }
}

class App extends RpcTarget {
  Stage() {
    return new Stage()
  }
}

const endOfTurn = (then: () => void) => void setImmediate(then)
/** What is bounded by time is no part of this. */
const timer = () => () => {}
const bytePipe = () => new TransformStream<Uint8Array, Uint8Array>()

/** What comes out of a native stream, a character for each byte. */
async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = ''
  for await (const bytes of stream) text += String.fromCharCode(...bytes)
  return text
}

function streamOf(text: string): ReadableStream<Uint8Array> {
  const start = (controller: ReadableByteStreamController) => {
    controller.enqueue(Uint8Array.from(text, (character) => character.charCodeAt(0)))
    controller.close()
  }
  return new ReadableStream({ type: 'bytes', start })
}

/** A message as the page shows it. */
function readMessage(text: string): LinkMessage {
  const { streams, ...message } = JSON.parse(text) as Omit<LinkMessage, 'streams'> & { streams?: Record<number, string> }
  const entries = Object.entries(streams ?? {}).map(([number, content]) => [number, streamOf(content)] as const)
  return { ...message, ...(streams && { streams: Object.fromEntries(entries) }) }
}

/** An answer as JSON shows it, and the content of its streams. */
async function shown(value: unknown): Promise<unknown> {
  if (typeof value !== 'object' || value === null) return value ?? null
  const { streams, ...answer } = value as { streams?: Record<number, ReadableStream<Uint8Array>> }
  const entries = await Promise.all(Object.entries(streams ?? {}).map(async ([number, stream]) => [number, await textOf(stream)] as const))
  return JSON.parse(JSON.stringify({ ...answer, ...(streams && { streams: Object.fromEntries(entries) }) }))
}

describe('the messages of the page', () => {
  const server = new LinkServer(
    () => new Stage(),
    { endOfTurn, timer, bytePipe },
    {},
    () => ({ narrow: () => new Stage() }),
  )
  const kinds = ['message', 'reply', 'call', 'answer', 'refused']
  const steps = blocks.filter(({ info }) => kinds.includes(info))
  const sent = { message: [] as Promise<unknown>[], call: [] as Promise<unknown>[] }
  /** Of what was sent last. */
  let latest: Promise<unknown>[] = []

  function send({ info, text }: Block): void {
    goOn()
    const called = async () => server.called(JSON.parse(text) as unknown[])
    const answer = info === 'message' ? server.accept(readMessage(text)) : called()
    // Looked at in the step that has the answer.
    answer.catch(() => {})
    latest = info === 'message' ? sent.message : sent.call
    latest.push(answer)
  }

  test('are there', () => {
    expect(steps.length).toBeGreaterThan(24)
  })

  // One after the other: what was sent is answered in a later step, and some go on in a session of one before.
  test.each(steps.map((block) => [block.line, block.info, block] as const))('line %i, a %s, is so', async (_, info, block) => {
    if (info === 'message' || info === 'call') return send(block)
    const expected = JSON.parse(block.text) as unknown
    if (info === 'refused') await expect(latest.shift()).rejects.toMatchObject(expected as object)
    else expect(await shown(await (info === 'reply' ? sent.message : sent.call).shift())).toEqual(expected)
  })

  test('have all been answered', () => {
    expect(sent).toEqual({ message: [], call: [] })
  })

  test('the batch is answered so', async () => {
    const frames = blocks
      .find(({ info }) => info === 'batch')!
      .text.trim()
      .split('\n')
    const out: string[] = []
    const ports = { send: (text: string) => void out.push(text), ended: () => {}, endOfTurn, timer }
    const client = new ServedClient(new Door(), defaultClientLimits, ports, { answers: new Set() })
    await client.batch(frames.map((text) => JSON.parse(text) as Frame))
    expect(`${out.join('\n')}\n`).toBe(blocks.find(({ info }) => info === 'answers')!.text)
  })
})

/** The names in the first column of the first table below a text of the page. */
function tableAfter(text: string): string[] {
  const start = page.indexOf(text)
  expect(start, `the page says: ${text}`).toBeGreaterThan(-1)
  const [table = ''] = /(?:^\|.*\n)+/m.exec(page.slice(start)) ?? []
  const rows = table.split('\n').slice(2)
  return rows.flatMap((row) => [...row.split(' | ')[0]!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)).sort()
}

/** The fields of an interface, as the source declares it. */
function fieldsOf(path: string, name: string): string[] {
  const [, body = ''] = new RegExp(`export interface ${name} \\{\\n([\\s\\S]*?)\\n\\}`).exec(source(path)) ?? []
  const fields = [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??:/gm)].map((match) => match[1]!)
  expect(fields.length, `${name} in ${path}`).toBeGreaterThan(1)
  return fields.sort()
}

describe('the tables of the page', () => {
  test.each([
    ['are one **LinkMessage**', 'rpc/frames.ts', 'LinkMessage'],
    ['gives is a **LinkReply**', 'rpc/frames.ts', 'LinkReply'],
    ['is a **LinkAnswer**', 'rpc/frames.ts', 'LinkAnswer'],
    ['announces the number in `order`', 'rpc/order.ts', 'CallOrder'],
    ['`graph(…).save()` is a text', 'rpc/graph-data.ts', 'GraphData'],
  ])('%s: every field of the source, and no other', (text, path, name) => {
    expect(tableAfter(text)).toEqual(fieldsOf(path, name))
  })

  test('have the arguments of a call without a session', () => {
    const [, body = ''] = /export type PackedCall = \[\n([\s\S]*?)\n\]/.exec(source('rpc/packed-call.ts')) ?? []
    const names = [...body.matchAll(/^ {2}(?:\.\.\.)?(\w+):/gm)].map((match) => match[1]!)
    expect(tableAfter('as a **LinkCall**')).toEqual(names.sort())
    const [, rare = ''] = /(\| `rare` .*)/.exec(page) ?? []
    for (const name of fieldsOf('rpc/packed-call.ts', 'RareOfCall')) expect(rare).toContain(`\`${name}`)
  })

  test('say what an origin carries; what is never sent is not there', () => {
    expect(tableAfter('`origin` travels beside')).toEqual(fieldsOf('rpc/origin.ts', 'Origin').filter((field) => field !== 'records'))
  })

  test('name every method of the framework, and no other', () => {
    const [, handOff = ''] = /#handoffMethods\(.*\{\n {4}return \{\n([\s\S]*?)\n {4}\}/.exec(source('rpc/link-server.ts')) ?? []
    const [, issuer = ''] = / methods\(.*\{\n {4}return \{\n([\s\S]*?)\n {4}\}/.exec(source('object/issuer.ts')) ?? []
    const [, exchange = ''] = / methods\(.*\{\n.*\n {4}return \{\n([\s\S]*?)\n {4}\}/.exec(source('object/exchange.ts')) ?? []
    const [, more = ''] = /FrameworkMethods \{\n {2}return \{\n([\s\S]*?)\n {2}\}/.exec(source('object/framework.ts')) ?? []
    const names = [...`${handOff}\n${issuer}\n${exchange}`.matchAll(/^ {6}(\w+): /gm), ...more.matchAll(/^ {4}(\w+): /gm)].map(
      (match) => `dotdo:${match[1]!}`,
    )
    expect(names.length).toBeGreaterThan(10)
    expect(tableAfter('## Methods of the framework')).toEqual(names.sort())
  })

  test('name every method of the door', () => {
    const [, door = ''] = /export class Door [^{]*\{([\s\S]*?)\n\}/.exec(source('object/door.ts')) ?? []
    const names = [...door.matchAll(/^ {2}(?:async )?(\w+)\(/gm)].map((match) => match[1]!).filter((name) => name !== 'constructor')
    expect(tableAfter('A session starts from the *door*').map((name) => name.replace(/\(.*/, ''))).toEqual(names.sort())
  })

  test('have every frame of lanes and every record of a stream by its number', () => {
    const kinds = new Set([...source('rpc/stream-lanes.ts').matchAll(/^ \* \| `\['(lane[\w-]*)'/gm)].map((match) => match[1]!))
    expect(tableAfter('have no numbers of their own on the wire').map((form) => /'([\w-]+)'/.exec(form)![1])).toEqual([...kinds].sort())
    const rows = [...page.matchAll(/^\| (\d) \| `(\w+)` \|/gm)].map(([, kind, name]) => [name, Number(kind)])
    expect(Object.fromEntries(rows)).toEqual(recordKinds)
  })

  test('have the versions of the source', () => {
    expect(page).toContain(`| \`version\` | ${linkVersion} |`)
    expect(page).toContain(`| \`version\` | ${graphVersion}. A later one`)
  })
})
