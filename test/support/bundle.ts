import { fileURLToPath } from 'node:url'
import { build, type Rolldown } from 'vite'

/** A module and all that it imports as one script, as a page loads it. What it exports is on the page as `name`. */
export async function bundleForPage(entry: URL, name: string): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: 'silent',
    build: { write: false, minify: false, target: 'es2024', lib: { entry: fileURLToPath(entry), formats: ['iife'], name } },
  })
  return ([output].flat() as Rolldown.RolldownOutput[])[0]!.output[0].code
}
