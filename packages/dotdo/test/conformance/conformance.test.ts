/** The conformance suite over the links that are made in Node. What each case is about stands in `cases/`. */
import { describe, test } from 'vitest'
import { allCases } from './cases/all.ts'
import { runCase, type Case } from './kit.ts'
import { kitOf, leasedLink, localLink, sessionLink, type TestLink } from './links.ts'

const links: [string, () => TestLink][] = [
  ['capnweb in one heap', localLink],
  ['the session link', sessionLink],
  ['a leased session', leasedLink],
]

/** What the session link is about to learn: a session that is let go of ends, and a root in a recording is the session's own. */
const notYet = (it: Case): boolean =>
  it.group === 'map' ||
  (it.group === 'ends' && /let go|lets go|last one/.test(it.title)) ||
  /straight back|give capabilities/.test(it.title)

describe.each(links)('over %s', (_, open) => {
  for (const it of allCases
    .filter(({ needs }) => open !== localLink || !needs.includes('remote'))
    .filter((it) => open === localLink || !notYet(it))) {
    test(`${it.group}: ${it.title}`, async () => {
      const link = open()
      await runCase(it, kitOf(link))
      await link.end()
    })
  }
})
