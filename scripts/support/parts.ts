/** Runs the parts of a check one after the other, shows the time of each, and goes on after a failure. */
import { spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's root, with a separator at its end. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

/** One part: a name for people, and a command or a function that answers whether it passed. */
export interface Part {
  name: string
  run: string[] | (() => Promise<boolean>)
}

/** What became of a part. */
export interface PartResult {
  name: string
  ok: boolean
  seconds: number
}

/** The environment in which the repository's own programs (Node among them) come first. */
export function environment(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${join(root, 'node_modules/.bin')}${delimiter}${process.env['PATH'] ?? ''}`, ...extra }
}

/** Runs a program in the root with this process's own output. Answers its exit code; a signal or a missing program is 1. */
export function execute([command = '', ...args]: string[], extra: Record<string, string> = {}): Promise<number> {
  return new Promise((done) => {
    // npm's programs are .cmd files on Windows, which only a shell starts.
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', env: environment(extra), shell: process.platform === 'win32' })
    child.once('error', (error) => {
      console.error(`${command}: ${error.message}`)
      done(1)
    })
    child.once('close', (code) => done(code ?? 1))
  })
}

/** Runs all parts, also after one has failed. Prints a line for each, and a summary. */
export async function runParts(parts: Part[]): Promise<PartResult[]> {
  const results: PartResult[] = []
  for (const { name, run } of parts) {
    console.log(`── ${name}`)
    const began = performance.now()
    const ok = typeof run === 'function' ? await run() : (await execute(run)) === 0
    results.push({ name, ok, seconds: (performance.now() - began) / 1000 })
  }
  for (const { name, ok, seconds } of results) console.log(`${ok ? 'ok    ' : 'FAILED'} ${name} (${seconds.toFixed(1)} s)`)
  return results
}
