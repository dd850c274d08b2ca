/** Where tests put what they throw away: in memory where the machine has plenty, because most of an app's time on a disk is waiting for it. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'

const gib = 1024 ** 3
/** What the tests of all lanes have there at once, several times over. */
const roomBytes = 4 * gib
/** What the machine must have in all: the folder is memory, and the tests need some as well. */
const memoryBytes = 12 * gib

/** What {@link scratch} looks at. */
export interface Machine {
  /** The mounted file systems as Linux lists them; empty where it does not. */
  mounts(): string
  /** What a file system has left, in bytes. */
  free(path: string): Promise<number>
  /** What this process and its children may still take, in bytes. */
  memory(): number
}

const thisMachine: Machine = {
  mounts: () => (process.platform === 'linux' ? readFileSync('/proc/mounts', 'utf8') : ''),
  free: async (path) => {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  },
  memory: () => process.availableMemory(),
}

/**
 * A new folder in memory, and its removal: for TMPDIR. Undefined where memory is short, where programs in such a folder may not be run, and outside Linux:
 * then the machine's own place for such will do, more slowly.
 */
export async function scratch(machine: Machine = thisMachine): Promise<{ path: string; remove(): Promise<void> } | undefined> {
  const place = '/dev/shm'
  const options = machine
    .mounts()
    .split('\n')
    .map((line) => line.split(' '))
    // What is mounted last lies on top.
    .findLast(([, path, type]) => path === place && type === 'tmpfs')?.[3]
    ?.split(',')
  // Tests install projects there, and run their programs.
  if (!options?.includes('rw') || options.includes('noexec')) return undefined
  if (machine.memory() < memoryBytes || (await machine.free(place)) < roomBytes) return undefined
  const path = await mkdtemp(join(place, 'dotdo-tests-'))
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }) }
}
