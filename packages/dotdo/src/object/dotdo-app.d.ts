/** The user's file: see `entry.ts`. */
declare module 'dotdo:app' {
  const app: new (ctx: DurableObjectState, env: never) => unknown
  export default app
}
