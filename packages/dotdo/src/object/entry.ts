/**
 * The entry of an app of one file. wrangler's `main` is this module, and an alias points `dotdo:app` at the file, whose default export is the
 * object. Beside it the file may export `sources`, `singletons` and `authenticate`, as `serve` takes them.
 */
import * as app from 'dotdo:app'
import type { AppOptions } from './app.ts'
import { serve } from './serve.ts'

export { default as Pipeline } from 'dotdo:app'
export { DotdoSystem } from './system.ts'

const options = app as unknown as AppOptions

export default serve({ singletons: { Pipeline: ['main'] }, ...optional('sources'), ...optional('singletons'), ...optional('authenticate') })

function optional<Name extends keyof AppOptions>(name: Name): Pick<AppOptions, Name> | undefined {
  return options[name] === undefined ? undefined : { [name]: options[name] } as Pick<AppOptions, Name>
}
