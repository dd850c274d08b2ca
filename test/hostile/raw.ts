/** A client that speaks frames by hand, as none that means well would. */

/** One raw socket, and what it was told. */
export interface Raw {
  socket: WebSocket
  /** Frames that came, in order. */
  frames: unknown[][]
  send(...frames: unknown[]): void
  /** Resolves with the frame that answers a call. Rejects when the socket closes before. */
  answer(id: number): Promise<unknown[]>
  closed: Promise<{ code: number; reason: string }>
  close(): void
}

/** Opens a raw socket to an app. Without a token it has only the door: call 1 is then not made. */
export async function raw(url: string, token?: string): Promise<Raw> {
  const socket = new WebSocket(new URL('/rpc', url).href.replace('http', 'ws'))
  const frames: unknown[][] = []
  const waiting = new Map<number, PromiseWithResolvers<unknown[]>>()
  const closing = Promise.withResolvers<{ code: number; reason: string }>()
  socket.addEventListener('message', ({ data }) => {
    const frame = JSON.parse(String(data)) as unknown[]
    frames.push(frame)
    if (frame[0] === 'resolve' || frame[0] === 'reject') waiting.get(frame[1] as number)?.resolve(frame)
  })
  socket.addEventListener('close', ({ code, reason }) => {
    closing.resolve({ code, reason })
    for (const { reject } of waiting.values()) reject(new Error(`closed: ${code} ${reason}`))
  })
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', () => reject(new Error('not opened')))
  })
  const it: Raw = {
    socket,
    frames,
    send: (...list) => {
      for (const frame of list) socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame))
    },
    answer(id) {
      const found = frames.find(([kind, of]) => (kind === 'resolve' || kind === 'reject') && of === id)
      if (found) return Promise.resolve(found)
      const promise = Promise.withResolvers<unknown[]>()
      waiting.set(id, promise)
      // Not every caller looks at every answer.
      promise.promise.catch(() => {})
      return promise.promise
    },
    closed: closing.promise,
    close: () => socket.close(),
  }
  // Calls 1 and 2 of a session with a token: the app, and the object that is attacked.
  if (token !== undefined)
    it.send(['push', ['pipeline', 0, ['authenticate'], [token]]], ['push', ['pipeline', 1, ['Target'], ['attacked']]])
  return it
}

/** The frame of a call on the result of another. */
export const call = (from: number, method: string, ...args: unknown[]): unknown[] => ['push', ['pipeline', from, [method], args]]

/** The code of a `reject` or `abort` frame, or undefined for an answer. */
export function codeIn(frame: unknown[]): string | undefined {
  const error = (frame[0] === 'abort' ? frame[1] : frame[0] === 'reject' ? frame[2] : undefined) as unknown[] | undefined
  return (error?.[4] as { code?: string } | undefined)?.code
}
