/** Where clients speak capnweb to the Worker: over a WebSocket for live work, or as one batch by POST. Both are guarded by `rpc/`. */
import { endOfTurn, timer, waitUntil } from '#platform'
import { codeOf, DotdoError } from '../base/errors.ts'
import { Comebacks, networkOf } from '../rpc/comeback.ts'
import { FairShares } from '../rpc/fair-share.ts'
import type { Frame } from '../rpc/frames.ts'
import { defaultClientLimits, overLimit, type ClientLimits } from '../rpc/limits.ts'
import { ServedClient } from '../rpc/served-client.ts'
import { frameInvalid } from '../rpc/value-guard.ts'
import { appOptions } from './app.ts'
import { clock, mapMeter } from './platform.ts'

/** The clients of this isolate share it. Holds no client that does nothing. */
const shares = new FairShares()

/** Networks of which clients were cut off. */
const comebacks = new Comebacks(clock)

/** The limits of clients of this app. */
export const clientLimits = (): ClientLimits => ({ ...defaultClientLimits, ...appOptions().limits?.client })

/**
 * Serves one request of a client: opens its socket, or answers its batch.
 * @param main makes the capability that it starts from
 * @throws `LINK_LIMIT`, `FRAME_INVALID` for a batch that is none: nothing of a session that ended so is answered. `LINK_LIMIT` for a socket of a
 *   network that has too many waiting
 */
export async function serveClient(request: Request, main: () => unknown): Promise<Response> {
  if (request.method === 'POST') {
    const text = await answerBatch(request, main())
    return new Response(text, { headers: { 'access-control-allow-origin': '*' } })
  }
  if (request.headers.get('upgrade')?.toLowerCase() === 'websocket') return openSocket(request, main)
  return new Response('Calls come over a WebSocket, or as one batch by POST: use dotdo/client.\n', {
    status: 405,
    headers: { allow: 'POST' },
  })
}

/**
 * The session of one WebSocket. It ends with the socket, and the socket with it. Who was cut off lately waits for its handshake.
 * @throws `LINK_LIMIT`
 */
async function openSocket(request: Request, main: () => unknown): Promise<Response> {
  const limits = clientLimits()
  const network = networkOf(addressOf(request))
  const waitMs = comebacks.enter(network, limits)
  if (waitMs > 0) await new Promise<void>((resolve) => void timer(waitMs, resolve))
  const { 0: client, 1: server } = new WebSocketPair()
  server.accept()
  const served = new ServedClient(main(), limits, {
    send: (text) => server.send(text),
    ended: (reason) => {
      if (cutOff.has(codeOf(reason))) comebacks.cutOff(network, limits)
      closeSocket(server, reason)
    },
    endOfTurn,
    timer,
    now: () => clock.now(),
    mapMeter,
    firstIsWayIn: true,
    shares,
  })
  server.addEventListener('message', ({ data }) => {
    // The platform reads a socket as fast as it can, serves nobody else while there is more to read, and has no way to be told to wait: only an
    // error of the listener ends its reading.
    if (!served.received(data)) throw overLimit('framesAfterEnd', limits.framesAfterEnd + 1, limits.framesAfterEnd, 'a client')
  })
  server.addEventListener('close', () => served.gone())
  server.addEventListener('error', () => served.gone())
  return new Response(null, { status: 101, webSocket: client })
}

/** Ends of a session that are its client's doing. */
const cutOff: ReadonlySet<unknown> = new Set(['LINK_LIMIT', 'FRAME_INVALID'])

/** Where a request comes from: as Cloudflare says it, or as workerd does where nothing stands before it. All of whom neither is known are one. */
function addressOf(request: Request): string {
  return request.headers.get('cf-connecting-ip') ?? (request.cf as { clientIp?: string } | undefined)?.clientIp ?? ''
}

/** Most bytes of a close frame's reason: RFC 6455, section 5.5. */
const maxReasonBytes = 123

/** Closes a socket with a reason that begins with the code. */
function closeSocket(socket: WebSocket, reason: Error): void {
  const code = codeOf(reason)!
  const limit = reason instanceof DotdoError && typeof reason.data['limit'] === 'string' ? ` ${reason.data['limit']}` : ''
  const text = new TextEncoder().encode(`${code}${limit}: ${reason.message}`).subarray(0, maxReasonBytes)
  // Numbers of RFC 6455, section 7.4.1: too big, invalid, against the policy.
  const number = limit === ' messageBytes' ? 1009 : code === 'FRAME_INVALID' ? 1007 : code === 'LINK_LIMIT' ? 1008 : 1011
  try {
    // A character that was cut in two is left out.
    socket.close(number, new TextDecoder().decode(text, { stream: true }))
  } catch (error) {
    if (code !== 'LINK_LOST') throw error
    // The client has closed it already.
  }
}

async function answerBatch(request: Request, main: unknown): Promise<string> {
  const limits = clientLimits()
  const frames = framesOf(await readText(request, limits.messageBytes))
  const out: string[] = []
  let failure: Error | undefined
  const answers = new Set<number>()
  for (const frame of frames) if (Array.isArray(frame) && (frame[0] === 'resolve' || frame[0] === 'reject')) answers.add(frame[1] as number)
  const served = new ServedClient(
    main,
    limits,
    { send: (text) => void out.push(text), ended: (reason) => (failure = reason), endOfTurn, timer, mapMeter, firstIsWayIn: true },
    { answers },
  )
  try {
    await served.batch(frames)
  } catch (error) {
    throw failure ?? error
  }
  // What the client has let go of by now is given back when its answer has left: nobody waits for that.
  waitUntil(new Promise<void>((resolve) => void endOfTurn(resolve)).then(() => served.gone()))
  return out.join('\n')
}

/** A batch is one frame a line. @throws `FRAME_INVALID` */
function framesOf(text: string): Frame[] {
  if (text === '') return []
  try {
    return text.split('\n').map((line) => JSON.parse(line) as Frame)
  } catch {
    throw frameInvalid('a line is not JSON', text)
  }
}

/** Reads a body that may be larger than it says, or than is allowed. @throws `LINK_LIMIT`, `FRAME_INVALID` */
async function readText(request: Request, most: number): Promise<string> {
  const length = request.headers.get('content-length')
  const announced = Number(length ?? 0)
  if (announced > most) throw overLimit('messageBytes', announced, most, 'a client')
  if (!request.body) return ''
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })
  // No more comes than was announced, so it can be read at once, which takes half the time of reading piece by piece.
  if (length !== null && announced >= 0) {
    const bytes = await request.arrayBuffer()
    if (bytes.byteLength > most) throw overLimit('messageBytes', bytes.byteLength, most, 'a client')
    return decodeBody(decoder, new Uint8Array(bytes), false)
  }
  let text = ''
  let bytes = 0
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength
    if (bytes > most) throw overLimit('messageBytes', bytes, most, 'a client')
    text += decodeBody(decoder, chunk, true)
  }
  return text + decodeBody(decoder, new Uint8Array(), false)
}

function decodeBody(decoder: TextDecoder, chunk: Uint8Array, stream: boolean): string {
  try {
    return decoder.decode(chunk, { stream })
  } catch {
    throw frameInvalid('it is not UTF-8', '')
  }
}
