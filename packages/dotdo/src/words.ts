/** `dotdo/words`: what pages and terminals say alike, of times, sizes, targets, prices and lineage. Apart from `dotdo/client`, which stays small. */
export { formatMs, formatRound } from './base/durations.ts'
export { edgeInWords } from './base/lineage-views.ts'
export {
  budgetInWords,
  counted,
  formatBytes,
  formatCount,
  formatRelative,
  priceInWords,
  targetInWords,
  untoldInWords,
} from './base/words.ts'
