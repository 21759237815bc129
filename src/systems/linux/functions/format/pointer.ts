/** %p and the letters behind it (Documentation/core-api/printk-formats.rst). */

import { encoded, type Sink, textOf } from '../../../../kernel/text/sink.ts';
import { putNumber, putSpecialHex, putString, type Spec } from '../../../../kernel/text/spec.ts';
import type { Address } from '../../../../memory/address.ts';
import { addressOfWord, errnoName, isError } from '../../errno.ts';
import type { Linux } from '../../linux.ts';
import { escapeBytes, escapeFlags } from './escape.ts';
import { putIp, putMac, putUuid } from './network.ts';
import { putDate, putDentry, putDisk, putFlags, putResource } from './objects.ts';
import type { Nested, Target } from './target.ts';

const PAGE = 4096;
/** A %ph buffer longer than this is cut (documented limit). */
const MAX_HEX = 64;

/** The text the kernel prints instead of following a pointer that cannot be good. */
export function badPointer(at: Address): string | undefined {
  if (at === 0) return '(null)';
  return (at > 0 && at < PAGE) || isError(at) ? '(efault)' : undefined;
}

/** Prints one %p conversion; `letters` are the alphanumerics behind the p. */
export function putPointer(
  k: Linux,
  out: Sink,
  raw: bigint,
  letters: string,
  spec: Spec,
  nested: Nested,
): void {
  const at = addressOfWord(raw, k.word);
  const plain = PLAIN[letters[0]];
  if (plain !== undefined) {
    plain(k, out, raw, letters, spec);
    return;
  }
  const follow = FOLLOWED[letters[0]];
  if (follow === undefined) {
    putHashed(k, out, raw, spec);
    return;
  }
  const bad = badPointer(at);
  if (bad !== undefined) putBad(out, bad, spec);
  else follow({ k, out, at, letters, spec, nested });
}

function putBad(out: Sink, text: string, spec: Spec): void {
  putString(out, text, spec.precision === -1 ? { ...spec, precision: 16 } : spec);
}

type Plain = (k: Linux, out: Sink, raw: bigint, letters: string, spec: Spec) => void;

/** Letters that print the pointer itself. */
const PLAIN: Record<string, Plain | undefined> = {
  x: (k, out, raw, _letters, spec) => putAddress(k, out, raw, spec),
  // kernel.kptr_restrict is 0 by default: hashed, as plain %p.
  K: (k, out, raw, _letters, spec) => putHashed(k, out, raw, spec),
  S: putSymbol,
  s: putSymbol,
  B: putSymbol,
  e: putError,
};

/** Letters that print what the pointer points to. */
const FOLLOWED: Record<string, ((t: Target) => void) | undefined> = {
  h: putHex,
  b: putBits,
  M: putMac,
  m: putMac,
  I: putIp,
  i: putIp,
  U: putUuid,
  E: putEscaped,
  V: putVaFormat,
  a: (t) => putSpecialHex(t.out, t.k.memory.u64(t.at), 8),
  N: (t) => {
    if (t.letters[1] === 'F') putSpecialHex(t.out, t.k.memory.u64(t.at), 8);
    else putBad(t.out, '(%pN?)', t.spec);
  },
  // Firmware nodes, device tree nodes and clocks: this kernel has none to name.
  f: (t) => putBad(t.out, t.letters[1] === 'w' ? '(%pfw?)' : '(%pf?)', t.spec),
  O: (t) => putBad(t.out, t.letters[1] === 'F' ? '(%pOF?)' : '(%pO?)', t.spec),
  C: (t) => putBad(t.out, '(%pC?)', t.spec),
  4: putFourcc,
  R: putResource,
  r: putResource,
  d: putDentry,
  D: putDentry,
  g: putDisk,
  t: putDate,
  G: putFlags,
};

function putAddress(k: Linux, out: Sink, raw: bigint, spec: Spec): void {
  const width = spec.width === -1 ? { width: 2 * k.word, zero: true } : {};
  putNumber(out, raw, { ...spec, ...width, base: 16, small: true, signed: false });
}

/** Addresses are not for everyone: 32 bits of a keyed hash stand for them. NULL and error pointers are shown as they are. */
function putHashed(k: Linux, out: Sink, raw: bigint, spec: Spec): void {
  const bare = raw === 0n || isError(addressOfWord(raw, k.word));
  putAddress(k, out, bare ? raw : BigInt(hashPointer(k.seed, raw)), spec);
}

/** A 32-bit mix of pointer and seed: repeatable, and not invertible by eye, which is all that is asked here. */
export function hashPointer(seed: number, raw: bigint): number {
  let hash = (seed ^ 0x5bd1e995) >>> 0;
  for (const half of [Number(raw & 0xffffffffn), Number(raw >> 32n)]) {
    hash = Math.imul(hash ^ half, 0x85ebca6b) >>> 0;
    hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35) >>> 0;
    hash = (hash ^ (hash >>> 13)) >>> 0;
  }
  return hash;
}

