/**
 * A Worker with Durable Objects and a Workflow in one workerd: the local Workflows of wrangler, which are a Worker of miniflare's beside ours.
 *
 * Owns the process and its folder: everything is on disk. After `stop()` neither is left.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundle, compatibilityDate, fromWrangler } from '../rpc/workerd.ts'

/** A Worker that listens. */
export interface RunningLocal {
  url: string
  stop(): Promise<void>
}

/** Bundles and starts a Worker whose classes are bound as `NATIVE_<class>`, and whose workflow is bound as `FLOW`. */
export async function startLocal(entry: string, classes: string[], workflow: string): Promise<RunningLocal> {
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-bench-runs-'))
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  try {
    const scriptPath = join(folder, 'worker.js')
    await bundle(entry, scriptPath)
    const { Miniflare, Log, LogLevel, convertV4MiniflareOptions } = fromWrangler('miniflare') as typeof import('miniflare')
    const options = convertV4MiniflareOptions({
      name: 'runs',
      modules: true,
      modulesRoot: folder,
      scriptPath,
      compatibilityDate,
      compatibilityFlags: ['nodejs_compat'],
      durableObjects: Object.fromEntries(classes.map((className) => [`NATIVE_${className}`, { className, useSQLite: true }])),
      workflows: { FLOW: { name: 'flow', className: workflow } },
      resourcePersistencePath: join(folder, 'state'),
      log: new Log(LogLevel.ERROR),
      host: '127.0.0.1',
      port: 0,
    })
    const local = new Miniflare(options)
    const url = await local.ready
    return {
      url: url.href,
      async stop() {
        await local.dispose()
        remove()
      },
    }
  } catch (error) {
    remove()
    throw error
  }
}
