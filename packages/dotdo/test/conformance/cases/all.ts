/** Every case of the suite, in the order in which a reader would learn them. */
import type { Case } from '../kit.ts'
import { callCases } from './calls.ts'
import { capabilityCases } from './capabilities.ts'
import { errorCases } from './errors.ts'
import { mapsOfOthersCases } from './maps-of-others.ts'
import { pipeliningCases } from './pipelining.ts'
import { streamCases } from './streams.ts'
import { valueCases } from './values.ts'

export const allCases: readonly Case[] = [
  ...callCases,
  ...valueCases,
  ...pipeliningCases,
  ...mapsOfOthersCases,
  ...capabilityCases,
  ...errorCases,
  ...streamCases,
]
