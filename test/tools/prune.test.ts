import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { prune } from '../../scripts/support/prune.ts'

let folder: string
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'dotdo-prune-'))))
afterEach(() => rm(folder, { recursive: true, force: true }))

async function lay(...paths: string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), '')
  }
}

const left = async () => (await readdir(join(folder, 'dist'), { recursive: true })).filter((path) => path.includes('.')).toSorted()

test('what no source makes any more is deleted, and what one makes stays', async () => {
  await lay(
    'src/room/kept.ts',
    ...['js', 'js.map', 'd.ts', 'd.ts.map'].flatMap((end) => [`dist/room/kept.${end}`, `dist/room/gone.${end}`]),
  )
  const deleted = await prune(join(folder, 'src'), join(folder, 'dist'))
  expect(deleted.toSorted()).toEqual(['d.ts', 'd.ts.map', 'js', 'js.map'].map((end) => join('room', `gone.${end}`)))
  expect(await left()).toEqual(['d.ts', 'd.ts.map', 'js', 'js.map'].map((end) => join('room', `kept.${end}`)))
})

test('files that the compiler does not make, hidden folders and the named ones are left alone', async () => {
  await lay('src/a.ts', 'dist/vendor/glue.js', 'dist/.test/a.test.d.ts', 'dist/page.html', 'dist/parser.wasm')
  expect(await prune(join(folder, 'src'), join(folder, 'dist'), ['vendor'])).toEqual([])
  expect(await left()).toEqual(['.test', '.test/a.test.d.ts', 'page.html', 'parser.wasm', 'vendor/glue.js'])
  expect(await prune(join(folder, 'src'), join(folder, 'dist'))).toEqual([join('vendor', 'glue.js')])
})

test('a build that has not been made yet has nothing to delete', async () => {
  expect(await prune(join(folder, 'src'), join(folder, 'dist'))).toEqual([])
})
