/** Variable arguments as eightbytes one after another: what the 64-bit conventions of x86 have in common. */
import type { Address } from '../memory/space.ts';
import type { VarArgs } from './convention.ts';

/** The double with these bits. */
export function doubleOf(bits: bigint): number {
  return new Float64Array(BigUint64Array.of(bits).buffer)[0];
}

/** Narrower values are the low bits of an eightbyte. */
export abstract class Eightbytes implements VarArgs {
  abstract u64(): bigint;
  abstract copy(): VarArgs;

  i64(): bigint {
    return BigInt.asIntN(64, this.u64());
  }

  long(): number {
    return Number(this.i64());
  }

  pointer(): Address {
    return this.long();
  }

  i32(): number {
    return Number(BigInt.asIntN(32, this.u64()));
  }

  /** In the register or slot of an integer; System V has places of its own for them. */
  f64(): number {
    return doubleOf(this.u64());
  }

  u32(): number {
    return this.i32() >>> 0;
  }
}
