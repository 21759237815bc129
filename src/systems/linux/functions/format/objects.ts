/** %pd %pD %pg %pt %pR %pG: kernel objects, read by their type information. */

import { encoded, type Sink } from '../../../../kernel/text/sink.ts';
import { plainSpec, putNumber, putString } from '../../../../kernel/text/spec.ts';
import type { Address } from '../../../../memory/space.ts';
import { nameOfDevice } from '../../block/bio.ts';
import type { Linux } from '../../linux.ts';
import type { Target } from './target.ts';

/** %pd shows the last component, %pd2 to %pd4 as many; %pD the same of an open file. */
export function putDentry({ k, out, at, letters, spec }: Target): void {
  const depth = /[234]/.test(letters[1] ?? '') ? Number(letters[1]) : 1;
  let dentry = letters[0] === 'D' ? k.memory.ptr(at + k.offset('file.f_path.dentry')) : at;
  const parts: string[] = [];
  for (let i = 0; i < depth; i++) {
    const parent = k.read('dentry.d_parent', dentry);
    const name = k.memory.cstring(k.read('dentry.d_name.name', dentry));
    if (parent === dentry) {
      // The root's name is a slash of its own: with components below it, it only adds the leading one.
      parts.unshift(i === 0 ? name : '');
      break;
    }
    parts.unshift(name);
    dentry = parent;
  }
  putString(out, encoded(parts.join('/')), spec);
}

/** A disk or partition: the number follows the disk's name, after a p when that ends in a digit. */
export function putDisk({ k, out, at, spec }: Target): void {
  putString(out, encoded(nameOfDevice(k, at)), spec);
}

