/** Texts up to this many characters are their own fingerprint, so that people can be shown what differs. */
const shownChars = 1024

/**
 * A short text that stands for a long one: two that differ have different fingerprints, but for one in 2^64 by chance. It is compared with one that
 * this object has made, so nobody gains from a text that is made to collide.
 * @param wholeChars up to how many characters a text is its own fingerprint
 */
export function fingerprint(text: string, wholeChars = shownChars): string {
  if (text.length <= wholeChars) return `=${text}`
  return `#${text.length}:${hash(text, 0x9e3779b9)}${hash(text, 0x85ebca6b)}`
}

/** What a fingerprint shows of its text. */
export function describeFingerprint(print: string): string {
  if (print[0] === '=') return print.slice(2).length > 120 ? `${print.slice(2, 122)}…` : print.slice(2)
  return `${print.slice(1, print.indexOf(':'))} characters with the hash ${print.slice(print.indexOf(':') + 1)}`
}

/** FNV-1a over UTF-16 units, with a finish that spreads each bit: 32 bits in hexadecimal. */
function hash(text: string, seed: number): string {
  let h = seed
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return ((h ^ (h >>> 16)) >>> 0).toString(16).padStart(8, '0')
}
