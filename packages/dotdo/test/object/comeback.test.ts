/** A client that was cut off comes back: its network waits for the next socket, others do not. */
import { exports } from 'cloudflare:workers'
import { afterEach, expect, test } from 'vitest'
import { appOptions, configureApp } from '../../src/object/app.ts'
import type { ClientLimits } from '../../src/rpc/limits.ts'

const before = { ...appOptions() }
const limit = (client: Partial<ClientLimits>) => configureApp({ ...before, limits: { ...before.limits, client } })
afterEach(() => configureApp(before))

/** Asks for a socket as Cloudflare hands the request of that address on. */
const ask = async (address: string): Promise<Response> =>
  (exports as unknown as { default: Fetcher }).default.fetch('https://app/rpc', {
    headers: { upgrade: 'websocket', 'cf-connecting-ip': address },
  })

/** Opens a socket, says what is no frame, and resolves when it was cut off. */
async function cutOff(address: string): Promise<{ code: number; reason: string }> {
  const socket = (await ask(address)).webSocket!
  const closed = new Promise<{ code: number; reason: string }>((resolve) => socket.addEventListener('close', resolve))
  socket.accept()
  socket.send('no frame')
  return closed
}
function leave({ webSocket }: Response): void {
  webSocket?.accept()
  webSocket?.close()
}

test('its network waits for the next socket, whichever of its addresses of IPv6 it takes', async () => {
  limit({ comebackMs: 300 })
  const start = Date.now()
  expect(await cutOff('2001:db8::1')).toMatchObject({ code: 1007, reason: expect.stringMatching(/^FRAME_INVALID/) })
  const next = await ask('2001:db8::2')
  expect(next.status).toBe(101)
  expect(Date.now() - start).toBeGreaterThanOrEqual(300)
  leave(next)
})

test('its network is refused where it would wait too long, and is told when to try again; another comes in', async () => {
  const hour = 3_600_000
  limit({ comebackMs: hour, comebackEndMs: hour })
  await cutOff('192.0.2.1')
  limit({ comebackEndMs: 1_000 })
  const refused = await ask('192.0.2.1')
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(1)
  expect(await refused.json()).toMatchObject({ code: 'LINK_LIMIT', message: expect.stringContaining('comebackEndMs') })
  const other = await ask('192.0.2.2')
  expect(other.status).toBe(101)
  leave(other)
})

test('it waits for nothing where the app says so', async () => {
  limit({ comebackMs: 0, comebackEndMs: 0 })
  for (let i = 0; i < 3; i++) expect(await cutOff('192.0.2.3')).toMatchObject({ code: 1007 })
})
