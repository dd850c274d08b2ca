/** What `--help` prints. Pure. */
import { optionsOf } from './arguments.ts'
import type { Command } from './command.ts'
import { pad, width, wrap } from './text.ts'

/** Narrower than this nothing can be said. */
const least = 40

/** The list of all commands. */
export function overview(commands: readonly Command[], version: string, columns: number): string[] {
  const room = Math.min(Math.max(least, columns), 100)
  const names = Math.max(...commands.map(({ name }) => name.length)) + 2
  return [
    ...wrap(`dotdo ${version}: runs, schedules and events of an app, from a terminal.`, room),
    '',
    '  npx dotdo COMMAND [--help]',
    '',
    ...commands.flatMap(({ name, summary }) => entry(name, summary, names, room)),
    '',
    ...wrap('The app is the one that runs here (npx dotdo dev), or the one of DOTDO_URL, which DOTDO_TOKEN or DOTDO_SECRET opens.', room),
    '',
    ...wrap(
      'Exit codes: 0 fine, 1 the run or the call failed, 2 the command line makes no sense, 3 no app was reached or it refused, 130 Ctrl-C.',
      room,
    ),
  ]
}

/** One command with its options and examples. */
export function helpOf(command: Command, columns: number): string[] {
  const room = Math.min(Math.max(least, columns), 100)
  const options = Object.entries(optionsOf(command)).map(
    ([name, { value, help }]) => [`--${name}${value === undefined ? '' : `=${value}`}`, help] as const,
  )
  const names = Math.max(...options.map(([name]) => name.length)) + 2
  return [
    ...wrap(`dotdo ${command.name}: ${command.summary}`, room),
    '',
    `  npx dotdo ${command.name}${command.takes && ` ${command.takes}`} [OPTIONS]`,
    '',
    ...(command.about === undefined ? [] : [...wrap(command.about, room), '']),
    ...options.flatMap(([name, help]) => entry(name, help, names, room)),
    '',
    ...command.examples.flatMap(([line, purpose]) => [`  ${line}`, ...wrap(purpose, room - 6).map((text) => `      ${text}`)]),
  ]
}

/** A name and what it is, below each other where they do not fit side by side. */
function entry(name: string, text: string, names: number, room: number): string[] {
  const [first = '', ...rest] = wrap(text, room - names - 2)
  return [`  ${pad(name, names)}${first}`, ...rest.map((line) => `${' '.repeat(names + 2)}${line}`)].filter((line) => width(line) > 0)
}
