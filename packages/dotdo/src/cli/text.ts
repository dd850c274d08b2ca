/**
 * Texts as a terminal shows them: how wide they are, cut and padded, and instants on a clock. Pure.
 *
 * What an app says is shown to a person, so it goes through {@link plain} first: an error's message must not be able to move the cursor.
 */
/** Characters that a terminal obeys instead of showing: controls, and those that turn the direction of writing. */
const controls = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

/** One line without anything that a terminal would obey: breaks and tabs become a space, the others are written out. */
export function plain(text: string): string {
  return text
    .replace(/\s*[\r\n]+\s*/g, ' ')
    .replaceAll('\t', ' ')
    .replace(controls, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Characters that take two columns: East Asian wide and full-width ones, and pictures. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u

/** How many columns a plain text takes. */
export function width(text: string): number {
  let columns = 0
  for (const character of text) columns += /\p{Mark}|\u200d/u.test(character) ? 0 : wide.test(character) ? 2 : 1
  return columns
}

/** The text within so many columns; `…` stands for what was cut off. */
export function cut(text: string, columns: number): string {
  if (width(text) <= columns) return text
  if (columns < 1) return ''
  let kept = ''
  let left = columns - 1
  for (const character of text) {
    left -= width(character)
    if (left < 0) break
    kept += character
  }
  return `${kept}…`
}

/** The text with spaces up to so many columns, behind it or, for numbers, before it. */
export function pad(text: string, columns: number, right = false): string {
  const spaces = ' '.repeat(Math.max(0, columns - width(text)))
  return right ? spaces + text : text + spaces
}

/** A text in lines of at most so many columns, broken at spaces; a word that is longer is cut where the line ends. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = []
  let line = ''
  for (let word of text.split(' ')) {
    if (line !== '' && width(line) + 1 + width(word) > columns) {
      lines.push(line)
      line = ''
    }
    while (width(word) > columns) {
      const head = cut(word, columns + 1).slice(0, -1)
      lines.push(head)
      word = word.slice(head.length)
    }
    line = line === '' ? word : `${line} ${word}`
  }
  return line === '' && lines.length > 0 ? lines : [...lines, line]
}

/** An instant on the clock of a zone: `2026-11-23 02:00:00`. In UTC, with a `Z` behind it, where no zone is said. */
export function instant(at: number, timeZone?: string): string {
  if (timeZone === undefined) return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')}Z`
  // Sweden writes dates as ISO 8601 does.
  return new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' }).format(at)
}

/** The time of day of an instant in UTC, to the millisecond: `02:00:00.123`. */
export function timeOfDay(at: number): string {
  return new Date(at).toISOString().slice(11, 23)
}
