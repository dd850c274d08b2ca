/**
 * The page is built into the package `dotdo`, so that every app serves it as its assets.
 *
 * `npm run dev -w packages/console` serves it with hot reload and passes calls on to an app on port 8787 (or DOTDO_APP).
 */
import { fileURLToPath } from 'node:url'
import preact from '@preact/preset-vite'
import { defineConfig } from 'vite'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const app = process.env['DOTDO_APP'] ?? 'http://127.0.0.1:8787'

export default defineConfig({
  root: at('.'),
  plugins: [preact({ devToolsEnabled: false })],
  // The source, so that the page is never built against an older client.
  resolve: { alias: { 'dotdo/client': at('../dotdo/src/client.ts'), 'dotdo/words': at('../dotdo/src/words.ts') } },
  build: { outDir: at('../dotdo/dist/console'), emptyOutDir: true, target: 'es2022', modulePreload: false },
  server: { proxy: { '/rpc': { target: app, ws: true }, '/live': { target: app, ws: true } } },
})
