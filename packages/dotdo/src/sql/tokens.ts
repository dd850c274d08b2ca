import type { Position } from './source.ts'

/**
 * A piece of SQLite's text. `word`: a keyword, function name or bare identifier. `quoted`: an identifier in quotes, brackets or backticks.
 * `text`, `blob`, `number`: literals. `parameter`: `?`, `?1`, `:a`, `@a`, `$a`. `symbol`: everything else that is not space or comment.
 */
export interface Token extends Position {
  kind: 'word' | 'quoted' | 'text' | 'blob' | 'number' | 'parameter' | 'symbol'
  text: string
  /** Offsets into the string, in UTF-16 units. */
  start: number
  end: number
}

// One alternative a kind, tried in this order. Unterminated strings and comments match nothing and become symbols, which no reader accepts.
const pattern = new RegExp(
  [
    String.raw`(?<space>\s+|--[^\n]*|/\*[\s\S]*?\*/)`,
    String.raw`(?<blob>[xX]'[0-9a-fA-F]*')`,
    String.raw`(?<text>'(?:[^']|'')*')`,
    '(?<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\\[[^\\]]*\\])',
    String.raw`(?<number>0[xX][0-9a-fA-F]+|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)`,
    String.raw`(?<parameter>\?\d*|[:@$][A-Za-z_][\w]*)`,
    String.raw`(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)`,
    String.raw`(?<symbol>->>|->|\|\||<<|>>|<=|>=|<>|!=|==|[\s\S])`,
  ].join('|'),
  'gy',
)

/** Splits SQLite's text into tokens; comments and space are left out. Never throws. Source: https://sqlite.org/lang_expr.html, tokenize.c. */
export function tokenize(sql: string): Token[] {
  const tokens: Token[] = []
  let line = 1
  let column = 1
  for (const match of sql.matchAll(pattern)) {
    const text = match[0]
    const kind = Object.entries(match.groups!).find(([, found]) => found !== undefined)![0]
    if (kind !== 'space')
      tokens.push({ kind: kind as Token['kind'], text, start: match.index, end: match.index + text.length, line, column })
    const lines = text.split('\n')
    line += lines.length - 1
    // Columns count code points, as the parser's do, so that a place can be looked up by either.
    column = (lines.length > 1 ? 1 : column) + Array.from(lines.at(-1)!).length
  }
  return tokens
}
