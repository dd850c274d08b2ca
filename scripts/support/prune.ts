/** Takes out of a build what no source makes any more: `tsc -b` leaves the output of a deleted or renamed file, and it would be packed. */
import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** What the compiler makes of one source file. */
const emitted = /\.(js|js\.map|d\.ts|d\.ts\.map)$/

/**
 * Deletes the emitted files below `dist` that have no `.ts` of the same path below `src`. Folders in `besides`, and hidden ones, are others'. Answers
 * what was deleted, as paths below `dist`.
 */
export async function prune(src: string, dist: string, besides: readonly string[] = []): Promise<string[]> {
  const deleted: string[] = []
  const look = async (below: string): Promise<void> => {
    for (const entry of await readdir(join(dist, below), { withFileTypes: true })) {
      const path = join(below, entry.name)
      if (entry.isDirectory()) {
        if (!entry.name.startsWith('.') && !besides.includes(path)) await look(path)
      } else if (emitted.test(path) && !existsSync(join(src, path.replace(emitted, '.ts')))) {
        await rm(join(dist, path))
        deleted.push(path)
      }
    }
  }
  if (existsSync(dist)) await look('')
  return deleted
}
