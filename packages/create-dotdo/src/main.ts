#!/usr/bin/env node
/** `npm create dotdo my-pipeline`: the command on this machine. */
import { run } from './cli.ts'

const { stdin: input, stdout: output, stderr: error } = process
process.exitCode = await run(process.argv.slice(2), {
  input,
  output,
  error,
  isInteractive: Boolean(input.isTTY && output.isTTY),
  cwd: process.cwd(),
  env: process.env,
})
