import { describe, expect, test } from 'vitest'
import { ofRuntime } from '../../src/cli/worker.ts'

const places = '/x/node_modules/@cloudflare/workerd-linux-64/bin/workerd@2b5edc0 /x/bin/workerd@3b745e0'
const notFound = 'failed to lookup address information: Name or service not known'
const remark = (reference = '') => `e = rust/worker/ffi.rs:104: failed: ${notFound}\nstack: ${places}${reference}`

describe('a remark of workerd about a fault of its own', () => {
  test('says why, and the reference that the error of the step has', () => {
    const referred = remark('; sentryErrorContext = jsgInternalError; wdErrId = qmutfbi89j4o')
    expect(ofRuntime(`${referred}\n`)).toBe(`${notFound} (reference = qmutfbi89j4o)\n`)
    expect(ofRuntime(`before\n${referred}\n${referred}\nafter`).split('\n')).toEqual([
      'before',
      `${notFound} (reference = qmutfbi89j4o)`,
      `${notFound} (reference = qmutfbi89j4o)`,
      'after',
    ])
    expect(ofRuntime(remark())).toBe(notFound)
  })

  test.each(['e = mc2', 'Error: no\n    at load (shop.ts:3:4)', `stack: ${places}`, 'e = a.ts:1: x\nstack: of plates', ''])(
    'is not taken for what the code of an app says: %j',
    (said) => {
      expect(ofRuntime(said)).toBe(said)
    },
  )
})
