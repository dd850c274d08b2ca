/** docs/errors.md has every error code of the source once, with what its errors say of `retryable`. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from '../support/app.ts'

type Again = 'yes' | 'no' | 'depends'

const source = join(root, 'packages/dotdo/src')

/** Literals that look like codes and are none: a binding, variables of the environment, and what Node calls an integer that is too large. */
const notCodes = new Set([
  'R2_BUCKET',
  'DOTDO_URL',
  'DOTDO_TOKEN',
  'DOTDO_SECRET',
  'DOTDO_FOLDER',
  'NO_COLOR',
  'FORCE_COLOR',
  'ERR_OUT_OF_RANGE',
])

/** Everything but comments: there, codes are only spoken of. */
function codeText(path: string): string {
  return readFileSync(path, 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')
}

/** What the source says of each code: whether every error, none, or some that carry it are retryable. */
function codesOfSource(): Map<string, Again> {
  const said = new Map<string, Set<string>>()
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('.ts') && !path.startsWith('vendor'),
  )
  for (const file of files) {
    const text = codeText(join(source, file))
    for (const match of text.matchAll(/'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)'|(?:\bcode: |\bDotdoError\(\s*)'([A-Z]+)'/g)) {
      const code = match[1] ?? match[2]!
      if (!notCodes.has(code) && !said.has(code)) said.set(code, new Set())
    }
    // One construction reaches to the next, or to the end of its function.
    for (const match of text.matchAll(/DotdoError\(\s*'([A-Z0-9_]+)'((?:(?!DotdoError\(|\n\}|\n\n)[\s\S])*)/g)) {
      const retryable = /\bretryable(?:: (.+?))?(?:,|\n| \})/.exec(match[2]!)
      said.get(match[1]!)!.add(retryable ? (retryable[1] === 'true' ? 'yes' : retryable[1] === 'false' ? 'no' : 'depends') : 'no')
    }
  }
  return new Map(
    [...said].map(([code, answers]) => [code, answers.size === 0 ? 'no' : answers.size === 1 ? ([...answers][0] as Again) : 'depends']),
  )
}

const rows = [...readFileSync(join(root, 'docs/errors.md'), 'utf8').matchAll(/^\| `([A-Z0-9_]+)` \| (\S+) \| (.+) \| (.+) \|$/gm)]

describe('docs/errors.md', () => {
  const actual = codesOfSource()

  test('lists each code of the source once, and no other', () => {
    expect(actual.size).toBeGreaterThan(100)
    expect(rows.map(([, code]) => code!).sort()).toEqual([...actual.keys()].sort())
  })

  test('says of each whether trying again can help, as its errors do', () => {
    expect(Object.fromEntries(rows.map(([, code, again]) => [code!, again]))).toEqual(Object.fromEntries(actual))
  })

  test('is a set of tables in which every line is read', () => {
    const lines = readFileSync(join(root, 'docs/errors.md'), 'utf8').split('\n')
    expect(lines.filter((line) => line.startsWith('| `')).length).toBe(rows.length)
  })
})
