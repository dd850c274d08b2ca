import { anyNode, type Expr } from './ast.ts'
import type { BoundSelect } from './bind.ts'
import type { PlanBase } from './plan.ts'
import type { Source } from './source.ts'

/** The part of a plan that does not depend on its kind. */
export function sharedPlan(select: BoundSelect): Omit<PlanBase, 'scan'> {
  return {
    names: select.items.map(({ name }) => name),
    needs: { table: select.table.name, columns: select.columns },
    offset: select.offset,
    ...(select.limit !== undefined && { limit: select.limit }),
  }
}

/**
 * Refuses an expression that SQLite may compare by another collation than BINARY: merging compares text by its bytes.
 *
 * Which collation an expression takes follows rules of its own (the left operand's, an explicit one first); a column with a collation anywhere
 * in the expression is enough to refuse it, which is more than needed and never less.
 *
 * @param clause where the comparison happens, for the message
 * @throws `SQL_UNSUPPORTED`
 */
export function requireBinary(expr: Expr, select: BoundSelect, source: Source, clause: string): void {
  anyNode(expr, (node) => {
    const collation =
      node.kind === 'collate'
        ? node.collation
        : node.kind === 'column'
          ? (select.table.columns.find(({ name }) => name === node.name)?.collation ?? 'BINARY')
          : 'BINARY'
    if (collation !== 'BINARY')
      throw source.unsupported(
        `The collation ${collation} in ${clause}`,
        node.at,
        'Use lower(x) or trim(x) of a BINARY column, or declare the column without COLLATE.',
      )
    return false
  })
}
