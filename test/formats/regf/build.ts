/** Hives made for tests: keys, values and lists one behind the other in one bin. */
import { BASE, BASE_BYTES, KEY_NAME_LATIN, SEGMENT } from '../../../src/formats/regf/layout.ts';

export interface Key {
  readonly name: string;
  readonly values: readonly { readonly name: string; readonly type: number; readonly data: Uint8Array }[];
  readonly keys: readonly Key[];
}

export function buildHive(root: Key): Uint8Array {
  const out = new Uint8Array(1 << 20);
  const view = new DataView(out.buffer);
  let next = BASE_BYTES + 32;
  /** @returns offset as cells are counted, and where its contents begin */
  const cell = (bytes: number): [offset: number, at: number] => {
    const size = (bytes + 4 + 7) & ~7;
    const at = next;
    view.setInt32(at, -size, true);
    next += size;
    return [at - BASE_BYTES, at + 4];
  };
  const latin = (text: string) => new TextEncoder().encode(text);
  const raw = (data: Uint8Array): number => {
    const [offset, at] = cell(data.length);
    out.set(data, at);
    return offset;
  };
  const list = (offsets: readonly number[], head: readonly number[] = [], step = 4): number => {
    const [offset, at] = cell(head.length * 2 + offsets.length * step);
    for (const [i, value] of head.entries()) view.setUint16(at + i * 2, value, true);
    for (const [i, value] of offsets.entries()) view.setUint32(at + head.length * 2 + i * step, value, true);
    return offset;
  };
  const dataAt = (data: Uint8Array): number => {
    if (data.length <= SEGMENT) return raw(data);
    const parts = [];
    for (let at = 0; at < data.length; at += SEGMENT) parts.push(raw(data.subarray(at, at + SEGMENT)));
    const segments = list(parts);
    return list([segments], [0x6264, parts.length]);
  };
  const value = ({ name, type, data }: Key['values'][number]): number => {
    const text = latin(name);
    const at = data.length > 4 ? dataAt(data) : 0;
    const [offset, here] = cell(20 + text.length);
    out.set([0x76, 0x6b], here);
    view.setUint16(here + 2, text.length, true);
    view.setUint32(here + 4, data.length > 4 ? data.length : (0x80000000 | data.length) >>> 0, true);
    if (data.length > 4) view.setUint32(here + 8, at, true);
    else out.set(data, here + 8);
    view.setUint32(here + 12, type, true);
    view.setUint16(here + 16, 1, true);
    out.set(text, here + 20);
    return offset;
  };
  const key = ({ name, values, keys }: Key): number => {
    const children = keys.map(key);
    const lists = children.length === 0 ? 0xffffffff : list(children, [0x686c, children.length], 8);
    const own = values.map(value);
    const valueList = own.length === 0 ? 0xffffffff : list(own);
    const text = latin(name);
    const [offset, at] = cell(0x4c + text.length);
    out.set([0x6e, 0x6b], at);
    view.setUint16(at + 2, KEY_NAME_LATIN, true);
    view.setUint32(at + 0x14, children.length, true);
    view.setUint32(at + 0x1c, lists, true);
    view.setUint32(at + 0x24, own.length, true);
    view.setUint32(at + 0x28, valueList, true);
    view.setUint16(at + 0x48, text.length, true);
    out.set(text, at + 0x4c);
    return offset;
  };
  const rootAt = key(root);
  const end = BASE_BYTES + Math.ceil((next - BASE_BYTES) / 4096) * 4096;
  out.set(latin('regf'));
  view.setUint32(BASE.PRIMARY, 1, true);
  view.setUint32(BASE.SECONDARY, 1, true);
  view.setUint32(BASE.MAJOR, 1, true);
  view.setUint32(BASE.MINOR, 5, true);
  view.setUint32(BASE.ROOT, rootAt, true);
  view.setUint32(BASE.BINS_BYTES, end - BASE_BYTES, true);
  out.set(latin('hbin'), BASE_BYTES);
  let sum = 0;
  for (let at = 0; at < BASE.CHECKSUM; at += 4) sum = (sum ^ view.getUint32(at, true)) >>> 0;
  view.setUint32(BASE.CHECKSUM, sum, true);
  return out.slice(0, end);
}
