import { encodeValue } from '../base/codec.ts'
import { toErrorRecord, type ErrorRecord } from '../base/errors.ts'

/** Longest message that is kept of a handler's failure, in characters. */
const messageLength = 4096
/** Largest record with its data, in characters of its stored form. Above it the data is left out. */
const recordLength = 65_536

/**
 * What is stored of a handler's failure. Never throws and never grows without bound: a failure that could not be stored would keep its event
 * from becoming a dead letter. Where data is left out, the message says so.
 */
export function storableError(thrown: unknown): ErrorRecord {
  const record = toErrorRecord(thrown)
  if (record.message.length > messageLength) record.message = `${record.message.slice(0, messageLength)}…`
  return isStorable(record) ? record : withoutData(record)
}

function withoutData(record: ErrorRecord): ErrorRecord {
  const rest = { ...record, message: `${record.message} (Its data could not be stored and was left out.)` }
  delete rest.data
  return rest
}

function isStorable(record: ErrorRecord): boolean {
  try {
    return encodeValue(record).length <= recordLength
  } catch {
    // Data with functions, stubs or accessors that throw: the answer is no.
    return false
  }
}
