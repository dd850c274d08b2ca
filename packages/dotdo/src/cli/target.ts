/**
 * Which app a command asks, and as whom. What is said on the command line goes before the environment, and that before the app that runs here.
 */
import { DotdoError } from '../base/errors.ts'
import { sessionToken } from './link.ts'
import { findState, readState, type RunningState } from './state.ts'

/** An app, and what opens it. */
export interface Target {
  url: string
  /** A secret. */
  token: string
}

/** Where to look. */
export interface TargetSources {
  /** Of `--url`, `--token` and `--folder`. */
  url: string | undefined
  token: string | undefined
  folder: string | undefined
  env: Readonly<Record<string, string | undefined>>
  /** Absolute. */
  cwd: string
}

/**
 * The app that is meant: `--url` or `DOTDO_URL`, else the one that runs on the state in `.dotdo/state`. What opens it: `--token` or
 * `DOTDO_TOKEN`, else a session that is signed here with `DOTDO_SECRET`, else with the secret of the local app.
 * @throws `APP_NOT_FOUND` where there is no app or nothing that opens it, `SECRET_MISSING`
 */
export async function findTarget({ env, cwd, ...said }: TargetSources): Promise<Target> {
  const folder = said.folder ?? (env['DOTDO_FOLDER'] || findState(cwd))
  const local = readState(folder)
  const url = said.url ?? (env['DOTDO_URL'] || local?.url)
  if (url === undefined)
    throw new DotdoError(
      'APP_NOT_FOUND',
      `No app runs on the state in ${folder}. Start it: npx dotdo dev. For another app, set DOTDO_URL, and DOTDO_TOKEN or DOTDO_SECRET.`,
      { data: { state: folder } },
    )
  const token = said.token ?? (env['DOTDO_TOKEN'] || undefined)
  if (token !== undefined) return { url, token }
  const secret = env['DOTDO_SECRET'] || (isSame(url, local) ? local!.secret : undefined)
  if (secret === undefined)
    throw new DotdoError(
      'APP_NOT_FOUND',
      `Nothing here opens ${url}. Set DOTDO_TOKEN to a session's token, or DOTDO_SECRET to the secret that the app has: a token is then signed on this machine.`,
      { data: { url } },
    )
  return { url, token: await sessionToken(secret) }
}

function isSame(url: string, local: RunningState | undefined): boolean {
  return local !== undefined && URL.canParse(url) && new URL(url).host === new URL(local.url).host
}
