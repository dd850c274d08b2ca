import { createServer } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

/** A port of the loopback interface that nobody listened on a moment ago. @returns {Promise<number>} */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/** A server that has just started refuses, and is asked again for a minute. @throws what it said last */
export async function untilIt(what, ask) {
  for (const end = Date.now() + 60_000; ; await wait(200)) {
    try {
      return await ask()
    } catch (error) {
      if (Date.now() > end) throw new Error(`not within a minute: ${what}`, { cause: error })
    }
  }
}
