/** A failure that the person at the terminal can do something about: its message says what failed, with which values, and what to do next. */
export class CreateError extends Error {
  override name = 'CreateError'
}
