/** Where tests put what they throw away. */
import { existsSync, statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { scratch, type Machine } from '../../scripts/support/scratch.ts'

const gib = 1024 ** 3
const plenty: Machine = {
  mounts: () => 'proc /proc proc rw 0 0\ntmpfs /dev/shm tmpfs rw,nosuid,relatime 0 0\n',
  free: () => Promise.resolve(8 * gib),
  memory: () => 16 * gib,
}

test.runIf(existsSync('/dev/shm'))('they have a folder in memory where there is plenty, and it is gone afterwards', async () => {
  const folder = await scratch(plenty)
  expect(folder?.path).toMatch(/^\/dev\/shm\/dotdo-tests-/)
  expect(statSync(folder!.path).isDirectory()).toBe(true)
  await folder!.remove()
  expect(existsSync(folder!.path)).toBe(false)
})

test.each<[string, Partial<Machine>]>([
  ['memory is short', { memory: () => 11 * gib }],
  ['the folder is small, as in a container', { free: () => Promise.resolve(64 * 1024 ** 2) }],
  ['there is no such list of mounts', { mounts: () => '' }],
  ['nothing is mounted there', { mounts: () => 'tmpfs /run tmpfs rw 0 0\n' }],
  ['a disk is mounted there', { mounts: () => '/dev/sda1 /dev/shm ext4 rw 0 0\n' }],
  ['programs may not be run there', { mounts: () => 'tmpfs /dev/shm tmpfs rw,nosuid,noexec 0 0\n' }],
  ['nothing may be written there', { mounts: () => 'tmpfs /dev/shm tmpfs ro 0 0\n' }],
  ['something else lies on top of it', { mounts: () => `${plenty.mounts()}tmpfs /dev/shm tmpfs rw,noexec 0 0\n` }],
])('they stay where they are when %s', async (_, machine) => {
  expect(await scratch({ ...plenty, ...machine })).toBeUndefined()
})
