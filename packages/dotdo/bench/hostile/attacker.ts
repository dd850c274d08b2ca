/**
 * A client that means harm, at full speed, in a thread of its own: told by a message which attack to make, and by `stop` to end it.
 *
 * It keeps as much on its way as a socket takes, and opens a new one when its socket is closed.
 */
import { parentPort } from 'node:worker_threads'

/** What the bench asks for. */
export interface Attack {
  kind: string
  url: string
  token: string
}

/** Bytes on their way, at most: what a peer that does not read would let grow without end in this process. */
const mostOnItsWay = 1024 * 1024

let running: { stopped: boolean } | undefined
parentPort!.on('message', (attack: Attack | 'stop') => {
  if (running) running.stopped = true
  if (attack === 'stop') return
  running = { stopped: false }
  void assault(attack, running)
})

async function assault({ kind, url, token }: Attack, state: { stopped: boolean }): Promise<void> {
  while (!state.stopped) {
    const socket = new WebSocket(new URL('/rpc', url).href.replace('http', 'ws'))
    let open = await new Promise<boolean>((resolve) => {
      socket.addEventListener('open', () => resolve(true))
      socket.addEventListener('close', () => resolve(false))
      socket.addEventListener('error', () => resolve(false))
    })
    socket.addEventListener('close', () => (open = false))
    const send = (...frames: unknown[]) => {
      for (const frame of frames) if (open) socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame))
    }
    send(['push', ['pipeline', 0, ['authenticate'], [token]]], ['push', ['pipeline', 1, ['Target'], ['attacked']]])
    const next = attacks[kind]!()
    while (open && !state.stopped) {
      if (socket.bufferedAmount < mostOnItsWay) send(...next())
      await new Promise((resolve) => setImmediate(resolve))
    }
    socket.close()
  }
  parentPort!.postMessage('stopped')
}

const call = (from: number, method: string, ...args: unknown[]) => ['push', ['pipeline', from, [method], args]]

/** Each makes the frames of its next moment. Numbers of calls count on from the two that open the session. */
const attacks: Record<string, () => () => unknown[]> = {
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
