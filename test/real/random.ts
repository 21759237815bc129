/** Seeded randomness for tests. The seed is printed with every failure: set LKM_SEED to repeat a run. */

export interface Random {
  /** An integer from 0 to limit - 1. */
  below(limit: number): number;
  pick<T>(from: readonly T[]): T;
  /** `count` different members, in their order. */
  sample<T>(from: readonly T[], count: number): T[];
}

/** LKM_SEED (`npm test` sets it), or a fresh seed; print it. */
export function testSeed(): number {
  return process.env.LKM_SEED === undefined ? Date.now() % 2 ** 31 : Number(process.env.LKM_SEED);
}

/** The generator "mulberry32": small, and good enough to choose places in a file. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  const below = (limit: number): number => Math.floor((next() / 2 ** 32) * limit);
  return {
    below,
    pick: (from) => from[below(from.length)],
    sample: (from, count) => {
      const indexes = from.map((_, i) => i);
      for (let i = 0; i < Math.min(count, indexes.length); i++) {
        const j = i + below(indexes.length - i);
        [indexes[i], indexes[j]] = [indexes[j], indexes[i]];
      }
      return indexes
        .slice(0, count)
        .sort((a, b) => a - b)
        .map((i) => from[i]);
    },
  };
}
