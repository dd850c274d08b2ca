/** The conformance suite over the links that are made in Node. What each case is about stands in `cases/`. */
import { describe, test } from 'vitest'
import { allCases } from './cases/all.ts'
import { runCase } from './kit.ts'
import { directLink, kitOf, leasedLink, localLink, sessionLink, type TestLink } from './links.ts'

const links: [string, () => TestLink][] = [
  ['capnweb in one heap', localLink],
  ['a link: alone where it can be', directLink],
  ['a session for each turn', sessionLink],
  ['a leased session', leasedLink],
]

describe.each(links)('over %s', (_, open) => {
  for (const it of allCases.filter(({ needs }) => open !== localLink || !needs.includes('remote'))) {
    test(`${it.group}: ${it.title}`, async () => {
      const link = open()
      await runCase(it, kitOf(link))
      await link.end()
    })
  }
})
