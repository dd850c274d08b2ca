/** The code blocks of a Markdown page, with what their info strings say. */

/** One fenced block. */
export interface Block {
  /** The first word of the info string: `ts`, `sh`, `text`. */
  language: string
  /** What follows it: `file=src/shop.ts`, `run`, `output`. */
  info: string
  /** The text between the fences, with the line break at its end. */
  text: string
  /** Where the opening fence stands, counted from 1. */
  line: number
}

/** The fenced blocks of a page in order. @throws for a fence that is not closed */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = []
  let open: Block | undefined
  for (const [index, line] of markdown.split('\n').entries()) {
    if (open && line === '```') {
      blocks.push(open)
      open = undefined
    } else if (open) {
      open.text += `${line}\n`
    } else if (line.startsWith('```')) {
      const [language = '', ...info] = line.slice(3).trim().split(' ')
      open = { language, info: info.join(' '), text: '', line: index + 1 }
    }
  }
  if (open) throw new Error(`the block of line ${open.line} is not closed`)
  return blocks
}
