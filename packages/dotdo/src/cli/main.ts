#!/usr/bin/env node
/** `npx dotdo`: the command line on this machine. */
import { constants } from 'node:os'
import { runCommandLine } from './cli.ts'
import { exit } from './failure.ts'
import { echoMs } from './local.ts'
import { makeTerminal } from './terminal.ts'

const { stdout, stderr, env, argv } = process

/** Its reason is the code that the process is to end with. */
const ending = new AbortController()
const end = (code: number) => {
  // A second wish to end is one to end at once, but for the echo of the first: npx passes on a Ctrl-C that the terminal has sent already.
  if (!ending.signal.aborted) {
    interruptedAt = Date.now()
    ending.abort(code)
  } else if (Date.now() - interruptedAt > echoMs) process.exit(code)
}
let interruptedAt = 0
const takeSignals = () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.removeAllListeners(signal)
    process.on(signal, () => end(exit.signal + constants.signals[signal]))
  }
}
takeSignals()

for (const stream of [stdout, stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // Whoever reads has read enough, as `head` does: there is nobody left to tell anything, and nothing went wrong.
    if (error.code === 'EPIPE') end(exit.fine)
    else throw error
  })

if (typeof WebSocket === 'undefined') {
  stderr.write(`dotdo needs Node 22 or newer, and this is ${process.version}. A project's own Node is first on the path of npx.\n`)
  process.exitCode = exit.refused
} else {
  const terminal = makeTerminal(stdout, stderr, env)
  const code = await runCommandLine(argv.slice(2), {
    terminal,
    env,
    cwd: process.cwd(),
    now: () => Date.now(),
    signal: ending.signal,
    takeSignals,
  })
  // What is still under way (a closing handshake) is not waited for; what was printed is.
  await new Promise((written) => stdout.write('', written))
  process.exit(code)
}