interface Clock {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

/** %ptR for a struct rtc_time, %ptT for a time64_t; d or t for one half, r for raw values, s for a blank between. */
export function putDate({ k, out, at, letters, spec }: Target): void {
  const options = letters.slice(2);
  const raw = options.includes('r');
  const date = options.includes('d') || !options.includes('t');
  const time = options.includes('t') || !options.includes('d');
  let clock: Clock;
  if (letters[1] === 'R') clock = rtcClock(k, at, raw);
  else if (letters[1] === 'T') clock = secondsClock(k.memory.u64(at), raw);
  else {
    putString(out, '(%pt?)', spec);
    return;
  }
  const two = (n: number) => `${n}`.padStart(2, '0');
  const parts: string[] = [];
  if (date) parts.push(`${`${clock.year}`.padStart(4, '0')}-${two(clock.month)}-${two(clock.day)}`);
  if (time) parts.push(`${two(clock.hour)}:${two(clock.minute)}:${two(clock.second)}`);
  out.put(parts.join(options.includes('s') ? ' ' : 'T'));
}

function rtcClock(k: Linux, at: Address, raw: boolean): Clock {
  const field = (name: string) => k.read(`rtc_time.${name}`, at);
  return {
    year: field('tm_year') + (raw ? 0 : 1900),
    month: field('tm_mon') + (raw ? 0 : 1),
    day: field('tm_mday'),
    hour: field('tm_hour'),
    minute: field('tm_min'),
    second: field('tm_sec'),
  };
}

function secondsClock(seconds: bigint, raw: boolean): Clock {
  // Dates beyond what a Date holds are no dates a module prints.
  const limit = 8_640_000_000_000n;
  const signed = BigInt.asIntN(64, seconds);
  const date = new Date(Number(signed > limit ? limit : signed < -limit ? -limit : signed) * 1000);
  return {
    year: date.getUTCFullYear() - (raw ? 1900 : 0),
    month: date.getUTCMonth() + (raw ? 0 : 1),
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
  };
}

/** IORESOURCE_* (include/linux/ioport.h). */
const RESOURCE = {
  IO: 0x100,
  MEM: 0x200,
  IRQ: 0x400,
  DMA: 0x800,
  BUS: 0x1000,
  PREFETCH: 0x2000,
  MEM_64: 0x100000,
  WINDOW: 0x200000,
  DISABLED: 0x10000000,
  UNSET: 0x20000000,
} as const;

/** %pR with decoded flags, %pr with raw ones: [mem 0x60000000-0x6fffffff 64bit]. */
export function putResource({ k, out, at, letters }: Target): void {
  const flags = k.read('resource.flags', at);
  const big = (path: string) => k.memory.u64(at + k.offset(path));
  const [start, end] = [big('resource.start'), big('resource.end')];
  const has = (bit: number) => (Math.floor(flags / bit) & 1) === 1;
  const kind = has(RESOURCE.IO)
    ? 'io '
    : has(RESOURCE.MEM)
      ? 'mem'
      : has(RESOURCE.IRQ)
        ? 'irq'
        : has(RESOURCE.DMA)
          ? 'dma'
          : has(RESOURCE.BUS)
            ? 'bus'
            : '???';
  const decoded = letters[0] === 'R' && kind !== '???';
  out.put(`[${kind} `);
  if (decoded && has(RESOURCE.UNSET)) {
    out.put('size ');
    putBound(out, end - start + 1n, kind);
  } else {
    putBound(out, start, kind);
    if (start !== end) {
      out.put('-');
      putBound(out, end, kind);
    }
  }
  if (decoded) {
    if (has(RESOURCE.MEM_64)) out.put(' 64bit');
    if (has(RESOURCE.PREFETCH)) out.put(' pref');
    if (has(RESOURCE.WINDOW)) out.put(' window');
    if (has(RESOURCE.DISABLED)) out.put(' disabled');
  } else {
    out.put(' flags ');
    putNumber(out, BigInt.asUintN(64, BigInt(flags)), plainSpec({ base: 16, special: true, small: true }));
  }
  out.put(']');
}

function putBound(out: Sink, value: bigint, kind: string): void {
  const bound = BigInt.asUintN(64, value);
  if (kind === 'irq' || kind === 'dma') putNumber(out, bound, plainSpec());
  else if (kind === 'bus') putNumber(out, bound, plainSpec({ base: 16, small: true, zero: true, width: 2 }));
  else {
    const width = kind === 'io ' ? 6 : 10;
    putNumber(out, bound, plainSpec({ base: 16, special: true, small: true, zero: true, width }));
  }
}

/** Names of gfp_t bits in Linux 6.1, the combinations that have one first (include/trace/events/mmflags.h). */
const GFP_NAMES: readonly (readonly [number, string])[] = [
  [0x13d2ca, 'GFP_TRANSHUGE'],
  [0x13d0ca, 'GFP_TRANSHUGE_LIGHT'],
  [0x112cca, 'GFP_HIGHUSER_MOVABLE'],
  [0x112cc2, 'GFP_HIGHUSER'],
  [0x112cc0, 'GFP_USER'],
  [0x400dc0, 'GFP_KERNEL_ACCOUNT|__GFP_ZERO'],
  [0x400cc0, 'GFP_KERNEL_ACCOUNT'],
  [0xcc0, 'GFP_KERNEL'],
  [0xc40, 'GFP_NOFS'],
  [0xa20, 'GFP_ATOMIC'],
  [0xc00, 'GFP_NOIO'],
  [0x800, 'GFP_NOWAIT'],
  [0x1, 'GFP_DMA'],
  [0x2, '__GFP_HIGHMEM'],
  [0x4, 'GFP_DMA32'],
  [0x20, '__GFP_HIGH'],
  [0x200, '__GFP_ATOMIC'],
  [0x40, '__GFP_IO'],
  [0x80, '__GFP_FS'],
  [0x2000, '__GFP_NOWARN'],
  [0x4000, '__GFP_RETRY_MAYFAIL'],
  [0x8000, '__GFP_NOFAIL'],
  [0x10000, '__GFP_NORETRY'],
  [0x40000, '__GFP_COMP'],
  [0x100, '__GFP_ZERO'],
  [0x80000, '__GFP_NOMEMALLOC'],
  [0x20000, '__GFP_MEMALLOC'],
  [0x100000, '__GFP_HARDWALL'],
  [0x200000, '__GFP_THISNODE'],
  [0x10, '__GFP_RECLAIMABLE'],
  [0x8, '__GFP_MOVABLE'],
  [0x400000, '__GFP_ACCOUNT'],
  [0x1000, '__GFP_WRITE'],
  [0xc00, '__GFP_RECLAIM'],
  [0x400, '__GFP_DIRECT_RECLAIM'],
  [0x800, '__GFP_KSWAPD_RECLAIM'],
];

/** %pGg: allocation flags by name. Page and memory-area flags are printed as numbers. */
export function putFlags({ k, out, at, letters }: Target): void {
  const value = letters[1] === 'g' ? k.memory.u32(at) : Number(BigInt.asUintN(53, k.memory.u64(at)));
  out.put(letters[1] === 'g' ? flagNames(value) : `0x${k.memory.u64(at).toString(16)}`);
}

function flagNames(flags: number): string {
  if (flags === 0) return '0x0';
  const names: string[] = [];
  for (const [mask, name] of GFP_NAMES) {
    if ((flags & mask) !== mask) continue;
    flags &= ~mask;
    names.push(name);
  }
  if (flags !== 0) names.push(`0x${(flags >>> 0).toString(16)}`);
  return names.join('|');
}
