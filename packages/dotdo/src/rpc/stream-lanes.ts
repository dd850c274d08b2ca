/**
 * Lanes: the streams of a session, taken out of its frames and carried as native streams.
 *
 * capnweb sends a stream chunk by chunk as frames, each with an answer; over a link that is a message for every few chunks. Here the frames of a
 * stream end at its own side: the session's writes go into a native stream, which travels in the envelope beside the frames, and at the other
 * side they come out of it and are fed to that session as if they had come as frames. capnweb's flow control goes with the frames: it takes
 * two clocks' difference as a divisor, and on a clock that stands still its writers stop for ever.
 *
 * What travels beside capnweb's own frames:
 *
 * | frame | says |
 * |---|---|
 * | `['lane', n, 'bytes'?]` | what is written to `n` (a pipe of the sender, or a writable of the receiver) comes in `streams[n]` of this envelope: as records (chunk-codec.ts), or as bytes alone |
 * | `['lane-chunk', n, chunk]` | a chunk that refers to the session; the lane says by `next` when its turn is |
 * | `['lane-fail', n, failure]` | from the writing end of a lane of bytes: why nothing more comes |
 * | `['lane-end', n, failure?]` | from the reading end: all was written and closed, or why not. The last word about a lane |
 *
 * Owns the lanes of one session and the numbers of its calls. Invariants:
 * 1. The frames on the wire number calls as if the writes to lanes were none ({@link CallNumbers}); everything outside sees the wire's numbers.
 * 2. Each lane ends once: by `lane-end`, or with its session.
 * 3. Until then both ends keep the session: {@link StreamLanes.open} counts.
 */
import { ByteLane } from './byte-lane.ts'
import type { BytePipe } from './byte-stream.ts'
import type { Frame, StreamsOfFrames } from './frames.ts'
import { errorExpression, linkLost } from './errors.ts'
import { readAlready } from './given-streams.ts'
import type { LinkLimits } from './limits.ts'
import { LaneReader, type Fed } from './lane-reader.ts'
import { LaneWriter } from './lane-writer.ts'
import { CallNumbers, renumber } from './numbers.ts'
import { nextPipeTo } from './pipe-source.ts'

/** What lanes need of the transport that they are a part of. */
export interface StreamLanePorts {
  /** A new native pipe. */
  bytePipe(): BytePipe
  /** Runs `then` after `delayMs`; the result cancels it. */
  timer(delayMs: number, then: () => void): () => void
  /** Queues a frame for the other end. */
  toWire(frame: Frame): void
  /** Queues a frame for the session here. */
  toSession(frame: Frame): void
  limits: Pick<LinkLimits, 'streamChunkBytes' | 'streamStallMs'>
}

/**
 * What a write is told to weigh before its session knows of the lane: more than any window of capnweb's flow control, so that it waits for its
 * answer, behind which the lane stands. The first answer of a stream divides by nothing.
 */
const beyondAnyWindow = 2 ** 40

/** Names that the session knows its lanes by: capabilities of the far end that the far end never made. */
const firstLaneName = -(2 ** 40)

/** Kinds of frames that speak of lanes. */
export const laneFrames: ReadonlySet<unknown> = new Set(['lane', 'lane-chunk', 'lane-fail', 'lane-end'])

interface Writing {
  writer: LaneWriter | ByteLane
  /** The session's number of what is written to. */
  target: number
  name: number
}

interface Reading {
  reader: LaneReader
  /** A chunk that came in a frame and whose turn has not come. All frames behind it wait. */
  chunk: { is: unknown } | undefined
  /** The lane has come to a chunk whose frame is not there yet. */
  wanted: (() => void) | undefined
}

