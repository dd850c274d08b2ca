import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findPlace, placeFiles } from '../../packages/create-dotdo/src/place.ts'

let base: string
beforeEach(async () => void (base = await mkdtemp(join(tmpdir(), 'dotdo-place-'))))
afterEach(() => rm(base, { recursive: true, force: true }))

const bytes = (text: string) => new TextEncoder().encode(text)
const files = new Map([
  ['package.json', bytes('{}')],
  ['.gitignore', bytes('node_modules/')],
  ['src/deep/pipeline.ts', bytes('export {}')],
])
const all = async (folder = base) => (await readdir(folder, { recursive: true })).toSorted()
const ofProject = ['.gitignore', 'package.json', 'src', 'src/deep', 'src/deep/pipeline.ts']

test('a folder that is not there appears with all files, and nothing stays beside it', async () => {
  const place = await findPlace(join(base, 'new'))
  expect(place.exists).toBe(false)
  await placeFiles(place, files)
  expect(await readdir(base)).toEqual(['new'])
  expect(await all(join(base, 'new'))).toEqual(ofProject)
  expect(await readFile(join(base, 'new/src/deep/pipeline.ts'), 'utf8')).toBe('export {}')
})

test('a folder that is empty but for .git is filled, and .git stays', async () => {
  await mkdir(join(base, 'cloned/.git'), { recursive: true })
  const place = await findPlace(join(base, 'cloned'))
  expect(place.exists).toBe(true)
  await placeFiles(place, files)
  expect(await all(join(base, 'cloned'))).toEqual(['.git', ...ofProject])
})

test('a folder with files is refused by naming them, and stays as it is', async () => {
  for (const name of ['a', 'b', 'c', 'd']) await writeFile(join(base, name), name)
  await expect(findPlace(base)).rejects.toThrow(
    `The folder ${base} is not empty: it holds a, b, c, …. Give another name, or empty it first; nothing was written.`,
  )
  expect(await all()).toEqual(['a', 'b', 'c', 'd'])
})

test('hidden files are files too', async () => {
  await writeFile(join(base, '.env'), 'SECRET=1')
  await expect(findPlace(base)).rejects.toThrow('it holds .env')
})

test('a file and a link are no folders', async () => {
  await writeFile(join(base, 'file'), '')
  await symlink(join(base, 'nowhere'), join(base, 'link'))
  for (const name of ['file', 'link']) await expect(findPlace(join(base, name))).rejects.toThrow('is there and is no folder')
})

test('a folder whose parent is not there is refused', async () => {
  await expect(findPlace(join(base, 'no/such'))).rejects.toThrow(`The folder ${join(base, 'no')} is not there`)
  expect(await all()).toEqual([])
})

test.each(['new', '.'])('a write that fails halfway leaves nothing: %s', async (where) => {
  const place = await findPlace(join(base, where))
  // The second path goes through the first as if that were a folder: the disk refuses.
  const impossible = new Map([...files, ['package.json/inside', bytes('')]])
  await expect(placeFiles(place, impossible)).rejects.toThrow(/ENOTDIR|EEXIST/)
  expect(await all()).toEqual([])
})

test('a folder that is taken between the look and the commit stays as it is', async () => {
  const place = await findPlace(join(base, 'new'))
  await mkdir(join(base, 'new'))
  await writeFile(join(base, 'new/mine'), 'mine')
  await expect(placeFiles(place, files)).rejects.toThrow(/ENOTEMPTY|EEXIST|EPERM/)
  expect(await all()).toEqual(['new', 'new/mine'])
})

test('a file that appears in an empty folder between the look and the commit is not overwritten, and what was moved goes back', async () => {
  const place = await findPlace(base)
  await writeFile(join(base, 'src'), 'mine')
  await expect(placeFiles(place, files)).rejects.toThrow('has appeared in the meantime')
  expect(await all()).toEqual(['src'])
  expect(await readFile(join(base, 'src'), 'utf8')).toBe('mine')
})

test.runIf(process.platform === 'linux')('a folder in which nothing can be made is an error of the disk, also for root', async () => {
  await expect(placeFiles(await findPlace('/proc/flights'), files)).rejects.toThrow(/ENOENT|EACCES|EPERM/)
})
