/** Whether a value can be awaited: a promise of any make. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return ((typeof value === 'object' && value !== null) || typeof value === 'function') && typeof Reflect.get(value, 'then') === 'function'
}
