/** DER (X.690): a reader of tag, length and contents. Lengths are checked against what is there; nothing is copied. */

import { Invalid, Truncated } from '../bytes/errors.ts';
import { hexOf } from '../bytes/hex.ts';
import { joinBytes } from '../bytes/join.ts';

export interface DerNode {
  /** Identifier octet: class, constructed bit and number. */
  readonly tag: number;
  /** Contents only. */
  readonly body: Uint8Array;
  /** Tag, length and contents. */
  readonly whole: Uint8Array;
}

export const Tag = { INTEGER: 2, BIT_STRING: 3, OCTET_STRING: 4, OID: 6, SEQUENCE: 0x30, SET: 0x31 } as const;
/** `[n]`, constructed. */
export const context = (n: number): number => 0xa0 | n;

export function readDer(bytes: Uint8Array, what: string, at = 0): DerNode {
  if (at + 2 > bytes.length) throw new Truncated(what, 'ends inside a DER header', { offset: at });
  const tag = bytes[at];
  if ((tag & 0x1f) === 0x1f) throw new Invalid(what, 'has a tag number above 30', { offset: at });
  let length = bytes[at + 1];
  let start = at + 2;
  if (length >= 0x80) {
    const count = length & 0x7f;
    if (count === 0 || count > 4)
      throw new Invalid(what, 'has a length that DER does not allow', { offset: at });
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[start + i] ?? 0);
    start += count;
  }
  if (start + length > bytes.length)
    throw new Truncated(what, `a value of ${length} bytes runs past the end`, { offset: at });
  return { tag, body: bytes.subarray(start, start + length), whole: bytes.subarray(at, start + length) };
}

/** The values one behind another in a constructed one. */
export function children(node: DerNode, what: string): DerNode[] {
  const out: DerNode[] = [];
  for (let at = 0; at < node.body.length; ) {
    const child = readDer(node.body, what, at);
    out.push(child);
    at += child.whole.length;
  }
  return out;
}

/** `1.2.840.113549.1.7.2`. */
export function oid(node: DerNode): string {
  const parts: bigint[] = [];
  let value = 0n;
  for (const byte of node.body.subarray(0, 64)) {
    value = (value << 7n) | BigInt(byte & 0x7f);
    if ((byte & 0x80) !== 0) continue;
    if (parts.length > 0) parts.push(value);
    else {
      const first = value < 80n ? value / 40n : 2n;
      parts.push(first, value - first * 40n);
    }
    value = 0n;
  }
  return parts.join('.');
}

export function unsigned(bytes: Uint8Array): bigint {
  return BigInt(`0x${hexOf(bytes) || '0'}`);
}

/** One value: identifier, length and contents, as short as DER wants them. */
export function encodeDer(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const length = contents.reduce((sum, part) => sum + part.length, 0);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest & 0xff);
  const header = length < 0x80 ? [tag, length] : [tag, 0x80 | bytes.length, ...bytes];
  return joinBytes([Uint8Array.from(header), ...contents]);
}

/** An object identifier from its numbers: `1.2.840.113549.1.7.2`. */
export function encodeOid(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((number) => {
    const digits = [number % 128];
    for (let left = Math.floor(number / 128); left > 0; left = Math.floor(left / 128))
      digits.unshift((left % 128) | 0x80);
    return digits;
  });
  return encodeDer(Tag.OID, Uint8Array.from(bytes));
}
