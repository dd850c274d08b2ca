import type { BytePipe } from '../rpc/byte-stream.ts'

/** The platform's pipe for bytes, in Node: a write is taken when its bytes were read, and a reader may bring a buffer of its own. */
export function bytePipe(): BytePipe {
  let controller!: ReadableByteStreamController
  let wanted = Promise.withResolvers<void>()
  let failure: unknown
  // The libraries of types declare streams of bytes twice, differently.
  const ByteStream = ReadableStream as unknown as new (source: object, strategy: { highWaterMark: number }) => ReadableStream<Uint8Array>
  const readable = new ByteStream(
    {
      type: 'bytes',
      start: (it: ReadableByteStreamController) => void (controller = it),
      pull: () => wanted.resolve(),
      // As over native calls: the writer learns that it is over, and not why.
      cancel: () => {
        failure = new Error('Network connection lost.')
        wanted.resolve()
      },
    },
    { highWaterMark: 0 },
  )
  const writable = new WritableStream<Uint8Array>({
    async write(bytes) {
      for (let at = 0; at < bytes.byteLength;) {
        await wanted.promise
        if (failure) throw failure
        wanted = Promise.withResolvers()
        // A reader with a small buffer gets what fits; the rest waits for its next read.
        const room = controller.byobRequest?.view?.byteLength ?? bytes.byteLength
        const piece = bytes.slice(at, at + room)
        at += piece.byteLength
        controller.enqueue(piece)
      }
    },
    close() {
      controller.close()
      // A read that waits with a buffer gets it back.
      controller.byobRequest?.respond(0)
    },
    abort: () => controller.error(new Error('ReadableStream received over RPC disconnected prematurely.')),
  })
  return { readable, writable }
}
