import { DotdoError } from '../base/errors.ts'

/** The address of an app's door. The path is `/rpc` where none is said. @throws `INVALID_URL` */
export function rpcAddress(url: string | URL, scheme: 'ws' | 'http'): string {
  const said = String(url)
  const [, secure] = /^(?:http|ws)(s?):/i.exec(said) ?? []
  if (secure === undefined || !URL.canParse(said))
    throw new DotdoError(
      'INVALID_URL',
      // A host and its port alone would be read as a protocol and its path.
      `${JSON.stringify(said)} is no address. Write http://${said.split('//').pop()}`,
      { data: { url: said } },
    )
  const address = new URL(url)
  address.protocol = scheme + secure
  if (address.pathname === '/') address.pathname = '/rpc'
  address.hash = ''
  return address.href
}
