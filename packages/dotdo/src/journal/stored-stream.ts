/** How a {@link StoredStream} reaches what is stored. */
export interface StoredStreamSource {
  /** The id of the value it reads. */
  valueId: number
  /** The reference to it, as a column holds it. */
  text: string
  /** The number of elements in all batches. */
  rows: number
  /** Length of what is stored, in bytes of UTF-8. */
  sizeBytes: number
  /** Reads the batches from the first one on, each when it is asked for. */
  read(): Iterable<unknown> | AsyncIterable<unknown>
}

/**
 * The batches of a stream that a step has stored. Every `for await` begins anew at the first batch and reads one piece at a time, so
 * memory is bounded by a piece (8 MiB where it lies in a bucket) whatever the size. A batch that was larger than a piece (about 256 Ki characters) comes back as several.
 *
 * It reads from the object that stored it, and as long as the run is kept: after that, `VALUE_LOST`.
 */
export class StoredStream<Batch = unknown> implements AsyncIterable<Batch> {
  /** The number of elements in all batches; a batch that is no array counts as one. */
  readonly rows: number
  /** Length of what is stored, in bytes. */
  readonly sizeBytes: number
  readonly #source: StoredStreamSource

  constructor(source: StoredStreamSource) {
    this.rows = source.rows
    this.sizeBytes = source.sizeBytes
    this.#source = source
  }

  /** What is read. For the journal: a run that returns the stream of its step keeps a reference and no copy. */
  get source(): StoredStreamSource {
    return this.#source
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Batch, void, undefined> {
    // What was stored as a Batch is read as one.
    for await (const batch of this.#source.read()) yield batch as Batch
  }
}
