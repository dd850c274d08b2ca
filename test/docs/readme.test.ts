/** README.md shows what there is: its example is a program that runs, and its commands are scripts. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from '../support/app.ts'
import { blocksOf } from './blocks.ts'

const read = (path: string) => readFile(join(root, path), 'utf8')
const readme = await read('README.md')
const blocks = blocksOf(readme)

describe('README.md', () => {
  test('shows the example that the seed lane runs, byte for byte', async () => {
    const examples = blocks.filter(({ language }) => language === 'ts')
    expect(examples.map(({ text }) => text)).toEqual([await read('test/seed/complete-example.ts')])
  })

  test('gives the two commands, each on one line, and both are scripts of this repository', async () => {
    const { scripts } = JSON.parse(await read('package.json')) as { scripts: Record<string, string> }
    const commands = blocks.filter(({ language }) => language === 'sh').map(({ text }) => text.trim())
    expect(commands).toEqual(['npm ci && npm start', 'npm ci && npm test', 'npm create dotdo@latest my-pipeline'])
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(['start', 'test']))
  })

  test('says which Node it needs as package.json does', async () => {
    const { engines } = JSON.parse(await read('package.json')) as { engines: { node: string } }
    expect(`>=${/Node (\d+\.\d+) or newer/.exec(readme)?.[1]}`).toBe(engines.node)
  })
})
