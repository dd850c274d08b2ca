/** How many characters of a function's text are looked at. */
const lookedAt = 160
/** How many of them people are shown. */
const shown = 80

/**
 * What functions are called in errors: by their name, or else the beginning of their text on one line.
 *
 * Owns the last text that it gave. Invariant: functions of the same source that follow each other get one string and not one each. A loop makes as many functions
 * as a run has steps, and each use of a step keeps its text for as long as the run goes on.
 */
export class FunctionTexts {
  #source = ''
  #isName = false
  #text = ''

  /** The text of a function: `'load'`, or the source between backticks. */
  of(fn: { readonly name: string }): string {
    const isName = fn.name !== ''
    const source = isName ? fn.name : Function.prototype.toString.call(fn).slice(0, lookedAt)
    if (source === this.#source && isName === this.#isName) return this.#text
    this.#source = source
    this.#isName = isName
    return (this.#text = isName ? `'${source}'` : quoted(source.replace(/\s+/g, ' ')))
  }
}

function quoted(line: string): string {
  return `\`${line.length > shown ? `${line.slice(0, shown)}…` : line}\``
}
