/**
 * The checksum of internet packets (RFC 1071; arch/x86/lib/csum-partial_64.c, include/asm-generic/checksum.h): sums of
 * 16-bit words in ones' complement, as the kernel carries them about, unfolded in 32 bits.
 */
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

const HIGH = 2 ** 32;
/** Words whose sum a number holds exactly. */
const EXACT = 1 << 20;

/** Ends a sum around: never 0 where anything but zeros was added. */
function around(sum: number): number {
  while (sum >= HIGH) sum = (sum % HIGH) + Math.floor(sum / HIGH);
  return sum;
}

/** Of bytes that begin at an even address. */
function evenSum(bytes: Uint8Array, sum: number): number {
  const whole = bytes.length & ~3;
  const words = new Uint32Array(bytes.slice(0, whole).buffer);
  for (let from = 0; from < words.length; from += EXACT) {
    const end = Math.min(from + EXACT, words.length);
    for (let n = from; n < end; n++) sum += words[n];
    sum = around(sum);
  }
  // What is left of a word is filled up with zeros.
  for (let n = whole; n < bytes.length; n++) sum += bytes[n] * 2 ** (8 * (n - whole));
  return around(sum);
}

function partial(k: Linux, at: Address, length: number, sum: number): number {
  if (length <= 0) return sum;
  const bytes = k.memory.bytes(at, length);
  if (at % 2 === 0) return evenSum(bytes, sum);
  // Words lie across: the sum is turned by a byte before, folded to 16 bits, and turned back after.
  const turned = ((sum >>> 8) | (sum << 24)) >>> 0;
  const total = evenSum(bytes.subarray(1), turned + bytes[0] * 256);
  const folded = 0xffff - fold(total);
  return (folded >> 8) | ((folded & 0xff) << 8);
}

/** csum_fold: the complement of 16 bits. */
function fold(sum: number): number {
  let low = (sum & 0xffff) + (sum >>> 16);
  low = (low & 0xffff) + (low >>> 16);
  return ~low & 0xffff;
}

/** Two addresses and the pseudo header behind them (RFC 8200, 8.1). */
function pseudoHeader(k: Linux, from: Address, to: Address, length: number, protocol: number): number {
  const swapped = new DataView(new ArrayBuffer(4));
  swapped.setUint32(0, length >>> 0);
  let sum = swapped.getUint32(0, true) + protocol * 2 ** 24;
  for (const at of [from, to]) for (let n = 0; n < 4; n++) sum += k.memory.u32(at + n * 4);
  return sum;
}

export const internetSums = kernelFunctions({
  '__wsum csum_partial(const void *buff, int len, __wsum sum)': (k, at, length, sum) =>
    partial(k, at, length, sum >>> 0),
  '__sum16 ip_compute_csum(const void *buff, int len)': (k, at, length) => fold(partial(k, at, length, 0)),
  '__sum16 csum_ipv6_magic(const struct in6_addr *saddr, const struct in6_addr *daddr, __u32 len, __u8 proto, __wsum sum)':
    (k, from, to, length, protocol, sum) =>
      fold(around(pseudoHeader(k, from, to, length, protocol) + (sum >>> 0))),
});
