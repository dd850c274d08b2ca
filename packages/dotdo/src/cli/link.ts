/** Links and tokens that are signed on this machine. */
import { randomBytes } from 'node:crypto'
import { signToken } from '../rpc/tokens.ts'

/** How long a link that nobody opened is good for. */
const linkMs = 3_600_000
/** How long a session is good for that a command opens for itself: as long as one of a page. */
const sessionMs = 12 * 3_600_000

/** A link that opens the page of the app at `url` once, within the hour. Nothing is sent anywhere. @throws `SECRET_MISSING` */
export async function oneTimeLink(url: string, secret: string | undefined): Promise<string> {
  const token = await signToken({ kind: 'once', id: randomBytes(16).toString('hex'), expiresAt: Date.now() + linkMs }, secret)
  return `${new URL('/', url).href}#token=${token}`
}

/** A token that opens the app which has this secret, for 12 hours. @throws `SECRET_MISSING` */
export function sessionToken(secret: string | undefined): Promise<string> {
  return signToken({ kind: 'session', expiresAt: Date.now() + sessionMs }, secret)
}
