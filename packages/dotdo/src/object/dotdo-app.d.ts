/** The user's file: see `entry.ts`. */
declare module 'dotdo:app' {
  const app: import('./do.ts').DurableObjectClass<object>
  export default app
}
