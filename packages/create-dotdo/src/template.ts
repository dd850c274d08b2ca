/**
 * The template as files in memory: what is read, what is renamed and what is rewritten, in one place. Everything else arrives byte for byte,
 * so that a new project is the code that `npm start` runs in dotdo's own repository.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CreateError } from './failure.ts'

/** Files by their path in the project, with slashes. */
export type Files = ReadonlyMap<string, Uint8Array>

/** What makes a project one's own. */
export interface Project {
  /** Of the package and of the Worker. */
  name: string
  /** The version of dotdo that it starts with, exact; later ones that are compatible may be installed. */
  dotdoVersion: string
}

/** The name that the template itself goes by. */
const templateName = 'my-pipeline'

/** npm never packs files of these names, so they are shipped under others. */
export const renamed: Readonly<Record<string, string>> = { _gitignore: '.gitignore', _npmrc: '.npmrc' }

/** What a run or an install of the template leaves behind in dotdo's own repository. */
const leftover = /^(node_modules|\.wrangler|\.dotdo|package-lock\.json|.*\.tsbuildinfo)$/

const rewritten: Readonly<Record<string, (text: string, project: Project) => string>> = {
  'package.json': rewritePackage,
  'wrangler.toml': (text, { name }) => replaceOnce(text, `name = "${templateName}"`, `name = "${name}"`, 'wrangler.toml'),
  'README.md': (text, { name }) => text.replaceAll(templateName, name),
  'scripts/link.ts': (text, { name }) => text.replaceAll(templateName, name),
}

/** Reads the template's files. @throws CreateError where the folder is not there or lacks a file that is rewritten */
export async function readTemplate(folder: string): Promise<Files> {
  const files = new Map<string, Uint8Array>()
  const read = async (below: string): Promise<void> => {
    for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
      if (leftover.test(entry.name)) continue
      const path = below === '' ? entry.name : `${below}/${entry.name}`
      if (entry.isDirectory()) await read(path)
      else files.set(path, await readFile(join(folder, path)))
    }
  }
  await read('').catch((cause: unknown) => {
    throw new CreateError(
      `The template in ${folder} cannot be read: ${messageOf(cause)}. Install create-dotdo anew: npm create dotdo@latest`,
      { cause },
    )
  })
  for (const path of [...Object.keys(rewritten), ...Object.keys(renamed)]) {
    if (!files.has(path))
      throw new CreateError(`The template in ${folder} has no ${path}. Install create-dotdo anew: npm create dotdo@latest`)
  }
  return files
}

/** The files of a project: the template's, with the few that are renamed or rewritten. Pure. */
export function fillTemplate(template: Files, project: Project): Files {
  const files = new Map<string, Uint8Array>()
  for (const [path, content] of template) {
    const rewrite = rewritten[path]
    const filled = rewrite ? new TextEncoder().encode(rewrite(new TextDecoder().decode(content), project)) : content
    files.set(renamed[path] ?? path, filled)
  }
  return files
}

/** The packages that a project installs by its own package.json. */
export function installedPackages(template: Files): string[] {
  const { dependencies, devDependencies } = JSON.parse(new TextDecoder().decode(template.get('package.json'))) as Record<
    string,
    Record<string, string>
  >
  return Object.keys({ ...dependencies, ...devDependencies })
}

function rewritePackage(text: string, { name, dotdoVersion }: Project): string {
  const manifest = JSON.parse(text) as { name: string; dependencies: Record<string, string> }
  manifest.name = name
  manifest.dependencies['dotdo'] = `^${dotdoVersion}`
  return `${JSON.stringify(manifest, null, 2)}\n`
}

/** A template that no longer has what is looked for must not pass as rewritten. */
function replaceOnce(text: string, from: string, to: string, file: string): string {
  const parts = text.split(from)
  if (parts.length !== 2)
    throw new CreateError(
      `${file} of the template has '${from}' ${parts.length - 1} times, not once. Install create-dotdo anew: npm create dotdo@latest`,
    )
  return parts.join(to)
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
