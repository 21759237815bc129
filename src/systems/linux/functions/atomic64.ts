/**
 * 64-bit atomic operations of 32-bit kernels (arch/x86/lib/atomic64_cx8_32.S): entries with register rules of their own, as
 * atomic64_32.h calls them. One processor, so that nothing comes between the reading and the writing.
 */
import { plainSignature } from '../../../abi/convention.ts';
import type { Address } from '../../../memory/space.ts';
import type { DataInitialiser, Linux } from '../linux.ts';

const [EAX, ECX, EDX, EBX, ESI, EDI] = [0, 1, 2, 3, 6, 7];

const pair = (k: Linux, high: number, low: number): bigint => (k.cpu.gprBig(high) << 32n) | k.cpu.gprBig(low);

function setPair(k: Linux, value: bigint): void {
  k.cpu.setGprBig(EAX, BigInt.asUintN(32, value));
  k.cpu.setGprBig(EDX, BigInt.asUintN(32, value >> 32n));
}

const signed = (value: bigint): bigint => BigInt.asIntN(64, value);

/** What becomes of the old value, and what edx:eax (or eax alone) is then; undefined: nothing is written. */
type Change = (k: Linux, old: bigint) => { readonly value: bigint | undefined; readonly result: bigint };

const operation = (name: string, pointer: number, change: Change): DataInitialiser => ({
  symbol: `atomic64_${name}_cx8`,
  bits: 32,
  when: 'import',
  fill: (k, at) =>
    k.bindRaw(`atomic64_${name}_cx8`, at, () => {
      const where: Address = k.cpu.gpr(pointer);
      const { value, result } = change(k, k.memory.u64(where));
      if (value !== undefined) k.memory.setU64(where, value);
      setPair(k, result);
      k.convention.finish(k.cpu, plainSignature(name, 'void'), undefined);
    }),
});

/** A new value that is the result, too. */
const to = (value: bigint): ReturnType<Change> => ({ value, result: value });

export const atomic64: readonly DataInitialiser[] = [
  operation('read', ECX, (_k, old) => ({ value: undefined, result: old })),
  operation('set', ESI, (k, old) => ({ value: pair(k, ECX, EBX), result: old })),
  operation('xchg', ESI, (k, old) => ({ value: pair(k, ECX, EBX), result: old })),
  operation('add_return', ECX, (k, old) => to(old + pair(k, EDX, EAX))),
  operation('sub_return', ECX, (k, old) => to(old - pair(k, EDX, EAX))),
  operation('inc_return', ESI, (_k, old) => to(old + 1n)),
  operation('dec_return', ESI, (_k, old) => to(old - 1n)),
  // The result is what it would be, and written only if that is not below zero.
  operation('dec_if_positive', ESI, (_k, old) => ({
    value: signed(old - 1n) < 0n ? undefined : old - 1n,
    result: old - 1n,
  })),
  operation('inc_not_zero', ESI, (_k, old) =>
    old === 0n ? { value: undefined, result: 0n } : { value: old + 1n, result: 1n },
  ),
  // edx:eax is added unless the value is edi:ecx.
  operation('add_unless', ESI, (k, old) =>
    old === pair(k, EDI, ECX)
      ? { value: undefined, result: 0n }
      : { value: old + pair(k, EDX, EAX), result: 1n },
  ),
];
