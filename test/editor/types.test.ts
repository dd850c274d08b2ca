/** What an editor shows of stubs is short and has the user's own names: read off the compiler's messages, which print types as an editor does. */
import { execFile } from 'node:child_process'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root, temporary } from '../support/app.ts'

/** Expressions inside of a method, and what is printed of the type of each. */
const shown: readonly (readonly [expression: string, type: string])[] = [
  [`this.Stage('a').run`, '(batch: Argument<number[]>) => Pending<number[]>'],
  [`this.Stage('a').each`, '(callback: Argument<(row: Row, counter: Counter) => Promise<boolean>>) => Pending<boolean[]>'],
  [`this.Stage('a').rows()`, 'Pending<Row[]>'],
  [`await this.Stage('a').rows()`, 'Row[]'],
  [`this.Stage('a').counter()`, 'Pending<Counter>'],
  [`await this.Stage('a').counter()`, 'Remote<Counter>'],
  [`this.Stage`, '(id: string, options?: NounOptions | undefined) => RemoteWith<Exported<"Stage", typeof import("…")>, HasEvents>'],
  [`this.Pipeline('main').getStage(0)`, 'Pending<RemoteWith<Exported<"Stage", typeof import("…")>, HasEvents>>'],
]

let folder: Awaited<ReturnType<typeof temporary>>
let messages: string

beforeAll(async () => {
  folder = await temporary('types')
  await symlink(join(root, 'node_modules'), join(folder.path, 'node_modules'))
  const lines = shown.map(([expression], index) => `    const wrong${index}: Wrong = ${expression}`)
  const program = [
    "import { DO } from 'dotdo'",
    'interface Wrong { wrong: 1 }',
    'export const Wrongs = DO.extend({ async all() {',
    ...lines,
    '} })',
  ]
  await writeFile(join(folder.path, 'wrong.ts'), program.join('\n'))
  await writeFile(
    join(folder.path, 'tsconfig.json'),
    JSON.stringify({
      extends: join(root, 'test/types/tsconfig.json'),
      include: [],
      files: ['wrong.ts', join(root, 'test/types/env.d.ts')],
    }),
  )
  const tsc = join(root, 'node_modules/.bin/tsc')
  messages = await promisify(execFile)(tsc, ['-p', folder.path, '--pretty', 'false'], { shell: process.platform === 'win32' }).then(
    () => '',
    (failure: { stdout: string }) => failure.stdout,
  )
})

afterAll(() => folder.remove())

test.each(shown.map(([expression, type], index) => ({ expression, type, index })))('$expression is $type', ({ type, index }) => {
  const at = messages.split('\n').find((line) => line.includes(`wrong.ts(${index + 4},`)) ?? ''
  const printed = /(?:Type|in type) '(.*?)' (?:is not assignable|but required)/.exec(at)?.[1]
  expect(printed?.replace(/import\(".*?"\)/, 'import("…")')).toBe(type)
})
