/** docs/reference/limits.md has each limit once, with the defaults of the source. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { defaultClientLimits, defaultDepthLimits, defaultLinkLimits, defaultObjectLimits } from '../../src/rpc/limits.ts'

const rows = new Map(
  [...readFileSync(new URL('../../../../docs/reference/limits.md', import.meta.url), 'utf8').matchAll(/^\| `(\w+)` \| (.+) \|$/gm)].map(
    ([, name, rest]) => [name!, rest!.split(' | ')],
  ),
)

/** A figure of the page: `1,000`, `16 MiB`, `1 hour`. */
function read(figure: string): number {
  const [number, unit] = figure.replaceAll(',', '').split(' ')
  return Number(number) * (unit === 'MiB' ? 1024 * 1024 : unit === 'hour' ? 3_600_000 : 1)
}

test('each limit stands once with its default, for clients and for objects', () => {
  const names = new Set([
    ...Object.keys(defaultLinkLimits),
    ...Object.keys(defaultClientLimits),
    ...Object.keys(defaultDepthLimits),
    ...Object.keys(defaultObjectLimits),
  ])
  expect([...rows.keys()].sort()).toEqual([...names].sort())
  const all: Record<string, number | undefined>[] = [
    { ...defaultClientLimits },
    { ...defaultLinkLimits },
    { ...defaultDepthLimits },
    { ...defaultObjectLimits },
  ]
  for (const [name, cells] of rows) {
    const defaults = all.flatMap((limits) => (limits[name] === undefined ? [] : [limits[name]]))
    expect(cells.slice(0, defaults.length).map(read), name).toEqual(defaults)
  }
})
