/**
 * Every export says what it is: each exported declaration of packages/dotdo/src follows a TSDoc comment. A plain reader of
 * lines: the formatter keeps top-level declarations at the start of a line.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from '../support/app.ts'

const source = join(root, 'packages/dotdo/src')
const declaration = /^export (?:default )?(?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type|enum) (\w+)/
const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts') && !path.startsWith('vendor'))
  .sort()

/** Whether the lines above one end in a TSDoc comment. Comments for tools may stand between. */
function hasDoc(lines: string[], index: number): boolean {
  let above = index - 1
  while (/^\s*(?:\/\/ oxlint|\/\/ oxfmt|@)/.test(lines[above] ?? '')) above--
  if (!/\*\/\s*$/.test(lines[above] ?? '')) return false
  while (above > 0 && !/^\s*\/\*/.test(lines[above]!)) above--
  return /^\s*\/\*\*/.test(lines[above]!)
}

/** The exported declarations of a text without a TSDoc comment, with their lines. An overload is documented at its first signature. */
function undocumented(text: string): string[] {
  const lines = text.split('\n')
  const seen = new Set<string>()
  return lines.flatMap((line, index) => {
    const name = declaration.exec(line)?.[1]
    if (name === undefined || seen.has(name)) return []
    seen.add(name)
    return hasDoc(lines, index) ? [] : [`${index + 1}: ${name}`]
  })
}

/** The names that an entry passes on, with the file of each. */
function exportsOf(entry: string): { name: string; file: string }[] {
  const text = readFileSync(join(source, entry), 'utf8')
  const lists = [...text.matchAll(/^export (?:type )?\{([^}]+)\} from '([^']+)'/gm)]
  return lists.flatMap(([, names, from]) =>
    // A list over several lines ends with a comma.
    names!.split(',').flatMap((part) => {
      const name = part
        .replace(/\btype /, '')
        .replace(/ as .*/s, '')
        .trim()
      return name === '' ? [] : [{ name, file: relative(source, join(source, dirname(entry), from!)) }]
    }),
  )
}

describe('TSDoc', () => {
  test('the reader of lines sees what lacks a comment, and only that', () => {
    const text = [
      '/** Said. */',
      'export const a = 1',
      '',
      'export const b = 2',
      '/* no doc */',
      'export class C {}',
      '/**',
      ' * Said.',
      ' */',
      '// oxlint-disable-next-line x',
      'export type D = 1',
    ]
    expect(undocumented(text.join('\n'))).toEqual(['4: b', '6: C'])
  })

  test.each(files)('%s: every export has a comment', (file) => {
    const found = undocumented(readFileSync(join(source, file), 'utf8'))
    expect(found).toEqual([])
  })

  test.each(['index.ts', 'client.ts'])('%s: what it exports is declared, with a comment, where it says', (entry) => {
    const exported = exportsOf(entry)
    expect(exported.length).toBeGreaterThan(10)
    const missing = exported.filter(({ name, file }) => {
      const lines = readFileSync(join(source, file), 'utf8').split('\n')
      const at = lines.findIndex((line) => declaration.exec(line)?.[1] === name)
      return at < 0 || !hasDoc(lines, at)
    })
    expect(missing).toEqual([])
  })
})
