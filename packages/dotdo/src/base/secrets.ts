/** `secret()`: texts that are read by nobody but the code that uses them: keys, passwords, tokens of other services. */
import { DotdoError } from './errors.ts'
import { anySecrets, holds, know, mostSecrets, secretIn, shownAs } from './secret-texts.ts'

/** Shorter texts would be found everywhere by chance. */
const leastChars = 8
/** What a secret may be at most; a key in a file of its own has some thousands. */
const mostChars = 16 * 1024

/**
 * A secret, to be handed on without being read. Wherever it is shown it is `[secret NAME]`: in templates, JSON, logs and `inspect`. It is refused
 * where it would be copied, stored or sent to another object.
 */
export class Secret {
  /** What is shown of it. */
  readonly name: string
  /**
   * The text itself, for whatever takes nothing but text. What is shown and stored by dotdo is still kept free of it.
   * A property that holds a function: so structured clone, which drops what it finds on a prototype, refuses a secret.
   */
  readonly reveal: () => string

  constructor(name: string, value: string) {
    this.name = name
    this.reveal = () => value
    holds(this, name)
  }

  /**
   * A secret that is made of this one, and as secret as it: `key.derive((text) => `Bearer ${text}`)`.
   * @throws `INVALID_SECRET`, `TOO_MANY_SECRETS`
   */
  derive(make: (value: string) => string): Secret {
    return secret(this.name, make(this.reveal()))
  }

  toString(): string {
    return shownAs(this.name)
  }

  toJSON(): string {
    return shownAs(this.name)
  }

  [Symbol.toPrimitive](): string {
    return shownAs(this.name)
  }

  /** What Node's and the platform's console show. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return shownAs(this.name)
  }
}

/**
 * Declares a text to be secret, and gives the capability to use it. From then on dotdo shows it to nobody and stores it nowhere, also where code has
 * taken the text itself: in what is shown `[secret NAME]` stands in its place, and what would be stored with it is refused (`NOT_STORABLE`).
 *
 * Known in this isolate alone: declare it where it is used, in `init()` or in the method, each time. Texts that objects send each other, tables, and
 * what your own code writes are not looked at.
 *
 * @param name what is shown: 1 to 64 letters, digits, `_`, `-` and `.`
 * @param value 8 to 16,384 characters
 * @throws `INVALID_SECRET`, `TOO_MANY_SECRETS` (256 in an isolate)
 * @example
 * const key = secret('API_KEY', this.env.API_KEY)
 * await fetch('https://api.example.com/', { headers: { authorization: key.derive((text) => `Bearer ${text}`) } })
 */
export function secret(name: string, value: unknown): Secret {
  if (typeof name !== 'string' || !/^[\w.-]{1,64}$/.test(name))
    throw invalid('A secret has a name of 1 to 64 letters, digits, _, - and ., by which it is shown', {})
  if (value instanceof Secret) return value
  if (typeof value !== 'string' || value.length < leastChars || value.length > mostChars) {
    const found = typeof value === 'string' ? `has ${value.length}` : `is ${value === null ? 'null' : `of type ${typeof value}`}`
    throw invalid(
      `The secret '${name}' must be text of ${leastChars} to ${mostChars} characters, and it ${found}. Set it with: wrangler secret put ${name}`,
      { name },
    )
  }
  if (!know(name, value)) {
    throw new DotdoError(
      'TOO_MANY_SECRETS',
      `The secret '${name}' is one more than the ${mostSecrets} that an isolate knows. secret() is for the keys of an app: keep those of its users in your own tables, encrypted.`,
      { data: { name, limit: mostSecrets } },
    )
  }
  return new Secret(name, value)
}

/**
 * Refuses a text that is to be stored and holds a secret.
 * @param what names the text in the error
 * @throws `NOT_STORABLE`
 */
export function refuseSecrets(what: string, text: string): void {
  const found = anySecrets() ? secretIn(text) : undefined
  if (found === undefined) return
  throw new DotdoError(
    'NOT_STORABLE',
    `${what} cannot be stored: it holds ${found}. Secrets are never stored: leave it out, and take it from env where it is used.`,
    { data: { what, secret: found } },
  )
}

function invalid(message: string, data: Record<string, unknown>): DotdoError {
  return new DotdoError('INVALID_SECRET', message, { data })
}
