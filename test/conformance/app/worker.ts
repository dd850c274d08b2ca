/** The app that the conformance suite calls from outside: worlds, and nothing else. */
import { DO, serve } from 'dotdo'
import { worldDefinition } from '../../../packages/dotdo/test/conformance/world.ts'

export { DotdoSystem } from 'dotdo'

export const World = DO.extend(worldDefinition)

export default serve()
