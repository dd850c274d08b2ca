/**
 * What a project may be called. One name serves four masters: it is a folder, npm's package, the Worker, and the first label of the Worker's host
 * name. So the rules are those of the narrowest, a DNS label, and npm's on top.
 */

/** Characters of a DNS label (RFC 1035, section 2.3.4), and so of `<name>.<account>.workers.dev`. */
const maxLength = 63

/**
 * Why `name` is no name for a project, as the end of a sentence about it, or undefined where it is one.
 * @param taken names of the packages that the project itself installs: npm refuses to install a package below one of the same name
 */
export function reasonAgainst(name: string, taken: readonly string[] = []): string | undefined {
  if (name === '') return 'it is empty'
  if (name.length > maxLength) return `it has ${name.length} characters, and a Worker's host name takes ${maxLength}`
  if (!/^[a-z0-9-]+$/.test(name)) return "a package and a Worker's host name have small letters, digits and dashes only"
  if (name.startsWith('-') || name.endsWith('-')) return 'a host name neither begins nor ends with a dash'
  if (taken.includes(name)) return 'the project installs a package of that name, which npm would refuse'
  return undefined
}

/** The name that comes nearest to what was typed, or undefined where nothing of it is left. */
export function nearestName(typed: string, taken: readonly string[] = []): string | undefined {
  const name = typed
    // Letters with marks become the letters without.
    .normalize('NFKD')
    .replace(/\p{Mark}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, maxLength)
    .replace(/^-+|-+$/g, '')
  const free = taken.includes(name) ? `my-${name}` : name
  return reasonAgainst(free, taken) === undefined ? free : undefined
}
