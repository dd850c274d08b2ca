/** The command itself, over ports: what was typed, where it runs, and the terminal. */
import { readFile } from 'node:fs/promises'
import { basename, join, relative, resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { CreateError } from './failure.ts'
import { nearestName, reasonAgainst } from './names.ts'
import { findPlace, placeFiles } from './place.ts'
import { fillTemplate, installedPackages, readTemplate } from './template.ts'

/** What the command sees of the machine. */
export interface Terminal {
  input: Readable
  output: Writable
  error: Writable
  /** Whether a person sits there, who can be asked and to whom colours mean something. */
  isInteractive: boolean
  /** Absolute: where the project's folder is made. */
  cwd: string
  env: Readonly<Record<string, string | undefined>>
}

const usage = `Makes a new dotdo project: a data pipeline that runs at once.

  npm create dotdo my-pipeline

  create-dotdo <folder>   makes the project in a folder, which becomes its name; asks for one where none is given
  create-dotdo .          makes it in this folder, when that is empty

  -h, --help      shows this
  -v, --version   shows the version, which is also that of dotdo in the new project
`

/** The package's own folder: `dist/` and `src/` are both one below it. */
const ownFolder = fileURLToPath(new URL('..', import.meta.url))
const defaultName = 'my-pipeline'

/**
 * Runs the command. Gives the exit code: 0 where a project was made, or help was asked for; 1 where nothing was made, with one message on
 * `error` that says what to do.
 * @param templateFolder where the template lies, if not in this package
 */
export async function run(args: readonly string[], terminal: Terminal, templateFolder = join(ownFolder, 'template')): Promise<number> {
  const paint = painter(terminal)
  try {
    const { values, positionals } = readArguments(args)
    const version = await ownVersion()
    if (values.help || values.version) {
      terminal.output.write(values.help ? usage : `${version}\n`)
      return 0
    }
    if (positionals.length > 1)
      throw new CreateError(`One folder makes one project, and ${positionals.length} were given: ${positionals.join(', ')}.`)
    const template = await readTemplate(templateFolder)
    const taken = installedPackages(template)
    const typed = positionals[0] ?? (await askName(terminal, taken))
    const { folder, name } = readFolder(typed, terminal.cwd, taken)
    const files = fillTemplate(template, { name, dotdoVersion: version })
    await placeFiles(await findPlace(folder), files)

    const way = relative(terminal.cwd, folder)
    const steps = [...(way === '' ? [] : [`cd ${/[\s'"$&()]/.test(way) ? JSON.stringify(way) : way}`]), 'npm install', 'npm start']
    terminal.output.write(
      `${paint(32, 'Made')} ${name}: ${files.size} files in ${folder}\n\n${steps.map((step) => `  ${paint(36, step)}\n`).join('')}\n`,
    )
    return 0
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    // What was not foreseen says where it came from.
    const stack = error instanceof CreateError || !(error instanceof Error) ? '' : `\n${error.stack ?? ''}`
    terminal.error.write(`${paint(31, message)}${stack}\n`)
    return 1
  }
}

function readArguments(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean', short: 'v' } },
      allowPositionals: true,
    })
  } catch (cause) {
    // parseArgs says which option; everything but its first sentence is about positionals.
    throw new CreateError(`${cause instanceof Error ? cause.message.split('. ')[0] : String(cause)}. See: npm create dotdo -- --help`, {
      cause,
    })
  }
}

/** The folder that was meant, and the name that it gives the project. @throws CreateError */
function readFolder(typed: string, cwd: string, taken: readonly string[]): { folder: string; name: string } {
  const folder = resolve(cwd, typed)
  const name = basename(folder)
  const reason = typed.trim() === '' ? 'it is empty' : reasonAgainst(name, taken)
  if (reason === undefined) return { folder, name }
  const nearest = nearestName(typed.trim() === '' ? defaultName : name, taken) ?? defaultName
  throw new CreateError(
    `'${typed.trim() === '' ? typed : name}' is no name for a project: ${reason}. This one is: npm create dotdo ${nearest}`,
  )
}

/** Asks until a name will do. @throws CreateError where nobody is there to ask, or the question was left without an answer */
async function askName(terminal: Terminal, taken: readonly string[]): Promise<string> {
  if (!terminal.isInteractive)
    throw new CreateError('No folder was given, and there is no terminal to ask at. Give one: npm create dotdo my-pipeline')
  const lines = createInterface({ input: terminal.input, output: terminal.output })
  const left = new AbortController()
  // Ctrl-C and Ctrl-D close the interface, and the question alone would wait for ever.
  lines.once('close', () => left.abort())
  try {
    for (;;) {
      const typed = (await lines.question(`Name of the project (${defaultName}): `, { signal: left.signal })).trim() || defaultName
      const reason = reasonAgainst(basename(resolve(terminal.cwd, typed)), taken)
      if (reason === undefined) return typed
      terminal.output.write(`'${typed}' is no name for a project: ${reason}.\n`)
    }
  } catch (cause) {
    if (left.signal.aborted) throw new CreateError('\nNothing was made.', { cause })
    throw cause
  } finally {
    lines.close()
  }
}

async function ownVersion(): Promise<string> {
  return (JSON.parse(await readFile(join(ownFolder, 'package.json'), 'utf8')) as { version: string }).version
}

/** Colours for people only, and not where NO_COLOR says something (https://no-color.org). */
function painter({ isInteractive, env }: Terminal): (code: number, text: string) => string {
  const colorful = isInteractive && !env['NO_COLOR']
  return (code, text) => (colorful ? `\x1b[${code}m${text}\x1b[0m` : text)
}
