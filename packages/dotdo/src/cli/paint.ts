/** Colours of a terminal. Pure. */

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, cyan: 36 } as const

/** A colour, or a weight. */
export type Color = keyof typeof codes

/** Colours a text, or leaves it as it is. */
export type Paint = (color: Color | undefined, text: string) => string

/** A {@link Paint} for a terminal that shows colours, or for one that does not. */
export function painter(isColorful: boolean): Paint {
  return (color, text) => (isColorful && color !== undefined && text !== '' ? `\u001b[${codes[color]}m${text}\u001b[0m` : text)
}

/**
 * Whether to use colours: never where `NO_COLOR` says something (https://no-color.org) or the terminal is `dumb`; where `FORCE_COLOR` says
 * something other than 0, always; else where a person looks at it.
 */
export function wantsColor(isTTY: boolean, env: Readonly<Record<string, string | undefined>>): boolean {
  if (env['NO_COLOR']) return false
  if (env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '') return env['FORCE_COLOR'] !== '0' && env['FORCE_COLOR'] !== 'false'
  return isTTY && env['TERM'] !== 'dumb'
}
