/**
 * Puts a project in its place on disk, whole or not at all.
 *
 * Invariants
 * 1. Until the commit point nothing stands in the project's own folder; what was written lies in a staging folder on the same disk.
 * 2. After a failure neither the staging folder nor any file of the project is left, and what was there before is untouched.
 * 3. No file that exists is overwritten.
 */
import { lstat, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CreateError } from './failure.ts'
import type { Files } from './template.ts'

/** What a folder may hold and still count as empty: a repository is often made first. */
const harmless = new Set(['.git'])

/** Where a project can go. */
export interface Place {
  /** Absolute. */
  folder: string
  /** Whether the folder is there already, without files. */
  exists: boolean
}

/**
 * Looks at the folder before anything is written.
 * @throws CreateError where it is a file, holds files, or has no parent
 */
export async function findPlace(folder: string): Promise<Place> {
  const stat = await statOf(folder)
  if (!stat) {
    const parent = dirname(folder)
    if (!(await statOf(parent))) throw new CreateError(`The folder ${parent} is not there. Make it first, or give another name.`)
    return { folder, exists: false }
  }
  if (!stat.isDirectory()) throw new CreateError(`${folder} is there and is no folder. Give another name, or move it away first.`)
  const entries = (await readdir(folder)).filter((name) => !harmless.has(name))
  if (entries.length > 0) {
    const some = entries.slice(0, 3).join(', ') + (entries.length > 3 ? ', …' : '')
    throw new CreateError(`The folder ${folder} is not empty: it holds ${some}. Give another name, or empty it first; nothing was written.`)
  }
  return { folder, exists: true }
}

/** Writes the files to a place. @throws what the disk says; then nothing is left of them */
export async function placeFiles({ folder, exists }: Place, files: Files): Promise<void> {
  // Beside the folder, or inside of one that is there: its parent may not be ours to write to.
  const staging = await mkdtemp(exists ? join(folder, '.create-dotdo-') : join(dirname(folder), `.${basename(folder)}-`))
  const moved: string[] = []
  try {
    const project = join(staging, 'project')
    for (const [path, content] of files) {
      const file = join(project, ...path.split('/'))
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, content, { flag: 'wx' })
    }
    // Commit point: a new folder appears with all it holds. One that is there gets its entries one by one, and gives them back on failure.
    if (!exists) return await rename(project, folder)
    for (const name of await readdir(project)) {
      const target = join(folder, name)
      if (await statOf(target))
        throw new CreateError(`${target} has appeared in the meantime. Nothing was written: empty the folder and try again.`)
      await rename(join(project, name), target)
      moved.push(target)
    }
  } catch (error) {
    for (const path of moved) await rm(path, { recursive: true, force: true })
    throw error
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

/** What stands at a path, links not followed; undefined for nothing. */
async function statOf(path: string) {
  try {
    return await lstat(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
