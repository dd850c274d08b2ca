/**
 * The entry of an app of one file. wrangler's `main` is this module, and an alias points `dotdo:app` at the file, whose default export is the
 * object. Beside it the file may export what `serve` takes, each by its name: `export const sources = { … }`.
 */
import * as app from 'dotdo:app'
import { optionsIn } from './app.ts'
import type { DurableObjectClass } from './do.ts'
import { serve, type AppHandler } from './serve.ts'

/** The object of the file. Its type is stated, so that the library's declarations do not name a module that only an app has. */
export const Pipeline: DurableObjectClass<object> = app.default
export { DotdoEntrypoint } from './entrypoint.ts'
export { DotdoSystem } from './system.ts'

const handler: AppHandler = serve(optionsIn(app as unknown as Record<string, unknown>))
export default handler