/** The lanes of one session; see the head of this file for what they own. */
export class StreamLanes {
  #ports: StreamLanePorts
  /** Calls of this end, and calls of the other. */
  #own: CallNumbers
  #peer: CallNumbers
  #lanes = 0
  #writingByTarget = new Map<number, Writing>()
  #writingByName = new Map<number, Writing>()
  /** By the number on the wire. */
  #reading = new Map<number, Reading>()
  /** Native streams that wait for their frame to be carried. */
  #streams = new Map<number, ReadableStream<Uint8Array>>()
  /** Targets that the session has not let go of yet, as it does when it learns of the lane: the far end holds them until the lane ends. */
  #held = new Set<number>()
  /** Frames of the other end behind a chunk whose turn has not come: what they release, it may still need. */
  #behind: { frame: Frame; streams: StreamsOfFrames | undefined }[] | undefined
  /** Writes that were fed to the session and have no answer yet. */
  #fed = new Map<number, (fed: Fed) => void>()

  /** @param calls how many have travelled before now, of this end and of the other */
  constructor(ports: StreamLanePorts, calls: { own: number; peer: number }) {
    this.#ports = ports
    this.#own = new CallNumbers(calls.own)
    this.#peer = new CallNumbers(calls.peer)
  }

  /** Lanes that have not ended. */
  get open(): number {
    return this.#writingByTarget.size + this.#reading.size
  }

