/**
 * A table of names in the order in which depmod writes them: by bucket of Paul Hsieh's hash ("SuperFastHash"), and by
 * bytes within a bucket. The order of modules.symbols and of modules that modules.order does not name is this order.
 */

import { ByteSink } from '../../../bytes/sink.ts';

/** The hash of bytes[from, to): 32 bits, unsigned. */
export function superFastHash(bytes: Uint8Array, from: number, to: number): number {
  const rest = (to - from) & 3;
  const whole = to - rest;
  const half = (at: number) => bytes[at] | (bytes[at + 1] << 8);
  let hash = to - from;
  for (let at = from; at < whole; at += 4) {
    hash = (hash + half(at)) | 0;
    hash = (hash << 16) ^ ((half(at + 2) << 11) ^ hash);
    hash = (hash + (hash >>> 11)) | 0;
  }
  if (rest === 3) {
    hash = (hash + half(whole)) | 0;
    hash ^= hash << 16;
    hash ^= bytes[whole + 2] << 18;
    hash = (hash + (hash >>> 11)) | 0;
  } else if (rest === 2) {
    hash = (hash + half(whole)) | 0;
    hash ^= hash << 11;
    hash = (hash + (hash >>> 17)) | 0;
  } else if (rest === 1) {
    // A plain char is signed where the tool's files are made (x86).
    hash = (hash + ((bytes[whole] << 24) >> 24)) | 0;
    hash ^= hash << 10;
    hash = (hash + (hash >>> 1)) | 0;
  }
  hash ^= hash << 3;
  hash = (hash + (hash >>> 5)) | 0;
  hash ^= hash << 4;
  hash = (hash + (hash >>> 17)) | 0;
  hash ^= hash << 25;
  hash = (hash + (hash >>> 6)) | 0;
  return hash >>> 0;
}

/** The keys in table order. `buckets` is a power of two. */
export function bucketOrder(keys: Iterable<string>, buckets: number): string[] {
  const table: (string[] | undefined)[] = new Array(buckets);
  const bytes = new ByteSink();
  for (const key of keys) {
    bytes.length = 0;
    bytes.text(key);
    const bucket = superFastHash(bytes.bytes, 0, key.length) & (buckets - 1);
    const others = table[bucket];
    if (others === undefined) table[bucket] = [key];
    else others.push(key);
  }
  const order: string[] = [];
  for (const bucket of table) {
    if (bucket === undefined) continue;
    // Code units are bytes here: the default order is strcmp's.
    if (bucket.length > 1) bucket.sort();
    for (const key of bucket) order.push(key);
  }
  return order;
}

/** strcmp on strings of bytes. */
export const compareBytes = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
