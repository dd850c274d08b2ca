import type { Case } from '../kit.ts'

/** What the session link is about to learn: a session that is let go of ends, and what it was given is released. */
export const notYet = (it: Case): boolean =>
  (it.group === 'ends' && /let go|lets go|last one/.test(it.title)) ||
  /straight back|give capabilities|captures a stub of the caller/.test(it.title) ||
  (it.group === 'Blobs' && /of a result|several/.test(it.title)) ||
  /a Response arrives/.test(it.title)
