/**
 * Signed tokens: what `authenticate` takes where the app brings no check of its own. (Tokens of saved capabilities have the same form and are
 * in `capability-token.ts`.)
 *
 * A token is `dotdo1.<claims>.<signature>`: claims as base64url JSON, HMAC-SHA-256 of the part before the signature by the secret in
 * `DOTDO_SECRET`. A token is a secret: it is never logged, and an error does not repeat it.
 */
import { DotdoError } from '../base/errors.ts'

const version = 'dotdo1'

/** What a token says. Instants are epoch milliseconds. */
export interface Claims {
  expiresAt: number
  /** `session`: opens the app. `once`: is exchanged for a session, one time. `watch`: opens the live events of one object. */
  kind: 'session' | 'once' | 'watch'
  /** Of a `once` token: what it is remembered by when it was used. */
  id?: string
  /** Of a `watch` token: noun and name. */
  object?: string
}

const kinds: readonly unknown[] = ['session', 'once', 'watch'] satisfies Claims['kind'][]

/** Signs claims, in a Worker or in a script that has the app's secret. @throws `SECRET_MISSING`, `INVALID_OPTIONS` for a kind that there is not */
export async function signToken(claims: Claims, secret: string | undefined): Promise<string> {
  const kind: unknown = (claims as Claims | undefined)?.kind
  // A token that opens nothing would be found out by whoever was given it.
  if (!kinds.includes(kind))
    throw new DotdoError('INVALID_OPTIONS', `No token of kind ${JSON.stringify(kind)} can be signed: give one of ${kinds.join(', ')}.`, {
      data: { kind },
    })
  if (!isSecret(secret))
    throw new DotdoError(
      'SECRET_MISSING',
      'There is no secret of 16 characters or more to sign a token with. Give the one that the app has as DOTDO_SECRET: node --env-file=.dev.vars sets what stands in that file.',
    )
  const head = `${version}.${base64url(new TextEncoder().encode(JSON.stringify(claims)))}`
  const signature = await crypto.subtle.sign('HMAC', await hmacKey(secret), new TextEncoder().encode(head))
  return `${head}.${base64url(new Uint8Array(signature))}`
}

/**
 * Reads a token whose signature is ours, whose time has not run out, and whose kind is the one that is asked for.
 * @throws `TOKEN_INVALID`, `TOKEN_EXPIRED`, `SECRET_MISSING`
 */
export async function verifyToken(token: unknown, kind: Claims['kind'], secret: string | undefined, now: number): Promise<Claims> {
  const key = await hmacKey(secret)
  const match = typeof token === 'string' && token.length < 4096 ? /^(dotdo1\.([\w-]+))\.([\w-]+)$/.exec(token) : null
  if (!match) throw invalid('it has not the form of one')
  // The last character of a signature has bits that no byte needs: one token is one text.
  if (base64url(fromBase64url(match[3]!)) !== match[3]) throw invalid('its signature is not of this app')
  const genuine = await crypto.subtle.verify('HMAC', key, fromBase64url(match[3]!), new TextEncoder().encode(match[1]!))
  if (!genuine) throw invalid('its signature is not of this app')
  const claims = JSON.parse(new TextDecoder().decode(fromBase64url(match[2]!))) as Claims
  if (claims.kind !== kind) throw invalid(`it is a '${claims.kind}' token, and a '${kind}' token is needed`)
  if (!Number.isFinite(claims.expiresAt)) throw invalid('it does not say when it expires')
  if (kind === 'once' && (typeof claims.id !== 'string' || claims.id === ''))
    throw invalid('it is to be used once and has no id to be remembered by')
  if (claims.expiresAt <= now) {
    throw new DotdoError(
      'TOKEN_EXPIRED',
      `The token has expired at ${new Date(claims.expiresAt).toISOString()}. Open a new link, which npm start and npx dotdo dev print, or sign a new token.`,
      { data: { expiredAt: claims.expiresAt } },
    )
  }
  return claims
}

function invalid(reason: string): DotdoError {
  return new DotdoError(
    'TOKEN_INVALID',
    `The token is not valid: ${reason}. Open the link that the app printed last, or sign a token with this app's secret.`,
    { data: { reason } },
  )
}

/**
 * The secret, where the app has one.
 * @param object whose capabilities are signed with it, as `Noun/name`: each Worker has a secret of its own, and it may be another's that is missing
 * @throws `SECRET_MISSING`
 */
export function requireSecret(secret: string | undefined, object?: string): string {
  if (!isSecret(secret)) {
    const set = 'Set DOTDO_SECRET there, 16 characters or more: wrangler secret put DOTDO_SECRET, on this machine a line of .dev.vars'
    throw new DotdoError(
      'SECRET_MISSING',
      object === undefined
        ? `This Worker has no secret to sign and check tokens with. ${set}, or give serve() an authenticate function.`
        : `The Worker that has ${object} has no secret to sign and check its capabilities with. ${set}: other Workers' secrets are their own.`,
      { data: object === undefined ? {} : { object } },
    )
  }
  return secret
}

function isSecret(secret: unknown): secret is string {
  return typeof secret === 'string' && secret.length >= 16
}

async function hmacKey(secret: string | undefined): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', new TextEncoder().encode(requireSecret(secret)), { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
    'verify',
  ])
}

/** Bytes as text that fits into an address: RFC 4648, section 5, without padding. */
export function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}

/** Reads what {@link base64url} wrote. @throws `TOKEN_INVALID` */
export function fromBase64url(text: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0))
  } catch (cause) {
    throw new DotdoError('TOKEN_INVALID', 'The token is not valid: it has not the form of one.', { cause })
  }
}
