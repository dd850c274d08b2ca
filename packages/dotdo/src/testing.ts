/** `dotdo/testing`: an app in a test, in plain Node. Time is the test's, and nothing runs beside it. */
export { testApp } from './testing/app.ts'
export type { DeployOptions, TestApp, TestOptions } from './testing/app.ts'
export type { CrashOptions } from './testing/crash-after.ts'
export type { TestRun } from './testing/runs.ts'
export type { FileContent, SourceContent } from './testing/sources.ts'
