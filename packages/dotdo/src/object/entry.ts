/**
 * The entry of an app of one file. wrangler's `main` is this module, and an alias points `dotdo:app` at the file, whose default export is the
 * object. Beside it the file may export `sources`, `singletons`, `services`, `offers`, `queues` and `authenticate`, as `serve` takes them.
 */
import * as app from 'dotdo:app'
import type { AppOptions } from './app.ts'
import type { DurableObjectClass } from './do.ts'
import { serve, type AppHandler } from './serve.ts'

/** The object of the file. Its type is stated, so that the library's declarations do not name a module that only an app has. */
export const Pipeline: DurableObjectClass<object> = app.default
export { DotdoEntrypoint } from './entrypoint.ts'
export { DotdoSystem } from './system.ts'

const options = app as unknown as AppOptions

const handler: AppHandler = serve({
  singletons: { Pipeline: ['main'] },
  ...optional('sources'),
  ...optional('singletons'),
  ...optional('services'),
  ...optional('offers'),
  ...optional('queues'),
  ...optional('authenticate'),
  ...optional('traces'),
  ...optional('limits'),
  ...optional('deploys'),
  ...optional('fleet'),
})
export default handler

function optional<Name extends keyof AppOptions>(name: Name): Pick<AppOptions, Name> | undefined {
  return options[name] === undefined ? undefined : ({ [name]: options[name] } as Pick<AppOptions, Name>)
}
