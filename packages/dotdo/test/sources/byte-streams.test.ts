/** Every test of extractions again, over streams of bytes: what the platform gives, and what is read into room of the reader's own. */
import { giveByteStreams } from './fakes.ts'

giveByteStreams()
await import('./extract.test.ts')
