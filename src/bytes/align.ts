/** `value` or the next multiple of `to` above it. Exact up to 2^53; `to` need not be a power of two. */
export function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
