/** The words of a line for a shell, as far as pages and helps write them: words between spaces, and texts between single or double quotes. */
export function wordsOf(line: string): string[] {
  return [...line.trim().matchAll(/(?:'([^']*)'|"([^"]*)"|(\S+))/g)].map(([, single, double, bare]) => single ?? double ?? bare ?? '')
}
