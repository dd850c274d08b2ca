import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { toMs } from '../../src/base/durations.ts'
import { defaultRetention, readRetention, retentionOf } from '../../src/base/retention.ts'

const source = new URL('../../src/', import.meta.url)
const texts = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => readFileSync(new URL(path, source), 'utf8'))
const named = (pattern: RegExp): string[] => texts.flatMap((text) => [...text.matchAll(pattern)].map((it) => it[1]!))
/** Every table that any room makes, but for those that a later migration has dropped. */
const dropped = new Set(named(/DROP TABLE (dotdo_\w+)/g))
const tables = new Set(named(/CREATE TABLE (?:IF NOT EXISTS )?(dotdo_\w+)/g).filter((it) => !dropped.has(it)))
const page = readFileSync(new URL('../../../../docs/reference/keeping-house.md', import.meta.url), 'utf8')

describe('the rules by which rows go', () => {
  test('name every table of the source, and no other: what has no rule must not be stored', () => {
    expect(tables.size).toBeGreaterThan(20)
    expect(Object.keys(retentionOf).sort()).toEqual([...tables].sort())
  })

  test('each have tables, a default, and a line of the page that says both', () => {
    const rows = [...page.matchAll(/^\| `(\w+)` \| (\d+ \w+) \| (.+?) \|/gm)].map(
      ([, name, length, of]) => [name!, toMs(length!), of!] as const,
    )
    expect(Object.fromEntries(rows.map(([name, ms]) => [name, ms]))).toEqual({ ...defaultRetention })
    for (const [table, rule] of Object.entries(retentionOf)) {
      const lines = page.split('\n').filter((it) => it.includes(`\`${table}\``))
      const own = rule === 'fixed' || rule === 'own' ? lines : lines.filter((it) => it.startsWith(`| \`${rule}\` |`))
      expect(own, table).toHaveLength(1)
    }
  })
})

describe('serve({ keep })', () => {
  test('changes what it names, and leaves the rest', () => {
    expect(readRetention({ runs: '90d', deadLetters: 3_600_000 })).toEqual({
      ...defaultRetention,
      runs: toMs('90d'),
      deadLetters: 3_600_000,
    })
    expect(readRetention()).toEqual(defaultRetention)
  })

  test.each<[string, object]>([
    ['a name that there is not', { rums: '1d' }],
    ['no time at all', { runs: 0 }],
    ['a receiver that forgets before its sender does', { deadLetters: '90d' }],
    ['the same length for both', { inbox: '30d' }],
  ])('refuses %s', (_, keep) => {
    expect(() => readRetention(keep)).toThrow(expect.objectContaining({ code: 'KEEP_INVALID', retryable: false }))
  })
})