function putSymbol(k: Linux, out: Sink, raw: bigint, letters: string, spec: Spec): void {
  const at = addressOfWord(raw, k.word);
  putString(out, encoded(symbolText(k, at, letters[0])), spec);
}

/** %pS name+offset/size [module], %ps without the offset, %pB for return addresses: the call's own instruction decides. */
function symbolText(k: Linux, at: Address, letter: string): string {
  if (letter === 'S') return k.describe(at);
  const near = letter === 'B' ? k.describeReturn(at) : k.describe(at);
  const parts = /^(.*)\+0x([0-9a-f]+)\/(0x[0-9a-f]+)( \[.*\])?$/.exec(near);
  if (parts === null) return k.describe(at);
  const [, name, offset, size, module = ''] = parts;
  if (letter === 's') return name + module;
  return `${name}+0x${(Number.parseInt(offset, 16) + 1).toString(16)}/${size}${module}`;
}

function putError(k: Linux, out: Sink, raw: bigint, _letters: string, spec: Spec): void {
  const at = addressOfWord(raw, k.word);
  if (!isError(at)) putHashed(k, out, raw, spec);
  else {
    const name = errnoName(-at);
    if (name !== undefined) putString(out, `-${name}`, spec);
    else putNumber(out, BigInt(at), { ...spec, base: 10, signed: true });
  }
}

function putHex({ k, out, at, letters, spec }: Target): void {
  if (spec.width === 0) return;
  const separator = { C: ':', D: '-', N: '' }[letters[1] ?? ''] ?? ' ';
  const length = spec.width > 0 ? Math.min(spec.width, MAX_HEX) : 1;
  out.put(Array.from(k.memory.bytes(at, length), hexByte).join(separator));
}

function hexByte(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

function putBits(t: Target): void {
  const bits = Math.max(t.spec.width, 0);
  const bytes = t.k.memory.bytes(t.at, Math.ceil(bits / (8 * t.k.word)) * t.k.word);
  t.out.put(t.letters[1] === 'l' ? bitList(bytes, bits) : bitWords(bytes, bits));
}

/** Set bits as ranges: 0-3,7 . */
export function bitList(bytes: Uint8Array, bits: number): string {
  const has = (bit: number) => bit < bits && ((bytes[bit >> 3] >> (bit & 7)) & 1) === 1;
  const ranges: string[] = [];
  for (let bit = 0; bit < bits; bit++) {
    if (!has(bit)) continue;
    let end = bit;
    while (has(end + 1)) end++;
    ranges.push(end === bit ? `${bit}` : `${bit}-${end}`);
    bit = end;
  }
  return ranges.join(',');
}

/** 32-bit words in hexadecimal, most significant first, the first one only as wide as its bits. */
export function bitWords(bytes: Uint8Array, bits: number): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const words: string[] = [];
  for (let word = Math.ceil(bits / 32) - 1; word >= 0; word--) {
    const here = Math.min(32, bits - word * 32);
    const value = view.getUint32(word * 4, true) & (here === 32 ? -1 : (1 << here) - 1);
    words.push((value >>> 0).toString(16).padStart(Math.ceil(here / 4), '0'));
  }
  return words.join(',');
}

function putEscaped({ k, out, at, letters, spec }: Target): void {
  if (spec.width === 0) return;
  const source = textOf(k.memory.bytes(at, spec.width > 0 ? spec.width : 1));
  out.put(escapeBytes(source, escapeFlags(letters.slice(1))));
}

function putVaFormat({ k, out, at, spec, nested }: Target): void {
  // struct va_format { const char *fmt; va_list *va; }, include/linux/printk.h
  const format = k.memory.cstring(k.memory.ptr(at));
  const args = k.convention.vaList(k.cpu, k.memory.ptr(at + k.word));
  putString(out, nested(encoded(format), args), spec);
}

function putFourcc({ k, out, at, letters, spec }: Target): void {
  if (letters !== '4cc') {
    putBad(out, '(%p4?)', spec);
    return;
  }
  const code = k.memory.u32(at);
  const value = (code & 0x7fffffff) >>> 0;
  let text = '';
  for (let i = 0; i < 4; i++) {
    const c = (value >>> (8 * i)) & 0xff;
    text += c >= 0x20 && c < 0x7f ? String.fromCharCode(c) : '.';
  }
  const order = code >>> 31 === 1 ? 'big-endian' : 'little-endian';
  putString(out, `${text} ${order} (0x${code.toString(16).padStart(8, '0')})`, spec);
}
