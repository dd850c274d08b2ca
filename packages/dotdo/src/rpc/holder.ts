/** Who alone may restore a saved capability: whoever knows a secret, or one object. */
import { DotdoError } from '../base/errors.ts'
import { invalid } from './patterns.ts'

/** `secret`: whoever restores presents it, 16 characters or more. `object`: only this one may restore, as `Noun/name`, or `eu:Noun/name`. */
export type Holder = { secret: string } | { object: string }

/** A holder as it is stored: of a secret only the SHA-256, salted by the grant's id. */
export type StoredHolder = { secretHash: string } | { object: string }

/** Guessing is bounded by the length alone: each guess costs one call, and none tells anything. */
const minSecret = 16
const maxSecret = 1_024

/** Reads what `save` was given. @throws `INVALID_CAVEAT` */
export function readHolder(written: unknown): Holder | undefined {
  if (written === undefined) return undefined
  const { secret, object, ...rest } = (typeof written === 'object' && written !== null ? written : {}) as Record<string, unknown>
  const isOne = Object.keys(rest).length === 0 && (secret === undefined) !== (object === undefined)
  if (isOne && typeof secret === 'string' && secret.length >= minSecret && secret.length <= maxSecret) return { secret }
  if (isOne && typeof object === 'string' && /^(?:[a-z-]+:)?[A-Z]\w*\/./s.test(object) && object.length <= maxSecret + 256)
    return { object }
  throw invalid(
    'holder',
    `must be { secret } with a text of ${minSecret} to ${maxSecret} characters, or { object: 'Noun/name' }, with the jurisdiction before it where the object has one: 'eu:Noun/name'`,
  )
}

/** What is stored of a holder. */
export function storeHolder(holder: Holder, grantId: string, sha256: (text: string) => string): StoredHolder {
  return 'object' in holder ? { object: holder.object } : { secretHash: sha256(`${grantId} ${holder.secret}`) }
}

/**
 * Whether whoever restores is the holder.
 * @param presented what `restore` was given
 * @param caller the object that restores; nobody but the framework says so
 * @throws `HOLDER_REFUSED`, which does not say who would be right
 */
export function checkHolder(
  holder: StoredHolder,
  grantId: string,
  presented: unknown,
  caller: string | undefined,
  sha256: (text: string) => string,
): void {
  if ('object' in holder) {
    if (caller !== undefined && caller === holder.object) return
  } else {
    const secret = typeof presented === 'object' && presented !== null ? (presented as Record<string, unknown>)['secret'] : undefined
    // Hashes are compared, not secrets: where they differ tells nothing of the secret.
    if (typeof secret === 'string' && secret.length <= maxSecret && sha256(`${grantId} ${secret}`) === holder.secretHash) return
  }
  throw new DotdoError(
    'HOLDER_REFUSED',
    'This capability is bound to a holder, and whoever restores it is another one. Present the secret that it was saved with, restore(token, { holder: { secret } }), or restore it in the object that it was made for.',
  )
}
