/** Restate: its server as a process with its default settings (one node, RocksDB with a synced log), and the services in this process over HTTP/2. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import * as restate from '@restatedev/restate-sdk'
import { freePort, untilIt } from './waiting.mjs'

/** Starts it. @param {string} folder for its state */
export async function start(folder) {
  const [ingress, admin, fabric, service] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
  const at = (port) => `127.0.0.1:${port}`
  const binary = createRequire(createRequire(import.meta.url).resolve('@restatedev/restate-server/package.json')).resolve(
    `@restatedev/restate-server-${process.platform}-${process.arch}/bin/restate-server`,
  )
  const server = spawn(binary, ['--base-dir', folder, '--node-name', 'bench', '--listen-mode', 'tcp', '--no-logo'], {
    stdio: 'ignore',
    env: {
      ...process.env,
      RESTATE_INGRESS__BIND_ADDRESS: at(ingress),
      RESTATE_ADMIN__BIND_ADDRESS: at(admin),
      RESTATE_BIND_ADDRESS: at(fabric),
      RESTATE_DISABLE_TELEMETRY: 'true',
      DO_NOT_TRACK: '1',
    },
  })
  const exited = once(server, 'exit')

  const ledger = restate.object({
    name: 'ledger',
    handlers: {
      write: async (ctx, i) => {
        ctx.set('last', i)
        return i
      },
    },
  })
  const flow = restate.service({
    name: 'flow',
    handlers: {
      noop: async (ctx, count) => {
        let sum = 0
        for (let i = 0; i < count; i++) sum += await ctx.run(`step-${i}`, async () => i)
        return sum
      },
      io: async (ctx, count) => {
        let sum = 0
        for (let i = 0; i < count; i++) sum += await ctx.objectClient({ name: 'ledger' }, 'called').write(i)
        return sum
      },
    },
  })
  await restate
    .endpoint()
    .setLogger(() => {})
    .bind(ledger)
    .bind(flow)
    .listen(service)

  const ask = async (url, body) => {
    const response = await fetch(url, {
      ...(body !== undefined && { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${url}: ${response.status} ${text}`)
  }
  await untilIt('Restate is healthy', () => ask(`http://${at(admin)}/health`))
  await untilIt('Restate knows the services', () => ask(`http://${at(admin)}/deployments`, { uri: `http://${at(service)}` }))
  return {
    run: (kind, count) => ask(`http://${at(ingress)}/flow/${kind}`, count),
    wayIn: () => ask(`http://${at(ingress)}/restate/health`),
    async stop() {
      server.kill('SIGKILL')
      await exited
    },
  }
}