  /** The native streams that belong to frames which are carried now. */
  streamsOf(frames: Frame[]): StreamsOfFrames | undefined {
    if (this.#streams.size === 0) return undefined
    const streams: StreamsOfFrames = {}
    for (const [kind, target] of frames) {
      const stream = kind === 'lane' && this.#streams.get(target as number)
      if (!stream) continue
      streams[target as number] = stream
      this.#streams.delete(target as number)
    }
    return streams
  }

  /** Takes a frame that the session sends. Gives its weight, where flow control asks for it. */
  fromSession(frame: Frame): number | undefined {
    const [kind, subject, value] = frame
    if (kind === 'push' || kind === 'stream') {
      const [form, target, path, args] = (Array.isArray(subject) ? subject : []) as [string, number, unknown[]?, unknown[]?]
      const writing = form === 'pipeline' && (kind === 'push' ? this.#writingByName.get(target) : this.#writingTo(target))
      if (writing) {
        const number = this.#own.stays()
        // The session's end of a lane of bytes has nothing to say: it is done away with as soon as the lane is there.
        if (writing.writer instanceof ByteLane) this.#ports.toSession(['resolve', number, undefined])
        else writing.writer.operate(number, path?.[0], args?.[0])
        return beyondAnyWindow
      }
      this.#own.travels()
      this.#toWire(frame, subject)
    } else if (kind === 'pipe') {
      const target = this.#own.travels()
      this.#ports.toWire(frame)
      nextPipeTo((source, destination, pipeTo) => this.#openPipe(target, source, destination, pipeTo))
    } else if (kind === 'pull') {
      if (!this.#own.stayed(subject as number)) this.#toWire([kind, this.#own.toWire(subject as number)])
    } else if (kind === 'release') {
      this.#released(subject as number, value as number)
    } else if (kind === 'resolve' || kind === 'reject') {
      const fed = this.#fed.get(subject as number)
      this.#fed.delete(subject as number)
      if (fed) fed(kind === 'reject' ? { failure: value } : undefined)
      else this.#toWire([kind, this.#peer.toWire(subject as number), value], value)
    } else {
      this.#toWire(frame)
    }
    return undefined
  }

  /** Takes frames of the other end, with the native streams that came along. */
  fromWire(frames: readonly Frame[], streams: StreamsOfFrames | undefined): void {
    for (const frame of frames) {
      if (this.#behind) this.#behind.push({ frame, streams })
      else this.#arrived(frame, streams)
    }
  }

  #arrived(frame: Frame, streams: StreamsOfFrames | undefined): void {
    const [kind, subject, value] = frame
    if (kind === 'lane') {
      this.#openReading(subject as number, value === 'bytes', streams?.[subject as number])
    } else if (kind === 'lane-chunk') {
      this.#chunkCame(subject as number, value)
    } else if (kind === 'lane-fail') {
      this.#incoming(value)
      this.#reading.get(subject as number)?.reader.tell(value)
    } else if (kind === 'lane-end') {
      this.#writingEnded(this.#own.toSession(subject as number), value)
    } else if (kind === 'pull' || kind === 'release') {
      this.#ports.toSession([kind, this.#peer.toSession(subject as number), ...frame.slice(2)])
    } else if (kind === 'resolve' || kind === 'reject') {
      this.#incoming(value)
      this.#ports.toSession([kind, this.#own.toSession(subject as number), value])
    } else {
      if (kind === 'push' || kind === 'stream' || kind === 'pipe') this.#peer.travels()
      if (kind === 'push' || kind === 'stream') this.#incoming(subject)
      this.#ports.toSession(frame)
    }
  }

  /** Ends all lanes with the session: what was fed and not read yet is told why, and whoever reads at the other end finds the stream cut off. */
  fail(error: unknown): void {
    for (const { reader } of this.#reading.values()) reader.fail(error)
    for (const { writer } of this.#writingByTarget.values()) writer.break(error)
    this.#reading.clear()
    this.#writingByTarget.clear()
    this.#writingByName.clear()
    this.#streams.clear()
  }

  #toWire(frame: Frame, expression?: unknown): void {
    if (expression !== undefined && !this.#own.same) renumber(expression, this.#own.toWire)
    this.#ports.toWire(frame)
  }

  #incoming(expression: unknown): void {
    if (!this.#peer.same) renumber(expression, this.#peer.toSession)
  }

  // ---- writing

  /** The lane of a stream frame's target: opened by the first, when the target is a writable of the other end. */
  #writingTo(target: number): Writing {
    return this.#writingByTarget.get(target) ?? this.#openWriting(target)
  }

  /** The stream behind a pipe is known: its bytes take the way past the session, and chunks of any other kind go through it. */
  #openPipe(target: number, source: ReadableStream, destination: WritableStream, pipeTo: () => Promise<void>): Promise<void> {
    const wireTarget = this.#own.toWire(target)
    let pipe: BytePipe | undefined
    let lane: ByteLane
    try {
      lane = new ByteLane(source, () => (pipe = this.#ports.bytePipe()).writable, {
        fail: (reason) => this.#toWire(['lane-fail', wireTarget, reason]),
        describe: errorExpression,
      })
    } catch {
      // It is no stream of bytes, or somebody reads it already: then nothing would ever be written, and the far end is told.
      this.#openWriting(target)
      if (!source.locked) return pipeTo()
      destination.abort(readAlready()).catch(() => {})
      return Promise.resolve()
    }
    this.#writingByTarget.set(target, { writer: lane, target, name: 0 })
    this.#announce(target, pipe!.readable, 'bytes')
    // The session's own way to the pipe is closed: what it says of it is answered here.
    destination.abort().catch(() => {})
    return lane.done
  }

  #announce(target: number, stream: ReadableStream<Uint8Array>, ...how: 'bytes'[]): void {
    const wireTarget = this.#own.toWire(target)
    this.#streams.set(wireTarget, stream)
    this.#held.add(target)
    this.#ports.toWire(['lane', wireTarget, ...how])
  }

  #openWriting(target: number): Writing {
    const wireTarget = this.#own.toWire(target)
    const name = firstLaneName - this.#lanes++
    const { readable, writable } = this.#ports.bytePipe()
    const writer = new LaneWriter(writable, {
      answer: (number, failure) =>
        this.#ports.toSession(failure === undefined ? ['resolve', number, undefined] : ['reject', number, failure]),
      sendChunk: (chunk) => this.#toWire(['lane-chunk', wireTarget, chunk], chunk),
      describe: errorExpression,
      mostBytes: this.#ports.limits.streamChunkBytes,
    })
    const writing: Writing = { writer, target, name }
    this.#writingByTarget.set(target, writing)
    this.#writingByName.set(name, writing)
    this.#announce(target, readable)
    // From here on the session writes by plain calls, one at a time, and not by frames that flow control counts.
    this.#ports.toSession(['resolve', target, ['export', name]])
    return writing
  }

  #released(target: number, count: number): void {
    const named = this.#writingByName.get(target)
    if (named) {
      this.#writingByName.delete(target)
      if (named.writer instanceof LaneWriter) named.writer.drop()
      return
    }
    // Answers that were given here were never held there, and the far end lets go of a lane's target by itself.
    if (target <= firstLaneName || this.#own.stayed(target)) return
    const kept = this.#held.delete(target) ? 1 : 0
    if (count > kept) this.#ports.toWire(['release', this.#own.toWire(target), count - kept])
  }

  #writingEnded(target: number, failure: unknown): void {
    const writing = this.#writingByTarget.get(target)
    if (!writing) return
    this.#writingByTarget.delete(target)
    this.#incoming(failure)
    writing.writer.ended(failure)
    // The session forgets the name, and what is written later fails there.
    if (writing.name !== 0)
      this.#ports.toSession([
        'reject',
        writing.name,
        failure === undefined ? errorExpression(linkLost('the stream has ended')) : structuredClone(failure),
      ])
  }

  // ---- reading

  #openReading(wireTarget: number, isBytes: boolean, stream: ReadableStream<Uint8Array> | undefined): void {
    const target = this.#peer.toSession(wireTarget)
    if (!stream) {
      this.#ports.toWire(['lane-end', wireTarget, errorExpression(linkLost('a stream was announced and did not come'))])
      this.#ports.toSession(['release', target, 1])
      return
    }
    const reading: Reading = {
      chunk: undefined,
      wanted: undefined,
      reader: new LaneReader(stream, isBytes, {
        feed: (method, argument, answered) => this.#feed(target, method, argument, answered),
        nextChunk: () => this.#nextChunk(reading),
        describe: errorExpression,
        ended: (failure) => this.#readingEnded(wireTarget, target, failure),
        mostBytes: this.#ports.limits.streamChunkBytes,
        stallMs: this.#ports.limits.streamStallMs,
        timer: (delayMs, then) => this.#ports.timer(delayMs, then),
      }),
    }
    this.#reading.set(wireTarget, reading)
  }

  #feed(target: number, method: string, argument: unknown, answered: (fed: Fed) => void): void {
    this.#fed.set(this.#peer.stays(), answered)
    this.#ports.toSession(['stream', ['pipeline', target, [method], method === 'close' ? [] : [argument]]])
  }

  /**
   * A chunk that refers to the session is taken in when it comes, before the frames behind it, and yet after what its lane holds before it. So the
   * lane is read up to there without waiting for the reader; that is little, because its writer does wait.
   */
  #chunkCame(wireTarget: number, chunk: unknown): void {
    this.#incoming(chunk)
    const reading = this.#reading.get(wireTarget)
    if (!reading) return this.#discard(chunk)
    this.#behind = []
    reading.chunk = { is: chunk }
    if (reading.wanted) reading.wanted()
    else reading.reader.hurry()
  }

  async #nextChunk(reading: Reading): Promise<{ chunk: unknown; fed(): void }> {
    if (!reading.chunk) await new Promise<void>((resolve) => (reading.wanted = resolve))
    const chunk = reading.chunk!.is
    reading.chunk = reading.wanted = undefined
    return { chunk, fed: () => this.#goOn() }
  }

  #goOn(): void {
    const behind = this.#behind ?? []
    this.#behind = undefined
    for (const { frame, streams } of behind) this.fromWire([frame], streams)
  }

  /** Takes a chunk in and lets it go: what it refers to is released. */
  #discard(chunk: unknown): void {
    const number = this.#peer.stays()
    this.#ports.toSession(['push', chunk])
    this.#ports.toSession(['release', number, 1])
  }

  #readingEnded(wireTarget: number, target: number, failure: unknown): void {
    const reading = this.#reading.get(wireTarget)
    if (!reading) return
    this.#reading.delete(wireTarget)
    this.#ports.toSession(['release', target, 1])
    this.#toWire(['lane-end', wireTarget, ...(failure === undefined ? [] : [failure])], failure)
    if (!reading.chunk) return
    this.#discard(reading.chunk.is)
    this.#goOn()
  }
}
