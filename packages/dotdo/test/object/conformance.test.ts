/** The conformance suite between real objects: from a Worker to an object, and from one object to another. */
import { describe, expect, test } from 'vitest'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import { narrow } from '../../src/object/authority.ts'
import { allCases } from '../conformance/cases/all.ts'
import { runCase, type Far } from '../conformance/kit.ts'

const links = () => new Links(linkPorts('test', () => {}))

describe('from a Worker to an object', () => {
  test.each(allCases.map((it) => [`${it.group}: ${it.title}`, it] as const))('%s', async (title, it) => {
    let opened = 0
    await runCase(it, {
      traits: { wire: 'clone', lacks: {} },
      open: async () => links().user('World', `from outside ${title} ${opened++}`) as Far,
      anew: (world) => narrow(world, {}) as Far,
      settle: () => new Promise((resolve) => setTimeout(resolve, 20)),
    })
  })
})

describe('from one object to another', () => {
  const driver = links().user('Driver', 'one') as Far
  test.each(allCases.map((it) => `${it.group}: ${it.title}`))('%s', async (title) => {
    expect(await driver.run(title)).toBe('passed')
  })
})
