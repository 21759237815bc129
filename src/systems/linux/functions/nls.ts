/** National language support: the list of character tables and the UTF conversions (fs/nls/nls_base.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { modulePut, tryModuleGet } from '../refcount.ts';
import { kernelFunctions } from './define.ts';
import { moduleRequest } from './request-module.ts';

/** Head of the singly linked list of nls_table structures, newest first. */
const tables = perKernel<{ first: Address }, Linux>(() => ({ first: 0 }));

/** Longest UTF-8 form that utf32_to_utf8 makes, and the largest code point (UNICODE_MAX). */
const UNICODE_MAX = 0x10ffff;

export function findTable(k: Linux, charset: string): Address {
  for (let at = k.state(tables).first; at !== 0; at = k.read('nls_table.next', at)) {
    const alias = k.read('nls_table.alias', at);
    if (k.readString('nls_table.charset', at) === charset) return at;
    if (alias !== 0 && k.memory.cstring(alias) === charset) return at;
  }
  return 0;
}

/** Names of the character sets that a module (struct module) added. */
export function charsetsOf(k: Linux, owner: Address): string[] {
  const names: string[] = [];
  for (let at = k.state(tables).first; at !== 0; at = k.read('nls_table.next', at))
    if (k.read('nls_table.owner', at) === owner) names.push(k.readString('nls_table.charset', at));
  return names;
}

/** load_nls: a table that is not there is asked for by the name of its module. */
function* load(k: Linux, charset: string): Steps<Address> {
  if (findTable(k, charset) === 0) yield* k.state(moduleRequest).load(k, `nls_${charset}`, true);
  const table = findTable(k, charset);
  return table !== 0 && tryModuleGet(k, k.read('nls_table.owner', table)) ? table : 0;
}

/** One code point out of UTF-8: bytes used, or -1 (utf8_to_utf32). */
function decodeUtf8(bytes: Uint8Array): { length: number; point: number } | undefined {
  const first = bytes[0];
  if (first === undefined) return undefined;
  if (first < 0x80) return { length: 1, point: first };
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0;
  if (length === 0 || first >= 0xf8 || bytes.length < length) return undefined;
  let point = first & (0x7f >> length);
  for (let i = 1; i < length; i++) {
    if ((bytes[i] & 0xc0) !== 0x80) return undefined;
    point = point * 64 + (bytes[i] & 0x3f);
  }
  const least = [0, 0, 0x80, 0x800, 0x10000][length];
  const surrogate = point >= 0xd800 && point <= 0xdfff;
  return point < least || point > UNICODE_MAX || surrogate ? undefined : { length, point };
}

function encodeUtf8(point: number): Uint8Array | undefined {
  if (point > UNICODE_MAX || (point >= 0xd800 && point <= 0xdfff)) return undefined;
  return new TextEncoder().encode(String.fromCodePoint(point));
}

/** Asks a registered table for the bytes of each of some characters; tells undefined where the table has none. */
export function* fromUnicode(
  k: Linux,
  charset: string,
  points: Iterable<number>,
  tell: (bytes: Uint8Array | undefined) => void,
): Steps<void> {
  const table = findTable(k, charset);
  if (table === 0) return;
  const out = k.heap.allocateZeroed(16);
  const write = k.read('nls_table.uni2char', table);
  for (const point of points) {
    const length = yield* k.callInt(write, point, out, 16);
    tell(length > 0 ? k.memory.bytes(out, length) : undefined);
  }
  k.heap.free(out);
}

/** Asks a registered table for the character that bytes begin with. */
export function* toUnicode(k: Linux, charset: string, bytes: Uint8Array): Steps<number | undefined> {
  const table = findTable(k, charset);
  if (table === 0) return undefined;
  const at = k.heap.allocateZeroed(Math.max(16, bytes.length));
  const out = k.heap.allocateZeroed(16);
  k.memory.write(at, bytes);
  const length = yield* k.callInt(k.read('nls_table.char2uni', table), at, bytes.length, out);
  const point = length > 0 ? k.memory.u16(out) : undefined;
  k.heap.free(out);
  k.heap.free(at);
  return point;
}

export const nlsFunctions = kernelFunctions({
  'int __register_nls(struct nls_table *nls, struct module *owner)': (k, table, owner) => {
    const list = k.state(tables);
    if (k.read('nls_table.next', table) !== 0) return -Errno.EBUSY;
    for (let at = list.first; at !== 0; at = k.read('nls_table.next', at))
      if (at === table) return -Errno.EBUSY;
    k.write('nls_table.owner', table, owner);
    k.write('nls_table.next', table, list.first);
    list.first = table;
    return 0;
  },
  'int unregister_nls(struct nls_table *nls)': (k, table) => {
    const list = k.state(tables);
    let before = 0;
    for (let at = list.first; at !== 0; before = at, at = k.read('nls_table.next', at)) {
      if (at !== table) continue;
      const next = k.read('nls_table.next', at);
      if (before === 0) list.first = next;
      else k.write('nls_table.next', before, next);
      return 0;
    }
    return -Errno.EINVAL;
  },
  'struct nls_table *load_nls(const char *charset)': (k, charset) => load(k, k.memory.cstring(charset)),
  'struct nls_table *load_nls_default(void)': (k) => load(k, 'utf8'),
  'void unload_nls(struct nls_table *nls)': (k, table) => {
    if (table !== 0) modulePut(k, k.read('nls_table.owner', table));
  },
  'int utf8_to_utf32(const u8 *s, int inlen, unicode_t *pu)': (k, from, length, out) => {
    if (length <= 0) return -1;
    const decoded = decodeUtf8(k.memory.bytes(from, Math.min(length, 6)));
    if (decoded === undefined) return -1;
    k.memory.set32(out, decoded.point);
    return decoded.length;
  },
  'int utf32_to_utf8(unicode_t u, u8 *s, int maxout)': (k, point, out, room) => {
    if (out === 0) return 0;
    const bytes = encodeUtf8(point);
    if (bytes === undefined || bytes.length > room) return -1;
    k.memory.write(out, bytes);
    return bytes.length;
  },
});
