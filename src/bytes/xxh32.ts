/** XXH32 (xxHash fast digest algorithm, draft 0.1.1): the checksum of LZ4 frames. */

const [P1, P2, P3, P4, P5] = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1];
/** Bytes that four lanes take at once. */
const STRIPE = 16;

const turned = (value: number, by: number): number => (value << by) | (value >>> (32 - by));
const round = (lane: number, word: number): number =>
  Math.imul(turned((lane + Math.imul(word, P2)) | 0, 13), P1);

/** With seed 0; unsigned. */
export function xxh32(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  let hash = P5;
  if (bytes.length >= STRIPE) {
    let [a, b, c, d] = [(P1 + P2) | 0, P2, 0, -P1 | 0];
    for (; at + STRIPE <= bytes.length; at += STRIPE) {
      a = round(a, view.getInt32(at, true));
      b = round(b, view.getInt32(at + 4, true));
      c = round(c, view.getInt32(at + 8, true));
      d = round(d, view.getInt32(at + 12, true));
    }
    hash = (turned(a, 1) + turned(b, 7) + turned(c, 12) + turned(d, 18)) | 0;
  }
  hash = (hash + bytes.length) | 0;
  for (; at + 4 <= bytes.length; at += 4)
    hash = Math.imul(turned((hash + Math.imul(view.getInt32(at, true), P3)) | 0, 17), P4);
  for (; at < bytes.length; at++) hash = Math.imul(turned((hash + Math.imul(bytes[at], P5)) | 0, 11), P1);
  hash = Math.imul(hash ^ (hash >>> 15), P2);
  hash = Math.imul(hash ^ (hash >>> 13), P3);
  return (hash ^ (hash >>> 16)) >>> 0;
}
