/** A small seeded generator for tests, so that a failure can be run again from its printed seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0 || 1;
  }

  /** 32 random bits, signed (xorshift with a multiplicative scramble). */
  bits(): number {
    let s = this.#state;
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    this.#state = s;
    return Math.imul(s, 0x9e3779b1) ^ (s >>> 15);
  }

  /** An integer from 0 to `limit - 1`. */
  below(limit: number): number {
    return (this.bits() >>> 0) % limit;
  }

  /** True once in `n`. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }

  /** 64 bits, often near the edges where carries and signs change. */
  word64(): bigint {
    const edges = [0n, 1n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0x7fffffffn, 0x80000000n, 0xffffffffn];
    switch (this.below(6)) {
      case 0:
        return this.pick(edges);
      case 1:
        return BigInt.asUintN(64, -this.pick(edges));
      case 2:
        return BigInt.asUintN(64, 1n << BigInt(this.below(64)));
      case 3:
        return BigInt(this.bits() >>> 0);
      default:
        return (BigInt(this.bits() >>> 0) << 32n) | BigInt(this.bits() >>> 0);
    }
  }
}

/** The seed of this run: `LKM_SEED`, or the time. */
export function seedOfRun(): number {
  const given = process.env.LKM_SEED;
  return given === undefined ? Date.now() & 0x7fffffff : Number(given);
}
