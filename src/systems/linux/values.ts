/** How Linux people write some values: error numbers by name, allocation flags, modes and device numbers. */
import { type CType, resolve } from '../../ctypes/type.ts';
import type { GuestValue } from '../../kernel/steps.ts';
import { flagsText } from '../../kernel/trace/values.ts';
import { errnoName, isError } from './errno.ts';
import type { Linux } from './linux.ts';
import { GFP } from './pages.ts';

/**
 * Masks of include/linux/gfp_types.h that have kept their bits since 4.4, and the two combinations that callers write.
 * Kernels whose types name the bits (from 6.10 on) are asked for those.
 */
const GFP_NAMES: readonly (readonly [string, bigint])[] = [
  ['GFP_KERNEL', BigInt(GFP.KERNEL)],
  ['GFP_ATOMIC', BigInt(GFP.ATOMIC)],
  ['__GFP_ZERO', BigInt(GFP.ZERO)],
  ['__GFP_NOWARN', BigInt(GFP.NOWARN)],
  ['__GFP_COMP', BigInt(GFP.COMP)],
];

export function describeLinuxValue(k: Linux, type: CType, value: GuestValue): string | undefined {
  const alias = type.kind === 'typedef' ? type.name : '';
  if (alias === 'gfp_t') return gfpText(k, BigInt(value));
  if (alias === 'umode_t') return `0${Number(value).toString(8)}`;
  if (alias === 'dev_t') return `${Number(value) >>> 20}:${Number(value) & 0xfffff}`;
  const real = resolve(type);
  const number = Number(value);
  if (!isError(number)) return undefined;
  const name = errnoName(-number);
  if (name === undefined) return undefined;
  if (real.kind === 'pointer') return `ERR_PTR(-${name})`;
  return real.kind === 'integer' && real.signed && real.size >= 4 ? `-${name}` : undefined;
}

function gfpText(k: Linux, value: bigint): string | undefined {
  if (!k.types.hasEnumerator('___GFP_LAST_BIT')) return flagsText(value, GFP_NAMES);
  const bits: [string, bigint][] = [];
  for (const name of ['HIGH', 'IO', 'FS', 'ZERO', 'DIRECT_RECLAIM', 'KSWAPD_RECLAIM', 'NOWARN', 'COMP']) {
    if (k.types.hasEnumerator(`___GFP_${name}_BIT`))
      bits.push([`__GFP_${name}`, 1n << BigInt(k.types.enumerator(`___GFP_${name}_BIT`))]);
  }
  const kernel = ['__GFP_IO', '__GFP_FS', '__GFP_DIRECT_RECLAIM', '__GFP_KSWAPD_RECLAIM'];
  const mask = bits.filter(([name]) => kernel.includes(name)).reduce((all, [, bit]) => all | bit, 0n);
  return flagsText(value, [...bits, ['GFP_KERNEL', mask]]);
}
