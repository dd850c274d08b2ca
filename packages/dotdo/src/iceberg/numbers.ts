import type { Random } from '../base/ports.ts'

/** A random UUID, version 4 (RFC 9562). */
export function newUuid(random: Random): string {
  const bytes = random.bytes(16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const digits = hex(bytes)
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`
}

/**
 * A random snapshot id from 1 to 2^53 - 1. The specification takes any positive 63-bit number; below
 * 2^53 every reader of JSON has it exactly.
 * Two of a million snapshots in one table share an id with a chance of 1 in 18,000, and the catalog refuses the second.
 */
export function newSnapshotId(random: Random): number {
  const bytes = random.bytes(7)
  // 5 bits and then 48: 53 in all.
  let id = bytes[0]! & 0x1f
  for (let i = 1; i < 7; i++) id = id * 256 + bytes[i]!
  return id || 1
}

/** Bytes as lower-case hexadecimal. */
export function hex(bytes: Uint8Array): string {
  let digits = ''
  for (const byte of bytes) digits += byte.toString(16).padStart(2, '0')
  return digits
}
