import { DotdoError } from '../base/errors.ts'

/** The address of an app's door. The path is `/rpc` where none is said. @throws `INVALID_URL` */
export function rpcAddress(url: string | URL, scheme: 'ws' | 'http'): string {
  if (!URL.canParse(url))
    throw new DotdoError(
      'INVALID_URL',
      `${JSON.stringify(String(url))} is no address. Write it whole: connect('https://my-pipeline.example', …).`,
      { data: { url: String(url) } },
    )
  const address = new URL(url)
  const secure = address.protocol === 'https:' || address.protocol === 'wss:'
  if (!secure && address.protocol !== 'http:' && address.protocol !== 'ws:') {
    // A host and its port are read as a protocol and its path.
    const meant = /^[^/]+:\d/.test(address.href) ? ` Write http://${address.href}` : ''
    throw new DotdoError('INVALID_URL', `An app is reached by http, https, ws or wss, not ${address.protocol} (${address.href}).${meant}`, {
      data: { url: address.href },
    })
  }
  address.protocol = `${scheme}${secure ? 's' : ''}:`
  if (address.pathname === '/') address.pathname = '/rpc'
  address.hash = ''
  return address.href
}
