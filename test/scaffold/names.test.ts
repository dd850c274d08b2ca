import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nearestName, reasonAgainst } from '../../packages/create-dotdo/src/names.ts'

test.each(['my-pipeline', 'a', '7', 'etl2', '2026-flights', 'a--b', 'x'.repeat(63)])('%s is a name', (name) => {
  expect(reasonAgainst(name)).toBeUndefined()
})

test.each([
  ['', 'empty'],
  ['My-Pipeline', 'small letters'],
  ['my_pipeline', 'small letters'],
  ['my.pipeline', 'small letters'],
  ['my pipeline', 'small letters'],
  ['@acme/pipeline', 'small letters'],
  ['größe', 'small letters'],
  ['..', 'small letters'],
  ['a\nb', 'small letters'],
  ['a\n', 'small letters'],
  ['-pipeline', 'dash'],
  ['pipeline-', 'dash'],
  ['x'.repeat(64), '64 characters'],
])('%j is none, and the reason is said: %s', (name, reason) => {
  expect(reasonAgainst(name)).toContain(reason)
})

test('a project has no name of a package that it installs: npm refuses to install dotdo below dotdo', () => {
  expect(reasonAgainst('dotdo', ['dotdo', 'wrangler'])).toContain('npm would refuse')
  expect(reasonAgainst('dotdo-2', ['dotdo', 'wrangler'])).toBeUndefined()
  expect(nearestName('dotdo', ['dotdo'])).toBe('my-dotdo')
})

test.each([
  ['My Pipeline', 'my-pipeline'],
  ['my_pipeline', 'my-pipeline'],
  ['Größe & Maß', 'gro-e-ma'],
  ['Crème Brûlée', 'creme-brulee'],
  ['--x--', 'x'],
  ['x'.repeat(100), 'x'.repeat(63)],
])('near to %j is %s', (typed, name) => {
  // Letters that have no plain form, such as the third one's, are left out.
  expect(nearestName(typed)).toBe(name)
})

test('of what holds no letter nothing is left', () => {
  for (const typed of ['', '---', '日本', '🚀', '...']) expect(nearestName(typed)).toBeUndefined()
})

test('every name is valid for npm and for a host, whatever was typed', () => {
  // The rules as npm states them (docs.npmjs.com, package.json, name) and RFC 1035 for a label, written anew.
  const npm = (name: string) =>
    name.length <= 214 && !/^[._]/.test(name) && name === name.toLowerCase() && name === encodeURIComponent(name)
  const label = (name: string) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'binary', maxLength: 80 }), fc.string({ unit: fc.constantFrom('a', 'Z', '0', '-', '.', '_', '\n') })),
      (typed) => {
        expect(reasonAgainst(typed) === undefined).toBe(npm(typed) && label(typed))
        const nearest = nearestName(typed)
        if (nearest !== undefined) expect(npm(nearest) && label(nearest)).toBe(true)
        if (reasonAgainst(typed) === undefined) expect(nearest).toBe(typed)
      },
    ),
    { numRuns: 500 },
  )
})
