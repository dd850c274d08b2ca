import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { fillTemplate, installedPackages, readTemplate, renamed } from '../../packages/create-dotdo/src/template.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = join(root, 'packages/create-dotdo/template')
const project = { name: 'flights-of-2001', dotdoVersion: '9.8.7' }
const text = (content: Uint8Array | undefined) => new TextDecoder().decode(content)

test.runIf(existsSync(join(root, '.git')))('every file of the template that is under version control arrives, and no other', async () => {
  const listed = execFileSync('git', ['ls-files', '-z'], { cwd: folder, encoding: 'utf8' }).split('\0').filter(Boolean)
  expect(listed.length).toBeGreaterThan(10)
  const filled = fillTemplate(await readTemplate(folder), project)
  expect([...filled.keys()].toSorted()).toEqual(listed.map((path) => renamed[path] ?? path).toSorted())
})

test('files that npm would not pack arrive under their own names', async () => {
  const filled = fillTemplate(await readTemplate(folder), project)
  expect(text(filled.get('.gitignore'))).toContain('node_modules/')
  expect(text(filled.get('.npmrc'))).toContain('loglevel=error')
  expect([...filled.keys()].filter((path) => path.startsWith('_'))).toEqual([])
})

test('four files say the project’s name, and all others are the code that npm start runs here, byte for byte', async () => {
  const template = await readTemplate(folder)
  const filled = fillTemplate(template, project)
  const changed = [...template].filter(([path, content]) => text(content) !== text(filled.get(renamed[path] ?? path))).map(([path]) => path)
  expect(changed.toSorted()).toEqual(['README.md', 'package.json', 'scripts/link.ts', 'wrangler.toml'])
  for (const path of changed) {
    expect(text(filled.get(path))).toContain(project.name)
    expect(text(filled.get(path))).not.toContain('my-pipeline')
  }
})

test('package.json asks for the dotdo that this create-dotdo belongs to, and keeps the rest', async () => {
  const template = await readTemplate(folder)
  const before = JSON.parse(text(template.get('package.json'))) as { dependencies: Record<string, string> }
  const after: unknown = JSON.parse(text(fillTemplate(template, project).get('package.json')))
  expect(after).toEqual({ ...before, name: project.name, dependencies: { ...before.dependencies, dotdo: '^9.8.7' } })
})

test('the Worker has the project’s name, and nothing else of wrangler.toml differs', async () => {
  const template = await readTemplate(folder)
  const after = text(fillTemplate(template, project).get('wrangler.toml'))
  expect(after.split('\n')).toContain('name = "flights-of-2001"')
  expect(after.replace('flights-of-2001', 'my-pipeline')).toBe(text(template.get('wrangler.toml')))
})

test('the packages of the template are the repository’s, at the same versions', async () => {
  // One set is tested, so one set is shipped. The library itself has its own version, and hyparquet is the library's.
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Record<string, Record<string, string>>
  const own = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Record<string, Record<string, string>>
  const library = JSON.parse(await readFile(join(root, 'packages/dotdo/package.json'), 'utf8')) as {
    version: string
    devDependencies: Record<string, string>
  }
  const create = JSON.parse(await readFile(join(root, 'packages/create-dotdo/package.json'), 'utf8')) as { version: string }
  for (const [name, version] of Object.entries(manifest['devDependencies']!)) {
    expect([name, version]).toEqual([name, own['devDependencies']![name] ?? library.devDependencies[name]])
  }
  expect(manifest['allowScripts']).toEqual(own['allowScripts'])
  expect(create.version).toBe(library.version)
  expect(installedPackages(await readTemplate(folder))).toEqual([
    ...Object.keys(manifest['dependencies']!),
    ...Object.keys(manifest['devDependencies']!),
  ])
})

test('the template’s wrangler.toml and the repository’s differ in names and places only', async () => {
  const lines = async (path: string) => (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const [own, template] = await Promise.all([lines(join(root, 'wrangler.toml')), lines(join(folder, 'wrangler.toml'))])
  const differs = (from: string[], other: string[]) => from.filter((line) => !other.includes(line)).map((line) => line.split(' = ')[0])
  expect(differs(own!, template!)).toEqual(['name', 'main', 'directory'])
  expect(differs(template!, own!)).toEqual(['name', 'main', 'directory'])
})

/** A template of one's own, with what a valid one has to have. */
async function broken(change: Record<string, string | undefined>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'dotdo-template-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  const files = {
    'package.json': '{"dependencies":{}}',
    'wrangler.toml': 'name = "my-pipeline"',
    'README.md': '',
    'scripts/link.ts': '',
    _gitignore: '',
    _npmrc: '',
    ...change,
  }
  for (const [name, content] of Object.entries(files)) {
    if (content === undefined) continue
    await mkdir(dirname(join(path, name)), { recursive: true })
    await writeFile(join(path, name), content)
  }
  return path
}

test('what a run of the template leaves behind is no part of it', async () => {
  const path = await broken({
    'node_modules/x/index.js': 'x',
    '.dotdo/state/secret': 's',
    '.wrangler/tmp': 't',
    'package-lock.json': '{}',
    'tsconfig.tsbuildinfo': '{}',
  })
  expect([...(await readTemplate(path)).keys()].toSorted()).toEqual([
    'README.md',
    '_gitignore',
    '_npmrc',
    'package.json',
    'scripts/link.ts',
    'wrangler.toml',
  ])
})

test.each(['package.json', 'wrangler.toml', 'README.md', '_gitignore', '_npmrc'])('a template without %s is refused', async (name) => {
  await expect(readTemplate(await broken({ [name]: undefined }))).rejects.toThrow(`has no ${name}`)
})

test('a template that is not there is one clear error', async () => {
  await expect(readTemplate('/no/such/folder')).rejects.toThrow('The template in /no/such/folder cannot be read')
})

test.each([
  ['nothing', 'name = "other"', '0 times'],
  ['two lines', 'name = "my-pipeline"\nname = "my-pipeline"', '2 times'],
])('a wrangler.toml in which %s is to be renamed is refused', async (_, toml, message) => {
  const template = await readTemplate(await broken({ 'wrangler.toml': toml }))
  expect(() => fillTemplate(template, project)).toThrow(message)
})
