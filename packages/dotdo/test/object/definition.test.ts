import { describe, expect, test } from 'vitest'
import { frameworkNames, readDefinition } from '../../src/object/definition.ts'

describe('a definition', () => {
  test.each(['map', 'dup', 'catch', 'finally', 'onRpcBroken', 'then', 'toString', 'toJSON', 'isPrototypeOf', 'dotdo:once', 'a:b'])(
    'with a method by a name that stubs keep for themselves is refused when it is defined: %s',
    (name) => {
      expect(() => readDefinition({ [name]: () => 1 })).toThrow(expect.objectContaining({ code: 'NAME_RESERVED', data: { name } }))
      const getter = Object.defineProperty({}, name, { enumerable: true, get: () => 1 })
      expect(() => readDefinition(getter)).toThrow(expect.objectContaining({ code: 'NAME_RESERVED' }))
    },
  )

  test('may have a field by such a name: no link leads to it', () => {
    expect(readDefinition({ finally: [1], dup: 2 }).fields).toEqual({ finally: [1], dup: 2 })
  })

  test.each([...frameworkNames].filter((name) => name !== '__proto__'))('with a member named %s is refused', (name) => {
    expect(() => readDefinition({ [name]: 1 })).toThrow(expect.objectContaining({ code: 'NAME_RESERVED' }))
  })
})
