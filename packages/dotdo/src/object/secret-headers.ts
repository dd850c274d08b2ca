/** Secrets as headers of the patched `fetch`: what is sent is what they hold. */
import { DotdoError } from '../base/errors.ts'
import { anySecrets } from '../base/secret-texts.ts'
import { Secret } from '../base/secrets.ts'

/** Headers whose values may be secrets. */
export type SecretHeaders = Readonly<Record<string, string | Secret>> | readonly (readonly [string, string | Secret])[]

declare global {
  /** As the platform's `fetch`, with secrets among the headers. */
  function fetch(input: RequestInfo | URL, init: Omit<RequestInit, 'headers'> & { headers: SecretHeaders }): Promise<Response>
}

/**
 * What the platform is to be given: secrets among the headers revealed. Nothing is copied where none was ever declared.
 * @throws `SECRET_NOT_REVEALED` for a header in which a secret was written as text, and so stands as `[secret NAME]`
 */
export function revealHeaders(input: unknown, init: RequestInit | undefined): RequestInit | undefined {
  if (!anySecrets()) return init
  if (input instanceof Request) checkHeaders(input.headers)
  const given = init?.headers as Headers | SecretHeaders | undefined
  if (given === undefined || given === null) return init
  const pairs = given instanceof Headers || Array.isArray(given) ? [...given] : Object.entries(given)
  const headers = pairs.map(([name, value]: readonly [string, string | Secret]): [string, string] => [
    name,
    value instanceof Secret ? value.reveal() : value,
  ])
  checkHeaders(headers)
  return { ...init, headers }
}

function checkHeaders(headers: Iterable<[string, string]>): void {
  for (const [header, value] of headers) {
    const shown = /\[secret ([\w.-]+)\]/.exec(String(value))?.[1]
    if (shown === undefined) continue
    throw new DotdoError(
      'SECRET_NOT_REVEALED',
      `The header '${header}' would be sent with the text '[secret ${shown}]': a secret was written into a text. Give fetch the secret itself, or one that is made of it: key.derive((text) => \`Bearer \${text}\`).`,
      { data: { header, secret: shown } },
    )
  }
}
