/**
 * Who the page is: the token of a session, and how it got it.
 *
 * Owns what lies in sessionStorage under `dotdo.session`. Invariants: (1) a one-time token leaves the address before anything is asked with
 * it, so that it stands in no history; (2) what is stored opens the app, or is forgotten as soon as the app refuses it.
 */
import { codeOf, redeem } from 'dotdo/client'

export interface Session {
  token: string
  /** Epoch milliseconds. */
  expiresAt: number
}

/** Why there is no session. `absent`: the page was opened without a link; `unreachable`: the app did not answer, the link is still good. */
export type NoSession = 'absent' | 'used' | 'expired' | 'invalid' | 'ended' | 'unreachable'

/** What a browser offers for this; a test brings its own. */
export interface Browser {
  storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>
  /** The fragment of the address, with its `#`. */
  hash(): string
  /** Puts another fragment in the place of the present one, without a step in the history. */
  replaceHash(hash: string): void
  now(): number
  redeem(oneTimeToken: string): Promise<Session>
}

const key = 'dotdo.session'

/** The real one. */
export const thisBrowser: Browser = {
  storage: sessionStorageOrNone(),
  hash: () => location.hash,
  replaceHash: (hash) => history.replaceState(null, '', `${location.pathname}${location.search}${hash}`),
  now: () => Date.now(),
  redeem: (oneTimeToken) => redeem(location.origin, oneTimeToken),
}

/** The one-time token of an address such as `/#token=…`, which is taken out of the address; `undefined` where there is none. */
export function takeOneTimeToken(browser: Browser): string | undefined {
  const token = tokenIn(browser.hash())
  if (token !== undefined) browser.replaceHash('#/')
  return token
}

/** The token in a fragment, or in a whole link that somebody pasted. */
export function tokenIn(text: string): string | undefined {
  const match = /#token=([^&\s]+)/.exec(text)
  return match ? decodeURIComponent(match[1]!) : undefined
}

/** The session that is kept, or why there is none. */
export function storedSession(browser: Browser): Session | NoSession {
  const stored = browser.storage.getItem(key)
  if (stored === null) return 'absent'
  const session = readSession(stored)
  if (session && session.expiresAt > browser.now()) return session
  browser.storage.removeItem(key)
  return session ? 'ended' : 'absent'
}

/** Exchanges a one-time token for a session, and keeps it. Tells why where that cannot be. */
export async function openSession(browser: Browser, oneTimeToken: string): Promise<Session | NoSession> {
  try {
    const { token, expiresAt } = await browser.redeem(oneTimeToken)
    browser.storage.setItem(key, JSON.stringify({ token, expiresAt }))
    return { token, expiresAt }
  } catch (error) {
    return reasons[codeOf(error) ?? ''] ?? 'unreachable'
  }
}

/** Forgets the session. */
export function forgetSession(browser: Browser): void {
  browser.storage.removeItem(key)
}

/** Whether an error says that the session is over. */
export function endsSession(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'TOKEN_INVALID' || code === 'TOKEN_EXPIRED'
}

const reasons: Record<string, NoSession> = { TOKEN_USED: 'used', TOKEN_EXPIRED: 'expired', TOKEN_INVALID: 'invalid' }

function readSession(stored: string): Session | undefined {
  try {
    const { token, expiresAt } = JSON.parse(stored) as Partial<Session>
    return typeof token === 'string' && typeof expiresAt === 'number' ? { token, expiresAt } : undefined
  } catch {
    // Something else lies there: it is no session, and is replaced by the next one.
    return undefined
  }
}

/** Storage may be forbidden, as in a frame of another site: the session then lasts until the page is left. */
function sessionStorageOrNone(): Browser['storage'] {
  try {
    return sessionStorage
  } catch {
    const kept = new Map<string, string>()
    return {
      getItem: (name) => kept.get(name) ?? null,
      setItem: (name, value) => void kept.set(name, value),
      removeItem: (name) => void kept.delete(name),
    }
  }
}
