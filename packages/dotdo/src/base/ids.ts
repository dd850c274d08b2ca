import type { Clock, Random } from './ports.ts'

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

/**
 * A new identifier: `prefix_` and 26 characters of Crockford's base 32, 48 bits of time and then 80 random bits. Sorts by time of
 * creation (the layout of a ULID).
 */
export function newId(prefix: string, clock: Clock, random: Random): string {
  let time = clock.now()
  let head = ''
  for (let i = 0; i < 10; i++) {
    head = alphabet[time % 32] + head
    time = Math.floor(time / 32)
  }
  let tail = ''
  for (const byte of random.bytes(16)) tail += alphabet[byte % 32]
  return `${prefix}_${head}${tail}`
}
