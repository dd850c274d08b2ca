/**
 * The stream behind a pipe. capnweb announces a pipe by a frame and then, before anything else can run, calls `pipeTo` on the user's stream;
 * the frame does not say which stream it is. So for that moment `pipeTo` is ours.
 */

/** Takes over the next `pipeTo`; answers with what it is to return. */
export type Takeover = (source: ReadableStream, destination: WritableStream, pipeTo: () => Promise<void>) => Promise<void>

/**
 * Has `takeover` decide what becomes of the stream on which `pipeTo` is called next, in the code that runs now. Call it only where that is
 * certain: while capnweb sends a `pipe` frame.
 */
export function nextPipeTo(takeover: Takeover): void {
  const prototype = ReadableStream.prototype
  const own = Object.getOwnPropertyDescriptor(prototype, 'pipeTo')!
  const restore = () => Object.defineProperty(prototype, 'pipeTo', own)
  Object.defineProperty(prototype, 'pipeTo', {
    ...own,
    value(this: ReadableStream, ...args: [WritableStream, StreamPipeOptions?]) {
      restore()
      return takeover(this, args[0], () => Reflect.apply(own.value as ReadableStream['pipeTo'], this, args))
    },
  })
  // capnweb has thrown before it came to it: nobody else's call may be taken for its own.
  queueMicrotask(() => {
    if (Object.getOwnPropertyDescriptor(prototype, 'pipeTo')!.value !== own.value) restore()
  })
}
