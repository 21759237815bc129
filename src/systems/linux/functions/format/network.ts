/** %pM %pm, %pI4 %pI6 %pIS, %pU: addresses and identifiers. */

import { putString } from '../../../../kernel/text/spec.ts';
import type { Target } from './target.ts';

const AF_INET = 2;
const AF_INET6 = 10;

const hex = (byte: number): string => byte.toString(16).padStart(2, '0');

/** MAC addresses: colons, dashes for F, reversed for R, none at all for a small m. */
export function putMac({ k, out, at, letters, spec }: Target): void {
  const bytes = Array.from(k.memory.bytes(at, 6), hex);
  if (letters[1] === 'R') bytes.reverse();
  const separator = letters[0] === 'm' ? '' : letters[1] === 'F' ? '-' : ':';
  putString(out, bytes.join(separator), spec);
}

const BIG_ENDIAN = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const LITTLE_ENDIAN = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/** RFC 9562 text of 16 bytes; l and L for the mixed-endian order of EFI. */
export function uuidText(bytes: Uint8Array, letter: string): string {
  const order = letter === 'l' || letter === 'L' ? LITTLE_ENDIAN : BIG_ENDIAN;
  const digits = order.map((i) => hex(bytes[i])).join('');
  const text = digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  return letter === 'B' || letter === 'L' ? text.toUpperCase() : text;
}

export function putUuid({ k, out, at, letters, spec }: Target): void {
  putString(out, uuidText(k.memory.bytes(at, 16), letters[1] ?? 'b'), spec);
}

/** %pI4 %pi4 %pI6 %pI6c %pi6 and %pIS / %piS for a sockaddr of either family. */
export function putIp(target: Target): void {
  const { k, out, at, letters, spec } = target;
  if (letters[1] === '4') putString(out, ip4(k.memory.bytes(at, 4), letters[0] === 'i', letters[2]), spec);
  else if (letters[1] === '6') putString(out, ip6(k.memory.bytes(at, 16), letters), spec);
  else if (letters[1] === 'S') putSockaddr(target);
  else putString(out, `(%p${letters[0]}?)`, spec);
}

function ip4(bytes: Uint8Array, leadingZeros: boolean, order = 'n'): string {
  const parts = Array.from(bytes, (byte) => `${byte}`.padStart(leadingZeros ? 3 : 1, '0'));
  // h (host order) and l: the least significant byte comes first in memory.
  if (order === 'h' || order === 'l') parts.reverse();
  return parts.join('.');
}

function ip6(bytes: Uint8Array, letters: string): string {
  if (letters[0] === 'I' && letters[2] === 'c') return compressed(bytes);
  const words = Array.from({ length: 8 }, (_, i) => hex(bytes[2 * i]) + hex(bytes[2 * i + 1]));
  return words.join(letters[0] === 'i' ? '' : ':');
}

/** RFC 5952: the longest run of zero words, two or more, becomes "::". */
export function compressed(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) => (bytes[2 * i] << 8) | bytes[2 * i + 1]);
  const mapped = words.slice(0, 5).every((w) => w === 0) && words[5] === 0xffff;
  const isatap = (words[4] | 0x0200) === 0x0200 && words[5] === 0x5efe;
  const embedded = mapped || isatap;
  const count = embedded ? 6 : 8;
  const [start, length] = longestZeroRun(words.slice(0, count));
  let text = '';
  let separator = false;
  for (let i = 0; i < count; i++) {
    if (i === start) {
      text += i === 0 ? '::' : ':';
      i += length - 1;
      separator = false;
      if (i !== count - 1 || embedded) text += text.endsWith('::') ? '' : ':';
      else if (!text.endsWith('::')) text += ':';
      continue;
    }
    if (separator) text += ':';
    text += words[i].toString(16);
    separator = true;
  }
  if (embedded) text += (separator ? ':' : '') + ip4(bytes.subarray(12), false);
  return text;
}

function longestZeroRun(words: number[]): [number, number] {
  let best: [number, number] = [-1, 1];
  for (let i = 0; i < words.length; i++) {
    let n = 0;
    while (words[i + n] === 0) n++;
    if (n > best[1]) best = [i, n];
    if (n > 0) i += n;
  }
  return best;
}

function putSockaddr({ k, out, at, letters, spec }: Target): void {
  const family = k.memory.u16(at);
  const port = letters.includes('p', 2);
  const network = (k.memory.u8(at + 2) << 8) | k.memory.u8(at + 3);
  if (family === AF_INET) {
    const text = ip4(k.memory.bytes(at + 4, 4), letters[0] === 'i', /[hnbl]/.exec(letters.slice(2))?.[0]);
    putString(out, port ? `${text}:${network}` : text, spec);
  } else if (family === AF_INET6) {
    const compact = letters.includes('c', 2);
    let text = ip6(k.memory.bytes(at + 8, 16), `${letters[0]}6${compact ? 'c' : ''}`);
    const scope = letters.includes('s', 2) ? `%${k.memory.u32(at + 24)}` : '';
    const flow = letters.includes('f', 2) ? `/${hex20(k.memory.bytes(at + 4, 4))}` : '';
    if (port || scope !== '' || flow !== '') text = `[${text}]`;
    putString(out, text + (port ? `:${network}` : '') + flow + scope, spec);
  } else putString(out, `(%p${letters[0]}?)`, spec);
}

/** The 20 bits of a flow label, in network order. */
function hex20(bytes: Uint8Array): string {
  const word = ((bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3]) & 0xfffff;
  return `${word}`;
}
