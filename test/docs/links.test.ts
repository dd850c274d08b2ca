/** Links between pages lead somewhere, and pictures are small enough to be looked at. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from '../support/app.ts'

const maxPictureBytes = 200_000
const pages = ['', 'docs/', 'docs/guide/', 'docs/reference/']
  .flatMap((folder) => readdirSync(join(root, folder)).map((name) => folder + name))
  .filter((path) => path.endsWith('.md'))

/** What a page refers to by a relative address. */
function relativeLinks(markdown: string): string[] {
  // Code is no prose: what looks like a link there is none.
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '')
  const found = [...prose.matchAll(/\]\(([^)\s]+)\)/g), ...prose.matchAll(/(?:src|srcset|href)="([^"]+)"/g)].map((match) => match[1]!)
  return found.filter((link) => !/^[a-z]+:/.test(link))
}

/** The anchors of a page's headings, as its readers' sites make them. */
function anchorsOf(markdown: string): string[] {
  const headings = [...markdown.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.+)$/gm)]
  return headings.map((match) =>
    match[1]!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

describe('the pages', () => {
  test.each(pages)('%s links to files and headings that exist', async (page) => {
    const markdown = await readFile(join(root, page), 'utf8')
    const broken: string[] = []
    for (const link of relativeLinks(markdown)) {
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? join(root, page) : join(root, dirname(page), path)
      if (!existsSync(target)) broken.push(link)
      else if (anchor !== undefined && !anchorsOf(await readFile(target, 'utf8')).includes(anchor)) broken.push(link)
    }
    expect(broken).toEqual([])
  })

  test('docs/README.md leads to every page below docs', async () => {
    const linked = relativeLinks(await readFile(join(root, 'docs/README.md'), 'utf8')).map((link) => join('docs', link))
    const below = pages.filter((path) => path.startsWith('docs/') && path !== 'docs/README.md')
    expect(below.filter((path) => !linked.includes(path))).toEqual([])
  })

  test('the pictures are below 200 kB', () => {
    const pictures = readdirSync(join(root, 'docs/images')).map((name) => ({ name, bytes: statSync(join(root, 'docs/images', name)).size }))
    expect(pictures.length).toBeGreaterThan(0)
    expect(pictures.filter(({ bytes }) => bytes > maxPictureBytes)).toEqual([])
  })
})
