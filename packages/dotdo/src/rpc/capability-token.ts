/**
 * The token of a saved capability: `dotdo1.<claims>.<signature>`, as a session's. The claims say which object issued it, so that a token alone
 * finds its way; what it gives stands in that object's table and not here.
 *
 * Signing is synchronous, by a port, because a reference is restored in the middle of an expression and called at once.
 */
import { DotdoError } from '../base/errors.ts'
import { base64url, fromBase64url } from './tokens.ts'

/** HMAC-SHA-256 of a text by the app's secret. @throws `SECRET_MISSING` */
export type Mac = (text: string) => Uint8Array

/** Which object a token is of. */
export interface Issuer {
  noun: string
  name: string
  jurisdiction?: string
}

/** What a capability's token says. */
export interface CapabilityClaims extends Issuer {
  kind: 'capability'
  v: 1
  /** The grant in the issuer's table. */
  id: string
  /** 128 random bits that stand in the token alone: who has the issuer's table, or its secret, does not have the token. */
  nonce: string
  /** Epoch milliseconds. Absent: until it is revoked. */
  expiresAt?: number
}

/** Longest token: a name of 1,024 characters may take three bytes each. */
const maxTokenLength = 8_192

/** Signs the claims of a capability. @throws `SECRET_MISSING` */
export function signCapability(claims: CapabilityClaims, mac: Mac): string {
  const head = `dotdo1.${base64url(new TextEncoder().encode(JSON.stringify(claims)))}`
  return `${head}.${base64url(mac(head))}`
}

/** What a token says, whoever wrote it: enough to find the object that can check it. @throws `TOKEN_INVALID` */
export function readCapability(token: unknown): CapabilityClaims {
  return take(token).claims
}

/** What a token says that was signed with this secret. @throws `TOKEN_INVALID`, `SECRET_MISSING` */
export function verifyCapability(token: unknown, mac: Mac): CapabilityClaims {
  const { head, claims, signature } = take(token)
  if (!isSame(base64url(mac(head)), signature))
    throw invalidCapability(
      'its signature is not by the secret of this app',
      'Restore it at the app that issued it, or at one with the same DOTDO_SECRET; or ask whoever handed it out for a new one.',
    )
  return claims
}

/** The error for a token that opens nothing. It says why, and never repeats the token. */
export function invalidCapability(reason: string, next = 'Ask whoever handed it out for a new one.'): DotdoError {
  return new DotdoError('TOKEN_INVALID', `The token of this capability is not valid: ${reason}. ${next}`, {
    data: { reason },
  })
}

function take(token: unknown): { head: string; claims: CapabilityClaims; signature: string } {
  const match = typeof token === 'string' && token.length <= maxTokenLength ? /^(dotdo1\.([\w-]+))\.([\w-]{43})$/.exec(token) : null
  if (!match) throw invalidCapability('it has not the form of one')
  return { head: match[1]!, claims: readClaims(match[2]!), signature: match[3]! }
}

function readClaims(text: string): CapabilityClaims {
  let claims: unknown
  try {
    claims = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(fromBase64url(text)))
  } catch {
    // What it says cannot be read; the reason is of no use, and may repeat a part of the token.
    throw invalidCapability('it has not the form of one')
  }
  const { kind, v, noun, name, id, nonce, jurisdiction, expiresAt } = (claims ?? {}) as Record<string, unknown>
  if (kind !== 'capability') throw invalidCapability('it is a token of another kind: those open an app, this would be a capability')
  if (v !== 1) throw invalidCapability('it was written by another release of dotdo')
  const isWhole = [noun, name, id, nonce].every((it) => typeof it === 'string' && it.length > 0)
  const isTimed = expiresAt === undefined || (typeof expiresAt === 'number' && Number.isFinite(expiresAt))
  if (!isWhole || !isTimed || !['undefined', 'string'].includes(typeof jurisdiction))
    throw invalidCapability('it does not say what it leads to')
  return claims as CapabilityClaims
}

/** Compares in a time that does not tell where the texts differ. */
function isSame(one: string, other: string): boolean {
  let difference = one.length ^ other.length
  for (let i = 0; i < one.length; i++) difference |= one.charCodeAt(i) ^ other.charCodeAt(i)
  return difference === 0
}
