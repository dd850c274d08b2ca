/**
 * Property tests draw the same cases in every run, so that a red CI is red again; `DOTDO_SEED=n` draws others. A failure prints its own seed and
 * path besides.
 */
import fc from 'fast-check'

fc.configureGlobal({ seed: Number.parseInt(process.env['DOTDO_SEED'] ?? '20261122', 10) | 0 })
