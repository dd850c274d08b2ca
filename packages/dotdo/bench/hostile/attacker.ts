/**
 * A client that means harm, at full speed, in a process of its own: told by a message which attack to make, and by `stop` to tell what it did.
 *
 * It keeps as much on its way as a socket takes, and opens a new one at once when its socket is closed or its handshake refused.
 */

/** What the bench asks for. */
export interface Attack {
  kind: string
  /** Of the socket. */
  url: string
  token: string
}

/** What an attack has done. */
export interface Done {
  sockets: number
  frames: number
}

/** Bytes on their way, at most: what a peer that does not read would let grow without end in this process. */
const mostOnItsWay = 4 * 1024 * 1024

const done: Done = { sockets: 0, frames: 0 }
process.on('message', (attack: Attack | 'stop') => {
  if (attack === 'stop') process.send!(done)
  else void assault(attack)
})
process.send!('ready')

async function assault({ kind, url, token }: Attack): Promise<void> {
  for (;;) {
    const socket = new WebSocket(url)
    let open = await new Promise<boolean>((resolve) => {
      socket.addEventListener('open', () => resolve(true))
      socket.addEventListener('close', () => resolve(false))
      socket.addEventListener('error', () => resolve(false))
    })
    socket.addEventListener('close', () => (open = false))
    if (open) done.sockets++
    const answered = new Set<number>()
    socket.addEventListener('message', ({ data }) => {
      const [frame, id] = /^\["re(?:solve|ject)",(\d+)/.exec(String(data)) ?? []
      if (frame) answered.add(Number(id))
    })
    const send = (...frames: unknown[]) => {
      for (const frame of frames) {
        if (!open) return
        done.frames++
        socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame))
      }
    }
    send(['push', ['pipeline', 0, ['authenticate'], [token]]], ['push', ['pipeline', 1, ['Target'], ['attacked']]])
    const next = attacks[kind]!(answered)
    while (open) {
      const frames = socket.bufferedAmount < mostOnItsWay ? next() : []
      send(...frames)
      // Where there is nothing to send, or the socket is full, the processor is left to those who are attacked: to spin would be an attack on the
      // machine that is measured, and not on the Worker.
      await new Promise((resolve) => (frames.length === 0 ? setTimeout(resolve, 1) : setImmediate(resolve)))
    }
  }
}

const call = (from: number, method: string, ...args: unknown[]) => ['push', ['pipeline', from, [method], args]]

/** Each makes the frames of its next moment. Numbers of calls count on from the two that open the session. */
const attacks: Record<string, (answered: Set<number>) => () => unknown[]> = {
  calls() {
    let id = 2
    return () => Array.from({ length: 50 }, () => [call(2, 'ping'), ['pull', ++id], ['release', id, 1]]).flat()
  },
  chains() {
    let id = 2
    return () => {
      const frames: unknown[] = [call(2, 'ping')]
      const first = ++id
      for (let i = 1; i < 120; i++) frames.push(['push', ['pipeline', id++, ['x']]])
      frames.push(['pull', id])
      for (let it = first; it <= id; it++) frames.push(['release', it, 1])
      return frames
    }
  },
  maps() {
    let id = 2
    return () => {
      const list = ++id
      id += 1
      const over = ['push', ['remap', list, [], [['import', list]], [['remap', -1, [], [], [[[['import', 0]]]]]]]]
      return [call(2, 'list', 1_000), over, ['pull', id], ['release', list, 1], ['release', id, 1]]
    }
  },
  patient(answered) {
    const [maps, asked] = [attacks['maps']!(answered), { id: 0 }]
    return () => {
      if (asked.id > 0 && !answered.delete(asked.id)) return []
      const frames = maps()
      asked.id = (frames[2] as [string, number])[1]
      return frames
    }
  },
  exports() {
    let id = -1
    return () => [call(2, 'echo', ...Array.from({ length: 100 }, () => ['export', id--]))]
  },
  large() {
    let id = 2
    const value = 'x'.repeat(256 * 1024)
    return () => [call(2, 'echo', value), ['release', ++id, 1]]
  },
  garbage: () => () => ['["push",["pipeline",1,["Target"],'],
}
