/** A table as people are shown it: where it is, and what its current snapshot holds. */
export interface TableOverview {
  /** Levels joined by dots, such as `analytics.events`. */
  name: string
  location: string
  /** Absent where nothing has been written. */
  snapshotId?: number
  /** Epoch milliseconds of the snapshot. */
  committedAt?: number
  files: number
  rows: number
  /** Bytes of the data files. */
  bytes: number
}
