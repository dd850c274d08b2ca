/**
 * How many entries a page of a list has: what was asked for where that is a number from 1 on, and `standard` else; `most` at most. Lists are asked for from outside,
 * so a page must have an end whatever stands there.
 */
export function pageSize(asked: unknown, standard: number, most: number): number {
  return typeof asked === 'number' && asked >= 1 ? Math.min(Math.floor(asked), most) : standard
}
