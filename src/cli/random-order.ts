/** The items in an order that the seed alone decides. */
export function inRandomOrder<T>(items: readonly T[], seed: number): T[] {
  let state = (seed * 0x9e3779b9) >>> 0 || 1;
  const random = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
  const keyed = items.map((item) => ({ item, key: random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}
